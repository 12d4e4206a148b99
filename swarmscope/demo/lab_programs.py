"""The programs that a demo has started in its lab: whether all run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from serving.regular_files import read_regular
from swarmscope.demo.component_process import ComponentEnded

LAST_CHARACTERS = 1000


class Program(Protocol):
    """A program that has been started."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def kill(self) -> None:
        """Kill it, and wait for its end."""


def check_programs(programs: Mapping[str, Program], folder: Path) -> None:
    """ComponentEnded if one has ended by itself, with what it wrote last, or if the lab has ended."""
    for name, program in programs.items():
        try:
            code = program.poll()
        except ConnectionError as error:
            raise ComponentEnded(str(error)) from error
        if code is not None:
            raise ComponentEnded(
                f"the process of {name} ended with exit code {code}; its last output:\n{last_output(name, folder)}"
            )


def log_of(name: str, folder: Path) -> Path:
    """Where a program writes its errors."""
    return folder / f"{name}.log"


def last_output(name: str, folder: Path) -> str:
    """The end of what a program wrote to its log."""
    return read_regular(log_of(name, folder)).decode(errors="replace")[-LAST_CHARACTERS:] or "    none"
