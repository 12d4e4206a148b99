"""Reads files of JSON lines line by line. DuckDB alone would end at a line of more than 16 MiB, and one line must cost no other."""

import json
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

        `on_broken` is called for each line that is too long, no UTF-8, or has a name twice. Whether a row is JSON is not checked.
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
                text = line.decode("utf-8-sig" if at == 1 else "utf-8")
            except UnicodeDecodeError:
                on_broken(BrokenLine(self.path, at, "it is not UTF-8"))
                continue
            if why := _repeated_name(text):
                on_broken(BrokenLine(self.path, at, why))
            else:
                yield number, text


class _RepeatedNameError(Exception):
    pass


def _repeated_name(text: str) -> str:
    """Why the row is refused, if an object in it has a name twice: programs read different values of it. Otherwise empty."""
    try:
        _names.decode(text)
    except _RepeatedNameError as error:
        return str(error)
    except (ValueError, RecursionError):
        pass  # no JSON, which the reader of rows reports
    return ""


def _unique(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedNameError(f"an object has the name {repeated[:40]!r} twice")


_names = json.JSONDecoder(object_pairs_hook=_unique, parse_float=str, parse_int=str)
