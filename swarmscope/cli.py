"""The subcommands. A setting comes from its flag, else SWARMSCOPE_<COMMAND>_<FLAG>, else swarmscope.toml, else its default."""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Any, get_args

from cyclopts import App, ArgumentCollection, CycloptsError, Parameter
from cyclopts.config import Env, Toml

from serving.regular_files import read_regular_text


class Environment(Env):
    """Environment variables with underscores only. Cyclopts reads SWARMSCOPE_FEEDBACK-SERVER_TOKEN, which a shell cannot set."""

    def _prefix(self, commands: tuple[str, ...]) -> str:
        return super()._prefix(commands).replace("-", "_")


class SettingsFile(Toml):
    """A settings file with clear errors. Cyclopts does not name the file in an error, fails on a byte order mark, and ignores
    sections that belong to no command.
    """

    def _load_config(self, path: Path) -> dict[str, Any]:
        try:
            settings = tomllib.loads(read_regular_text(path))
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CycloptsError(msg=f"{path} cannot be read as settings: {error}") from error
        for name in settings:
            if name not in COMMANDS:
                raise CycloptsError(msg=f"{path}: {name!r} is not a command; {_advice(name)}")
        return settings


def _advice(name: str) -> str:
    similar = difflib.get_close_matches(name.replace("_", "-"), COMMANDS, n=1)
    section = similar[0] if similar else "coordinator"
    return f"write settings below the name of their command, such as [{section}]"


def refuse_fractions(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse fractions for whole numbers. Cyclopts rounds 1.9 to 2 and 0.5 to 0 without an error."""
    for argument in arguments:
        if int in (argument.hint, *get_args(argument.hint)):
            for token in argument.tokens:
                if "." in token.value:
                    raise CycloptsError(msg=f"{argument.name} {token.value} is not a whole number; give one such as 60")


def read_as_utf8(_app: App, _commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Decode texts as UTF-8 in locales that cannot, such as C. File names stay as Python decoded them, because Python opens files
    by those names.
    """
    for argument in arguments:
        if Path not in _types_in(argument.hint):
            argument.tokens[:] = [token.evolve(value=_utf8(token.value, argument.name)) for token in argument.tokens]


def _types_in(hint: Any) -> set[Any]:  # noqa: ANN401 - a type form
    return {hint}.union(*map(_types_in, get_args(hint)))


def _utf8(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:  # the locale could not decode some bytes
        try:
            return os.fsencode(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise CycloptsError(msg=f"{name} is not valid UTF-8") from error
    return text


# A command's module is imported when the command is called, so its description is here: the first line for the list of commands,
# all of it for the command's own help.
COMMANDS = {
    "demo": """Run the whole pipeline on this machine, with simulated end hosts.

        The demo starts a coordinator, two feedback servers, the monitoring platform and a simulated audience, and prints the URL of
        the dashboard. A flash crowd arrives after one minute. Ctrl-C ends the demo with exit code 0.""",
    "coordinator": """Receive feedback messages from end hosts and forward them to feedback servers.

        The coordinator acknowledges a message when the message is stored durably: on a feedback server or in the spool (a folder
        for messages that wait for a feedback server). The coordinator needs --key or --keys, and --token. For a trial on one
        machine, use --insecure instead.""",
    "feedback-server": """Store feedback records in logs and offer the logs for download.

        A log is a file with the records of one minute (--roll-seconds). While the server writes it, it is called a journal. After
        that it is sealed: it never changes again. The server needs --token and --read-token. For a trial on one machine, use
        --insecure instead.""",
    "monitor": """Show the viewers' quality of experience in a web dashboard, live or from recorded logs.

        Give either --feedback-server (live mode, needs --read-token or --insecure) or --static (recorded logs). If other machines
        can reach --listen, give --users, or --trusted-user-header and --trusted-proxy.""",
    "users": """Manage dashboard users and their passwords.

        A dashboard that runs with --users FILE applies each change within a second.""",
    "analyze": """Analyze recorded logs: compute the dashboard's measures on the command line.

        Measures are numbers such as the MOS, the continuity, and the number of peers. Standard error lists damaged records and
        unreadable files; the other records are analyzed. The exit code is 1 if there are no records.""",
    "diagnose": """Find out where in the network a problem is, from recorded measurements and feedback.

        Each verdict has its evidence. If the evidence does not suffice, the command prints what is missing.""",
    "alerts": """Test alert rules against recorded logs.""",
    "history": """Build and query a history: a small database with sums per hour and minute, computed from recorded logs.""",
    "logs": """Print, verify and convert recorded logs, and send refused messages again.

        A log is a journal (.journal, still being written), or a JSON lines, CSV or Parquet file. Refused messages are in the
        quarantine, a folder of the coordinator.""",
    "import": """Convert the data of another system into logs, or send it to a coordinator.

        The command reads CSV files with a header line, Parquet files and JSON lines; text files can be compressed (.gz, .zst).
        Without --into and --coordinator, the command only reports what it would import. The exit code is 1 if a row is refused or
        if there are no rows.""",
    "overlay": """Run a peer-to-peer streaming overlay, and check its topology.""",
    "measure": """Measure the network from agents of a master, or from this machine.

        The command prints the outcomes as they come. Ctrl-C ends the request. The exit code is 0 if every operation has measured
        something (status ok or partial), and 1 otherwise.""",
    "measurement-master": """Accept requests for measurements, and let agents measure the network.

        The master selects agents, schedules their operations so that they do not disturb each other, and records the outcomes. It
        needs --keys. For a trial on one machine, use --insecure instead.""",
    "measurement-agent": """Measure the network for a master.

        The agent connects to the master and never listens. It measures only while it has a lease from the master: the right to run
        one operation until a deadline. PATHNECK and BROUTE need the capability CAP_NET_RAW, which root has.""",
    "measurement-responder": """Let agents measure the path to this machine with packet trains.

        Techniques with packet trains need the consent of the destination. This command gives the consent: agents that know the
        token may measure the bandwidth and the loss of the path to this machine. Ctrl-C or SIGTERM ends the consent.""",
    "lab": """Record video sessions over shaped links as labelled data, and fit models to it.

        A training is a campaign of sessions with different limits of the rate. Each session is played in a network of its own on
        this machine, and its packets are captured.""",
    "simulate": """Simulate an audience of end hosts.

        The end hosts join, watch, switch channels, stall, leave and return. The exit code is 0 if all messages are acknowledged,
        otherwise 1. After Ctrl-C, the end hosts leave and the waiting messages are sent.""",
    "schema": """Print JSON Schemas of messages and records, and OpenAPI descriptions of the services.

        Without a flag, the command prints the JSON Schema of the feedback message. Use only one flag.""",
}
# A settings file that SWARMSCOPE_CONFIG names must exist.
SETTINGS_FILE = SettingsFile(os.environ.get("SWARMSCOPE_CONFIG", "swarmscope.toml"), must_exist="SWARMSCOPE_CONFIG" in os.environ)


def default_text(value: object) -> str | None:
    """How the help shows a default value; None hides a default that says nothing."""
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or None
    return None if value in ("", None, False) else str(value)


app = App(
    name="swarmscope",
    help="""Quality-of-experience (QoE) telemetry for P2P and live streaming.

        End hosts, such as players that embed the SDK, send feedback messages to a coordinator. The coordinator forwards them to
        feedback servers, which store them in logs. The monitoring platform downloads the logs and shows the quality of each
        session in a dashboard.""",
    help_epilogue=(
        "Each flag can also be set with an environment variable or in a settings file. For `--listen` of the coordinator, set the "
        'variable SWARMSCOPE_COORDINATOR_LISTEN, or write `listen = "0.0.0.0:8080"` in the section `[coordinator]` of the file '
        "swarmscope.toml in the current folder. SWARMSCOPE_CONFIG=FILE selects another settings file. A flag overrides the "
        "environment variable, and the environment variable overrides the settings file.\n\n"
        "In an environment variable, spaces separate several values, and colons separate several paths. For a flag without a "
        "value, write true.\n\n"
        "Exit codes: 0 for success, 2 for a usage error (a wrong flag, argument or setting), 1 for other errors.\n\n"
        "First steps: swarmscope demo"
    ),
    config=[Environment("SWARMSCOPE_"), SETTINGS_FILE, refuse_fractions, read_as_utf8],
    default_parameter=Parameter(negative="", consume_multiple=False, show_default=default_text),
)
app["--version"].help = "Print the version and exit."
app["--help"].help = "Print this help and exit."
for position, (name, summary) in enumerate(COMMANDS.items()):
    # `import` is a keyword of Python, so the module has another name.
    module = "import_" if name == "import" else name.replace("-", "_")
    app.command(f"swarmscope.commands.{module}:command", name=name, help=summary, sort_key=position)
