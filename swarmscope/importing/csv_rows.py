"""Reads CSV files row by row. A line that is not a row of its table is reported, and costs no other row.

The separator is the one of `,`, `;`, tab and `|` that occurs most often in the header line. A value can be in quotes (RFC 4180).
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarmscope.importing.text_file import LONGEST_LINE_BYTES, lines

LONGEST_VALUE_CHARS = 1000
"""A longer value fits no field. It is cut and marked with "…", so it takes little memory and is refused."""

_SEPARATORS = ",;\t|"
_IN_QUOTES = re.compile(rb'"[^"]*"')
_LONGEST_ROW_BYTES = LONGEST_LINE_BYTES
csv.field_size_limit(_LONGEST_ROW_BYTES)


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line, or a value in quotes of several lines, that is not a valid row."""

    file: str
    line: int
    why: str


class CsvFile:
    """A CSV file with a header line. ValueError if the file or its header line cannot be read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        first = next((line for _, line in lines(path) if line is None or line.strip()), b"")
        if first is None:
            raise ValueError(f"{path} cannot be read: its first line is longer than {LONGEST_LINE_BYTES:,} bytes")
        bare = _IN_QUOTES.sub(b"", first)
        self._separator = max(_SEPARATORS, key=lambda separator: bare.count(separator.encode()))
        header = next(self._rows(), [])
        if isinstance(header, BrokenLine):
            raise ValueError(f"{path} cannot be read: its header line, line {header.line}, is broken: {header.why}")  # noqa: TRY004 - not a wrong type
        self.columns = _distinct(header)

    def rows(self, columns: Sequence[str], on_broken: Callable[[BrokenLine], None]) -> Iterator[tuple[int, list[str | None]]]:
        """The rows with their numbers from 1, reduced to `columns`; None for an empty value, and for a column of another file."""
        places = [self.columns.index(name) if name in self.columns else None for name in columns]
        for number, row in enumerate(self._rows()):
            if isinstance(row, BrokenLine):
                on_broken(row)
            elif number:  # not the header
                yield number, [None if place is None else _value(row[place]) for place in places]

    def _rows(self) -> Iterator[list[str] | BrokenLine]:
        """The header and all rows. Lines without a character are no rows."""
        texts = _Texts(self._path)
        reader = csv.reader(texts, delimiter=self._separator, strict=True)
        width = 0
        while True:
            texts.begin_row()
            try:
                row = next(reader, None)
                if row is None:
                    return
                width = width or len(row)
                if len(row) not in (0, width):
                    raise csv.Error(f"{len(row)} values for {width} columns")
            except csv.Error as error:
                yield BrokenLine(str(self._path), texts.first_line, _why(error, texts))
            else:
                if row:
                    yield row


class _Texts:
    """The lines of a file as texts. csv.Error for a line that is too long or no UTF-8, and for too many lines of one row."""

    def __init__(self, path: Path) -> None:
        self._lines = lines(path)
        self._row_bytes = 0
        self.first_line = self.last_line = 0

    def __iter__(self) -> "_Texts":
        return self

    def __next__(self) -> str:
        self.last_line, line = next(self._lines)
        self.first_line = self.first_line or self.last_line
        self._row_bytes += _LONGEST_ROW_BYTES + 1 if line is None else len(line)
        if line is None or self._row_bytes > _LONGEST_ROW_BYTES:
            raise csv.Error(f"it is longer than {_LONGEST_ROW_BYTES:,} bytes")
        try:
            return line.decode("utf-8-sig" if self.last_line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise csv.Error("it is not UTF-8") from error

    def begin_row(self) -> None:
        self.first_line = self._row_bytes = 0


def _value(text: str) -> str | None:
    return (text if len(text) <= LONGEST_VALUE_CHARS else f"{text[:LONGEST_VALUE_CHARS]}…") or None


def _why(error: csv.Error, texts: _Texts) -> str:
    """What is wrong, and how many lines are lost with it."""
    more = texts.last_line - texts.first_line
    return f"{error}; a value in quotes begins here, and {more:,} more lines are lost with it" if more else str(error)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names; `column0` and so on for empty ones, and a number after each that occurs before."""
    distinct: dict[str, None] = {}
    for place, name in enumerate(names):
        wanted = name or f"column{place}"
        repeated = 0
        while (unique := f"{wanted}_{repeated}" if repeated else wanted) in distinct:
            repeated += 1
        distinct[unique] = None
    return list(distinct)
