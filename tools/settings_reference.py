"""Writes docs/settings-reference.md: every argument and flag with its environment variable and its default, read from the code.

.venv/bin/python -m tools.settings_reference > docs/settings-reference.md
"""

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter

from cyclopts import App, Argument

from swarmscope.cli import Environment, app, default_text

PAGES = {
    "demo": "simulate.md#the-demo",
    "coordinator": "coordinator.md#settings",
    "feedback-server": "feedback-server.md#settings",
    "monitor": "monitor.md#settings",
    "users": "access.md#users",
    "analyze": "analyze.md#options",
    "alerts": "alerts.md#testing-rules",
    "diagnose": "diagnosis.md",
    "history build": "history.md#building-a-history",
    "history show": "history.md#showing-a-history",
    "logs": "logs.md",
    "import": "import.md",
    "measurement-responder": "measurement-techniques.md#the-responder",
    "overlay check": "overlay.md#check-a-topology",
    "overlay": "overlay.md#run-it",
    "lab run": "lab.md#options-of-run",
    "lab fit": "lab-models.md",
    "lab score": "lab-models.md#score-a-capture",
    "lab": "lab.md",
    "measure": "measurement-requests.md",
    "measurement-master": "measurement-master.md#the-master",
    "measurement-agent": "measurement-master.md#an-agent",
    "simulate": "simulate.md",
    "simulate olympics": "simulate.md#the-olympics-of-2012",
    "schema": "formats/message.md",
}
"""The page that explains the flags of a command, or of all its subcommands."""

HEAD = """# Settings reference

This page lists every argument and flag of every command, with its environment variable and its default.
[Settings](settings.md) explains how to set them. `--help` of each command explains their meaning, and so does the page
that is linked below the command's heading. The default is empty if a setting has none, is off, or depends on others.

`python -m tools.settings_reference` writes this page from the code, and a test compares it with the code.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """`name`: of a flag (`--listen`) or an argument (`PATHS`). `default` and `meaning`: as in --help; without a default, empty."""

    command: str
    name: str
    variable: str
    default: str
    meaning: str


def settings(command: App = app, path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Every setting that a command line can have, in the order of --help."""
    if path and command.default_command is not None:
        environment = Environment("SWARMSCOPE_")
        for argument in command.assemble_argument_collection(parse_docstring=True):
            if argument.name != "*":  # the dataclass that holds other arguments
                yield Setting(
                    command=" ".join(path),
                    name=argument.name,
                    variable=environment._convert_argument(path, argument),
                    default=_default(argument),
                    meaning=argument.parameter.help or "",
                )
    for name in command:
        if not name.startswith("-"):
            yield from settings(command[name], (*path, name))


def page_of(command: str) -> str:
    """The page, with its heading, that explains the flags of a command."""
    return PAGES.get(command) or PAGES[command.split()[0]]


def reference() -> str:
    """The text of the page."""
    parts, command = [HEAD], ""
    for setting in settings():
        if setting.command != command:
            command = setting.command
            page = page_of(command)
            parts.append(f"\n## `swarmscope {command}`\n\nExplained in [{page.partition('#')[0]}]({page}).\n\n")
            parts.append("| flag or argument | environment variable | default |\n|---|---|---|\n")
        default = f" `{setting.default}`" if setting.default not in ("", "required") else f" {setting.default}".rstrip()
        parts.append(f"| `{setting.name}` | `{setting.variable}` |{default} |\n")
    return "".join(parts)


def _default(argument: Argument) -> str:
    if argument.required:
        return "required"
    default = argument.field_info.default
    return "" if default is Parameter.empty else default_text(default) or ""  # *arguments have no default


if __name__ == "__main__":
    print(reference(), end="")
