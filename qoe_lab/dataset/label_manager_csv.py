"""Reads a CSV file of the label manager, and puts the right names on its columns.

Of the 22 statistics of tstat in these files, 12 have another statistic's name; `traffic/label_manager_columns.py` lists them. The
values decide whether the names of a file are wrong: a time to live fits into one byte, and the column `ttl_max` of these files
holds segment sizes. A file whose `ttl_max` fits into a byte is refused, because right names would become wrong ones.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from math import isfinite
from pathlib import Path

from feedback_wire.numbers import parsed_float
from qoe_lab.dataset.sessions_csv import csv_cell
from qoe_lab.traffic.label_manager_columns import WRITTEN_AS
from serving.regular_files import open_regular

BEFORE = ("id", "bw", "duration")
"""`bw` is the limit; the label manager's unit is 1024 kbit/s."""
AFTER = ("stallCount", "qualityChanges", "skippedFrames", "fpsChanges", "twitch_backend")
WRITTEN = (*BEFORE, *WRITTEN_AS, *AFTER)
"""The header of the label manager's files."""
RIGHT = (*BEFORE, *WRITTEN_AS.values(), *AFTER)

LabelManagerSession = Mapping[str, float | str]
LARGEST_TTL = 255
_TEXTS = {"id", "twitch_backend"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSessions:
    """The sessions of a file under the right names, in its order. No row is left out; `doubts` counts what is strange."""

    rows: tuple[LabelManagerSession, ...]
    repeated_ids: int
    """Rows whose id an earlier row has. The label manager's file is several databases, each of which counts from 1."""
    doubts: Mapping[str, int]
    """Rows whose values cannot be true, by what is wrong with them."""


_RULES: dict[str, Callable[[Mapping[str, float]], bool]] = {
    "ttl_max is above 255": lambda row: row["ttl_max"] > LARGEST_TTL,
    "min_seg_size is above max_seg_size": lambda row: row["min_seg_size"] > row["max_seg_size"],
    "win_min is above win_max": lambda row: row["win_min"] > row["win_max"],
    "rtt_avg is not between rtt_min and rtt_max": lambda row: not row["rtt_min"] <= row["rtt_avg"] <= row["rtt_max"],
    "there are more data_pkts than packets": lambda row: row["data_pkts"] > row["packets"],
}


def read_label_manager(path: Path) -> ImportedSessions:
    """The sessions of a file. ValueError if it is not one of the label manager's files, or a row cannot be read."""
    try:
        written = _written_rows(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file of the label manager: {error}") from None
    if not written:
        raise ValueError(f"{path} has no sessions")
    _check_shift(path, written)
    rows = tuple(dict(zip(RIGHT, row.values(), strict=True)) for row in written)
    return ImportedSessions(rows=rows, repeated_ids=len(rows) - len({row["id"] for row in rows}), doubts=_doubts(rows))


def write_right_names(sessions: ImportedSessions, into: Path) -> None:
    """Write the sessions as CSV with the right names. FileExistsError if the file exists."""
    with into.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(RIGHT)
        writer.writerows(map(csv_cell, row.values()) for row in sessions.rows)


def _written_rows(path: Path) -> list[LabelManagerSession]:
    with TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        _check_header(path, next(lines, []))
        return [_parsed(path, number, line) for number, line in enumerate(lines, start=2) if line]


def _check_header(path: Path, header: list[str]) -> None:
    if tuple(header) == WRITTEN:
        return
    missing = [name for name in WRITTEN if name not in header]
    others = [name for name in header if name not in WRITTEN]
    wrong = f"lacks {', '.join(missing[:3])}" if missing else f"also has {', '.join(others[:3])}" if others else "has another order"
    raise ValueError(f"{path} is not a CSV file of the label manager: its header {wrong}; the header has to be {','.join(WRITTEN)}")


def _parsed(path: Path, number: int, line: list[str]) -> LabelManagerSession:
    if len(line) != len(WRITTEN):
        raise ValueError(f"{path}:{number} has {len(line)} values, and the header has {len(WRITTEN)}")
    row: dict[str, float | str] = {}
    for name, text in zip(WRITTEN, line, strict=True):
        try:
            row[name] = text if name in _TEXTS else _finite(text)
        except ValueError:
            raise ValueError(f"{path}:{number}: {name} is {text!r}, which is not a number") from None
    return row


def _finite(text: str) -> float:
    number = parsed_float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _check_shift(path: Path, written: list[LabelManagerSession]) -> None:
    if all(float(row["ttl_max"]) <= LARGEST_TTL for row in written):
        raise ValueError(
            f"{path}: each ttl_max is a possible time to live, so the names of this file are not those of the label manager, "
            "and the import would make them wrong"
        )


def _doubts(rows: tuple[LabelManagerSession, ...]) -> dict[str, int]:
    counts = Counter(rule for row in rows for rule in _broken(row))
    return dict(sorted(counts.items()))


def _broken(row: LabelManagerSession) -> Iterator[str]:
    numbers = {name: float(value) for name, value in row.items() if name not in _TEXTS}
    return (rule for rule, breaks in _RULES.items() if breaks(numbers))
