"""Finds the errors that components log, and the warnings of the audience, so that the demo's terminal shows them."""

import re
from pathlib import Path

from swarmscope.output.escaping import plain

MOST_AT_ONCE = 3
MOST_CHARACTERS = 300
MOST_BYTES = 256 * 1024

WARNING = "warning: "
"""What a line of a command begins with that is a warning for people."""

_BEGINS = re.compile(rf"^(?:\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}} |(?={WARNING}))", re.MULTILINE)
_ERROR = re.compile(rf"(?:ERROR|CRITICAL) [^ ]+: |(?={WARNING})")


class LoggedErrors:
    """Reads the errors from the error output of a component, each error once."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read_bytes = 0

    def new(self) -> list[str]:
        """One line per error since the last call, at most `MOST_AT_ONCE`, then the number of further errors."""
        with self._log.open("rb") as output:
            output.seek(self._read_bytes)
            text = output.read(MOST_BYTES)
        whole = text[: text.rfind(b"\n") + 1] or (text if len(text) == MOST_BYTES else b"")
        self._read_bytes += len(whole)
        found = [_line(entry) for entry in _BEGINS.split(whole.decode(errors="replace")) if _ERROR.match(entry)]
        left_out = len(found) - MOST_AT_ONCE
        return [*found[:MOST_AT_ONCE], *([f"and {left_out} more errors"] if left_out > 0 else [])]


def _line(entry: str) -> str:
    """The error's message, and the last line of its traceback, which states the cause."""
    first, *others = _ERROR.sub("", entry, count=1).strip().splitlines()
    if entry.startswith(WARNING):
        others = []  # the following lines are not about it
    text = plain(first if not others else f"{first}: {others[-1].strip()}")
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
