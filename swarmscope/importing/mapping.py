"""Which column of a foreign file gives which field, as a TOML file says it.

A column that has the name of a field gives that field without being named. Nothing is guessed beyond that.
"""

import re
import tomllib
from collections.abc import Iterable
from collections.abc import Mapping as Entries
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from feedback_wire.limits import EXTRA_KEYS
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELDS

TIME = "received_ms"
KINDS = {each.name: each.kind for each in (*RECORD_FIELDS, *FIELDS)}
"""The type of each field that a mapping can name."""

UNITS_MS = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""Units of times that are numbers, in milliseconds."""

SESSION_GAP_S = 300.0
"""A peer that is silent for longer begins a new session, where the file does not tell sessions apart."""

_SCALED = re.compile(r"(?P<column>.+?)\s*(?P<sign>[*/])\s*(?P<factor>\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
_TABLES = ("columns", "constants", "extra", "values", "time")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file, and the number that its values are multiplied by."""

    name: str
    factor: float = 1.0

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> "Column":
        """`NAME`, `NAME * NUMBER` or `NAME / NUMBER`. A text that is the name of one of `columns` is that name."""
        found = None if text in columns else _SCALED.fullmatch(text)
        if found is None:
            return cls(text)
        factor = float(found["factor"])
        if not factor:
            raise ValueError(f"{text!r} multiplies or divides by 0")
        return cls(found["column"], factor if found["sign"] == "*" else 1 / factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What a mapping file says. `columns` and `extra` hold texts for `Column.parse`; an empty one leaves the field out."""

    columns: Entries[str, str] = field(default_factory=dict)
    constants: Entries[str, Any] = field(default_factory=dict)
    extra: Entries[str, str] = field(default_factory=dict)
    values: Entries[str, Entries[str, str]] = field(default_factory=dict)
    unit: str = "ms"
    zone: str = "UTC"
    session_gap_s: float = SESSION_GAP_S

    def __post_init__(self) -> None:
        for name in (*self.columns, *self.constants, *self.values):
            if name not in KINDS:
                raise ValueError(f"{name!r} is no field; other names go under [extra]. The fields are {', '.join(KINDS)}")
        for name, value in self.constants.items():
            _check_constant(name, value)
        if both := sorted(self.columns.keys() & self.constants.keys()):
            raise ValueError(f"{both[0]!r} has a column and a constant; a field has one of them")
        if len(self.extra) > EXTRA_KEYS:
            raise ValueError(f"[extra] has {len(self.extra)} entries; a message has at most {EXTRA_KEYS}")

    @classmethod
    def read(cls, path: Path) -> "Mapping":
        """The mapping in a TOML file; ValueError names the file and what is wrong in it."""
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
            return cls._of(said)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, said: Entries[str, Any]) -> "Mapping":
        for name, table in said.items():
            if name not in _TABLES or not isinstance(table, dict):
                raise ValueError(f"[{name}] is no table of a mapping; there are [{'], ['.join(_TABLES)}]")
        time = said.get("time", {})
        _check_time(time)
        return cls(
            columns=_texts("columns", said.get("columns", {})),
            constants=said.get("constants", {}),
            extra=_texts("extra", said.get("extra", {})),
            values={name: _texts(f"values.{name}", table) for name, table in said.get("values", {}).items()},
            unit=time.get("unit", "ms"),
            zone=time.get("zone", "UTC"),
            session_gap_s=float(time.get("session_gap_s", SESSION_GAP_S)),
        )

    def sources(self, columns: Iterable[str]) -> dict[str, Column]:
        """The column of each field, and of each entry of `extra` under the name `extra.NAME`; ValueError for one that is not there.

        `columns` are those of the file. `a.b` is the value b within a column a of objects, unless there is a column of that name.
        """
        columns = list(columns)
        named = {name: name for name in KINDS if name in columns and name not in self.constants}
        named |= self.columns
        named |= {f"extra.{name}": text for name, text in self.extra.items()}
        found = {name: Column.parse(text, columns) for name, text in named.items() if text}
        for name, column in found.items():
            if column.name not in columns and column.name.split(".")[0] not in columns:
                raise ValueError(f"{name} is to come from the column {column.name!r}; the file has {', '.join(columns)}")
        if TIME not in found:
            raise ValueError(f'no column gives the time; name it in the mapping file: [columns] {TIME} = "COLUMN"')
        if "peer_id" not in found and "session_id" not in found:
            raise ValueError('no column gives the end host; name it in the mapping file: [columns] peer_id = "COLUMN"')
        return found


def _texts(table: str, said: object) -> dict[str, str]:
    """`said` if it is a table of texts, else ValueError: the file is wrong, not the call."""
    named = said.items() if isinstance(said, dict) else [("the table", said)]
    if wrong := [(name, text) for name, text in named if not isinstance(text, str)]:
        raise ValueError(f"[{table}] {wrong[0][0]} is {wrong[0][1]!r}; it needs a text in quotes")
    return dict(named)


def _check_constant(name: str, value: object) -> None:
    """ValueError for a constant that is not of its field's type."""
    fits = type(value) is KINDS[name] or (type(value) is int and KINDS[name] is float)
    if not fits:
        raise ValueError(f"[constants] {name} is {value!r}; it needs {'a text in quotes' if KINDS[name] is str else 'a number'}")


def _check_time(said: Entries[str, Any]) -> None:
    """ValueError for a [time] that means nothing."""
    if unknown := sorted(said.keys() - {"unit", "zone", "session_gap_s"}):
        raise ValueError(f"[time] has no {unknown[0]}; it has unit, zone and session_gap_s")
    if said.get("unit", "ms") not in UNITS_MS:
        raise ValueError(f"[time] unit is {said['unit']!r}; choose from {', '.join(UNITS_MS)}")
    gap = said.get("session_gap_s", SESSION_GAP_S)
    if not isinstance(gap, int | float) or isinstance(gap, bool) or not gap > 0:
        raise ValueError(f"[time] session_gap_s is {gap!r}; it needs seconds above 0, such as 300")
    try:
        ZoneInfo(said.get("zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise ValueError(f"[time] zone is {said['zone']!r}; it needs a time zone such as UTC or Asia/Hong_Kong") from error
