"""The subcommands. A setting comes from its flag, else SWARMSCOPE_<COMMAND>_<FLAG>, else swarmscope.toml, else its default."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

from cyclopts import App, ArgumentCollection, CycloptsError, Parameter
from cyclopts.config import Env, Toml


class Environment(Env):
    """Cyclopts would look for SWARMSCOPE_FEEDBACK-SERVER_TOKEN, a name that no shell can set."""

    def _prefix(self, commands: tuple[str, ...]) -> str:
        return super()._prefix(commands).replace("-", "_")


class SettingsFile(Toml):
    """Cyclopts would not name the file that is wrong, trip over a byte order mark, and pass over what no command ever asks for."""

    def _load_config(self, path: Path) -> dict[str, Any]:
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CycloptsError(msg=f"{path} cannot be read as settings: {error}") from error
        for name in settings:
            if name not in COMMANDS:
                raise CycloptsError(msg=f"{path}: {name!r} is no command; {_instead(name)}")
        return settings


def _instead(name: str) -> str:
    alike = difflib.get_close_matches(name.replace("_", "-"), COMMANDS, n=1)
    section = alike[0] if alike else "coordinator"
    return f"settings stand below the name of theirs, such as [{section}]"


def refuse_fractions(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Cyclopts would round 1.9 to 2 and 0.5 to 0 where a whole number is asked for, and say nothing."""
    for argument in arguments:
        if int in (argument.hint, *get_args(argument.hint)):
            for token in argument.tokens:
                if "." in token.value:
                    raise CycloptsError(msg=f"{argument.name} {token.value} is no whole number; give one such as 60")


def read_as_utf8(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Read texts as UTF-8 where the locale cannot, such as C; names of files stay as Python reads them, since it opens them so."""
    for argument in arguments:
        if Path not in _types_in(argument.hint):
            argument.tokens[:] = [token.evolve(value=_utf8(token.value, argument.name)) for token in argument.tokens]


def _types_in(hint: Any) -> set[Any]:  # noqa: ANN401 - a type form
    return {hint}.union(*map(_types_in, get_args(hint)))


def _utf8(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that the locale could not read
        try:
            return os.fsencode(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CycloptsError(msg=f"{name} is no text in UTF-8") from error
    return text


# Imported when they are called, so what each of them does has to be said here.
COMMANDS = {
    "demo": "Run all of it on this machine, with a simulated audience.",
    "coordinator": "Take feedback messages from end hosts; answer when they are durable.",
    "feedback-server": "Store what coordinators send, and offer it for download.",
    "monitor": "Show what every viewer gets, live or from recorded logs, in the browser.",
    "users": "Say who may log in at the dashboard.",
    "analyze": "Measure recorded logs: the dashboard's numbers on the command line.",
    "alerts": "Say what alert rules would have told of recorded logs.",
    "history": "Keep sums of recorded logs: days, hours and minutes answered at once.",
    "logs": "Print, check and convert recorded logs.",
    "import": "Turn files of another system into logs, or send them to a coordinator.",
    "simulate": "Bring an audience of simulated end hosts.",
    "schema": "Print the JSON Schema of what end hosts send.",
}
# A file that is asked for by name has to be there.
SETTINGS_FILE = SettingsFile(os.environ.get("SWARMSCOPE_CONFIG", "swarmscope.toml"), must_exist="SWARMSCOPE_CONFIG" in os.environ)

app = App(
    name="swarmscope",
    help="Quality-of-experience telemetry for P2P and live streaming: what every viewer really gets, while it happens.",
    help_epilogue=(
        "Every flag can also be an environment variable (--listen of the coordinator: SWARMSCOPE_COORDINATOR_LISTEN) or stand in "
        "swarmscope.toml ([coordinator] listen = …; another file: SWARMSCOPE_CONFIG=FILE). A flag wins over both.\n\n"
        "Exit codes: 0 if all went well; 2 if a flag or a setting cannot be taken; 1 for what went wrong later.\n\n"
        "First steps: swarmscope demo"
    ),
    config=[Environment("SWARMSCOPE_"), SETTINGS_FILE, refuse_fractions, read_as_utf8],
    default_parameter=Parameter(negative="", consume_multiple=False),
)
for place, (name, summary) in enumerate(COMMANDS.items()):
    # `import` is a word of Python's own, so that module has another name.
    module = "import_" if name == "import" else name.replace("-", "_")
    app.command(f"swarmscope.commands.{module}:command", name=name, help=summary, sort_key=place)
