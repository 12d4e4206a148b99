"""The mapping file (TOML): which column of an imported file contains which field.

A column with the name of a field needs no entry. No other assignment is guessed.
"""

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as Entries
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feedback_wire.limits import EXTRA_KEYS
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELDS
from serving.regular_files import read_regular_text

TIME = "received_ms"
FIELD_TYPES = {each.name: each.kind for each in (*RECORD_FIELDS, *FIELDS)}
"""The type of each field that a mapping can contain."""

UNITS_MS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""Units of numeric times, in milliseconds."""

SESSION_GAP_S = 300.0
"""Without a session column, a peer begins a new session after this time without a row."""

# A file can have a million columns, and an error is one line.
_MOST_NAMES, _MOST_CHARS = 50, 100

_SCALED = re.compile(r"(?P<column>.+?)\s*(?P<sign>[*/])\s*(?P<factor>\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
_TABLES = ("columns", "constants", "extra", "values", "time")


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of the file, and the factor for its values."""

    name: str
    factor: float = 1.0

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> "SourceColumn":
        """Parse `NAME`, `NAME * NUMBER` or `NAME / NUMBER`. A text that is equal to the name of a column is that name."""
        found = None if text in columns else _SCALED.fullmatch(text)
        if found is None:
            return cls(text)
        factor = float(found["factor"])
        if not factor:
            raise ValueError(f"{text!r} multiplies or divides by 0")
        factor = factor if found["sign"] == "*" else 1 / factor
        if not math.isfinite(factor):
            raise ValueError(f"{text!r} multiplies or divides by a number that is too large or too small")
        return cls(found["column"], factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """The content of a mapping file. `columns` and `extra` contain texts for `SourceColumn.parse`; an empty text omits a field."""

    columns: Entries[str, str] = field(default_factory=dict)
    constants: Entries[str, Any] = field(default_factory=dict)
    extra: Entries[str, str] = field(default_factory=dict)
    values: Entries[str, Entries[str, str]] = field(default_factory=dict)
    unit: str = "ms"
    zone: str = "UTC"
    session_gap_s: float = SESSION_GAP_S

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants, *self.values):
            if name not in FIELD_TYPES:
                raise ValueError(f"{name!r} is not a field; put other names under [extra]. The fields are {', '.join(FIELD_TYPES)}")
        for name, value in self.constants.items():
            _check_constant(name, value)
        if both := sorted(self.columns.keys() & self.constants.keys()):
            raise ValueError(f"{both[0]!r} has a column and a constant; remove one of them")
        if len(self.extra) > EXTRA_KEYS:
            raise ValueError(f"[extra] has {len(self.extra)} entries; a message can have at most {EXTRA_KEYS}")

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """Read a mapping file; ValueError with the path and the error in it."""
        try:
            return cls._of(tomllib.loads(read_regular_text(path)))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path} is not TOML: {error}") from error
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, content: Entries[str, Any]) -> "Mapping":
        for name, table in content.items():
            if name not in _TABLES or not isinstance(table, dict):
                raise ValueError(f"[{name}] is not a table of a mapping file; use [{'], ['.join(_TABLES)}]")
        time = content.get("time", {})
        _check_time(time)
        return cls(
            columns=_texts("columns", content.get("columns", {})),
            constants=content.get("constants", {}),
            extra=_texts("extra", content.get("extra", {})),
            values={name: _texts(f"values.{name}", table) for name, table in content.get("values", {}).items()},
            unit=time.get("unit", "ms"),
            zone=time.get("zone", "UTC"),
            session_gap_s=float(time.get("session_gap_s", SESSION_GAP_S)),
        )

    def sources(self, columns: Iterable[str]) -> dict[str, SourceColumn]:
        """The column of each field, and of each entry of `extra` as `extra.NAME`. ValueError for a column that the file does not
        have.

        `columns` are the file's columns. `a.b` is the value b in a column a of objects, unless the file has a column `a.b`.
        """
        columns = list(columns)
        named = {name: name for name in FIELD_TYPES if name in columns and name not in self.constants}
        named |= self.columns
        named |= {f"extra.{name}": text for name, text in self.extra.items()}
        found = {name: SourceColumn.parse(text, columns) for name, text in named.items() if text}
        for name, column in found.items():
            if column.name not in columns and column.name.split(".")[0] not in columns:
                raise ValueError(f"{name} needs the column {column.name!r}; {_named(columns)}")
        if TIME not in found:
            raise ValueError(
                f'no column contains the time; add it to the mapping file: [columns] {TIME} = "COLUMN"; {_named(columns)}'
            )
        if "peer_id" not in found and "session_id" not in found:
            wanted = '[columns] peer_id = "COLUMN"'
            raise ValueError(f"no column contains the id of the end host; add it to the mapping file: {wanted}; {_named(columns)}")
        return found


def shortened(names: Sequence[str]) -> str:
    """The names as one text, without those after the first `_MOST_NAMES`."""
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(name[:_MOST_CHARS] for name in names[:_MOST_NAMES]) + more


def _named(columns: Sequence[str]) -> str:
    return f"the columns of the file are {shortened(columns)}" if columns else "the file has no columns"


def _texts(table: str, content: object) -> dict[str, str]:
    """`content` if it is a table of texts, else ValueError, because the error is in the file."""
    named = content.items() if isinstance(content, dict) else [("the table", content)]
    if wrong := [(name, text) for name, text in named if not isinstance(text, str)]:
        raise ValueError(f"[{table}] {wrong[0][0]} is {wrong[0][1]!r}; it needs a text in quotes")
    return dict(named)


def _check_constant(name: str, value: object) -> None:
    """ValueError for a constant whose type differs from the field's type, and for a number that JSON cannot hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"[constants] {name} is {value!r}; it needs a finite number")
    fits = type(value) is FIELD_TYPES[name] or (type(value) is int and FIELD_TYPES[name] is float)
    if not fits:
        needed = "a text in quotes" if FIELD_TYPES[name] is str else "a number"
        raise ValueError(f"[constants] {name} is {value!r}; it needs {needed}")


def _check_time(content: Entries[str, Any]) -> None:
    """ValueError for an invalid [time] table."""
    if unknown := sorted(content.keys() - {"unit", "zone", "session_gap_s"}):
        raise ValueError(f"[time] contains {unknown[0]!r}; it can contain unit, zone and session_gap_s")
    if content.get("unit", "ms") not in UNITS_MS:
        raise ValueError(f"[time] unit is {content['unit']!r}; choose from {', '.join(UNITS_MS)}")
    gap = content.get("session_gap_s", SESSION_GAP_S)
    if not isinstance(gap, int | float) or isinstance(gap, bool) or not gap > 0:
        raise ValueError(f"[time] session_gap_s is {gap!r}; it needs a number of seconds above 0, such as 300")
    try:
        ZoneInfo(content.get("zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"[time] zone is {content['zone']!r}; it needs a time zone such as UTC or Asia/Hong_Kong") from error
