"""Reads files of JSON lines line by line. DuckDB alone would end at a line of more than 16 MiB, and one line must cost no other."""

from collections.abc import Callable, Iterator
from pathlib import Path

from swarmscope.importing.csv_rows import BrokenLine
from swarmscope.importing.text_file import LONGEST_LINE_BYTES, lines


class JsonLinesFile:
    """A file with one JSON value per line; lines of white space are no rows."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._path = path

    def rows(self, on_broken: Callable[[BrokenLine], None]) -> Iterator[tuple[int, str]]:
        """The rows as text, with their numbers from 1. ValueError if the file cannot be read completely.

        `on_broken` is called for each line that is too long or no UTF-8. Whether a row is JSON is not checked.
        """
        number = 0
        for at, line in lines(self._path):
            if line is not None and not line.strip():
                continue
            number += 1
            if line is None:
                on_broken(BrokenLine(self.path, at, f"it is longer than {LONGEST_LINE_BYTES:,} bytes"))
                continue
            try:
                yield number, line.decode("utf-8-sig" if at == 1 else "utf-8")
            except UnicodeDecodeError:
                on_broken(BrokenLine(self.path, at, "it is not UTF-8"))
