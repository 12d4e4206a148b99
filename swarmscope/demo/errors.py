"""What parts log as errors, for the demo's terminal: else only the visitor of a page that fails would know of it."""

import re
from pathlib import Path

from swarmscope.plain_text import plain

MOST_AT_ONCE = 3
MOST_CHARACTERS = 300
MOST_BYTES = 256 * 1024

_BEGINS = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)
_ERROR = re.compile(r"(?:ERROR|CRITICAL) [^ ]+: ")


class Errors:
    """The errors in the log file of a part, each once."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read_bytes = 0

    def new(self) -> list[str]:
        """A line for each error since the last call; of many, the first ones and how many more there are."""
        with self._log.open("rb") as said:
            said.seek(self._read_bytes)
            told = said.read(MOST_BYTES)
        whole = told[: told.rfind(b"\n") + 1] or (told if len(told) == MOST_BYTES else b"")
        self._read_bytes += len(whole)
        found = [_line(entry) for entry in _BEGINS.split(whole.decode(errors="replace")) if _ERROR.match(entry)]
        left_out = len(found) - MOST_AT_ONCE
        return [*found[:MOST_AT_ONCE], *([f"and {left_out} more errors"] if left_out > 0 else [])]


def _line(entry: str) -> str:
    """What happened, and the last line of the traceback, which says why."""
    first, *others = _ERROR.sub("", entry, count=1).strip().splitlines()
    text = plain(first if not others else f"{first}: {others[-1].strip()}")
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
