"""Converts one row of an imported file to a record, or refuses it with a reason.

Times before 1973 and after 2100 are refused, because they are almost always in another unit. Fractions are rounded in whole-number
fields that are times in milliseconds, and refused in other whole-number fields.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping as Entries
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from coordinator.admission import recorded_address
from coordinator.dialects.exact_check import Refused
from coordinator.dialects.native_message import check
from coordinator.settings import AddressPolicy
from feedback_analysis.moments import check_local, check_offset
from feedback_analysis.reading.rows import LARGEST_WEIGHT
from feedback_wire.limits import LARGEST_INT, TEXT_CHARS
from feedback_wire.message import FIELDS
from feedback_wire.numbers import parsed_float
from feedback_wire.record import RECORD_FIELD_NAMES, Origin, stamp_received
from swarmscope.importing.mapping import FIELD_TYPES, TIME, Mapping, SourceColumn
from swarmscope.importing.row_source import NUMBER, SourceRow

EARLIEST_MS, LATEST_MS = 10**11, 4_102_444_800_000
_EXTRA = "extra."
_MILLISECONDS = frozenset(field.name for field in FIELDS if field.unit == "ms")
_NO_VALUE = frozenset({"", "nan", "null", "none"})
"""Texts for a missing value in lower case, as pandas, R and databases write them."""

_EXACT_DIGITS = 18
"""A whole number of so many digits has less than 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedMessage:
    """A feedback message as JSON, its time, and the values that a coordinator would add."""

    message: bytes
    time_ms: int
    ip: str
    weight: float

    def record(self, via: str, policy: AddressPolicy) -> bytes:
        """The record as a line of a log."""
        prefix = Origin(ip=recorded_address(self.ip, policy), weight=self.weight, via=via).prefix()
        return stamp_received(prefix + self.message[1:] + b"\n", self.time_ms)


class RowReader:
    """Converts rows in order of time. Missing fields are derived: sessions from gaps, `seq` and `event` from the order of rows."""

    def __init__(self, mapping: Mapping, sources: Entries[str, SourceColumn], *, keeps_time: bool) -> None:
        """With `keeps_time`, each message contains its time in `extra.original_ms`, because a server sets another time
        of receipt.
        """
        self.filled: Counter[str] = Counter()
        """The number of messages with a value, per field."""
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.zone)
        self._plan = [
            (name, None if name.startswith(_EXTRA) else FIELD_TYPES[name], column.factor, mapping.values.get(name))
            for name, column in sources.items()
            if name != TIME
        ]
        """For each source: its name, the type of its field (None: a value of `extra`), its factor, and meanings of values."""
        self._sources = sources
        self._keeps_time = keeps_time
        self._next_seq: dict[str, int] = {}
        self._last_rows: dict[str, tuple[int, int]] = {}

    def read(self, row: SourceRow) -> ImportedMessage:
        """Convert `row` to a message; Refused with a reason if the row is invalid."""
        time_ms = _time(row, self._mapping.unit, self._zone)
        values = dict(self._mapping.constants) | self._values(row.texts)
        own = {name: values.pop(name, None) for name in RECORD_FIELD_NAMES}
        session_id = self._session(values, time_ms)
        seq = self._next_seq.get(session_id, 0)
        derived: dict[str, Any] = {"v": 1, "peer_id": session_id, "session_id": session_id, "seq": seq, "sent_ms": time_ms}
        message = derived | {"event": "report" if seq else "join"} | values
        if self._keeps_time:
            message["extra"] = message.get("extra", {}) | {"original_ms": time_ms}
        try:
            raw = orjson.dumps(message)
        except orjson.JSONEncodeError as error:  # a whole number of more than 64 bits
            raise Refused("invalid_field", f"a value cannot be written: {error}") from None
        check(raw)
        self._next_seq[session_id] = seq + 1
        self.filled.update(self._sources.keys() & {*values, *(_EXTRA + name for name in values.get("extra", ()))})
        weight = 1.0 if own["weight"] is None else own["weight"]
        if not 1 <= weight <= LARGEST_WEIGHT:
            raise Refused("invalid_field", f"weight is {weight:g}; a record stands for 1 to {LARGEST_WEIGHT:,} end hosts")
        return ImportedMessage(message=raw, time_ms=time_ms, ip=own["ip"] or "", weight=weight)

    def _values(self, texts: Entries[str, str | None]) -> dict[str, Any]:
        """The values by field. Values of `extra` are in a separate object. Fields without a value are omitted."""
        values: dict[str, Any] = {}
        extra = {}
        for name, kind, factor, meanings in self._plan:
            text = texts[name]
            # Most values are numbers, and no number stands for a missing value.
            if text is None or (not text[:1].isdecimal() and text.strip().casefold() in _NO_VALUE):
                continue
            converted = meanings.get(text, text) if meanings else text
            if kind is None:
                extra[name.removeprefix(_EXTRA)] = _extra_value(converted, factor)
            elif kind is str:
                values[name] = converted
            else:
                values[name] = _number(name, converted, factor)
        return values | ({"extra": extra} if extra else {})

    def _session(self, values: Entries[str, Any], time_ms: int) -> str:
        """The row's session id, or one derived from the peer: a gap of more than `session_gap_s` begins a new session."""
        if "session_id" in self._sources:
            if "session_id" not in values:
                raise Refused("missing_field", "session_id has no value")
            return str(values["session_id"])
        if "peer_id" not in values:
            raise Refused("missing_field", "peer_id has no value")
        peer_id = str(values["peer_id"])
        last_ms, session = self._last_rows.get(peer_id, (time_ms, 0))
        session += time_ms - last_ms > self._mapping.session_gap_s * 1000
        self._last_rows[peer_id] = time_ms, session
        return _derived_session(peer_id, session)


def _derived_session(peer_id: str, session: int) -> str:
    """The id of a session of a peer. A digest replaces a `peer_id` that is too long for a number behind it."""
    session_id = f"{peer_id}-{session}"
    if len(session_id) <= TEXT_CHARS or len(peer_id) > TEXT_CHARS:  # the latter is refused
        return session_id
    return f"{hashlib.sha256(peer_id.encode()).hexdigest()}-{session}"


def _time(row: SourceRow, unit: str, zone: ZoneInfo) -> int:
    """The time of a row in Unix milliseconds. `unit` is the mapping's unit for numeric times, `zone` that of local times."""
    text = row.texts[TIME]
    if all(value is None for value in row.texts.values()):
        raise Refused("empty_row", "no column has a value; in JSON lines, each row must be a JSON object")
    if row.time_ms is None:
        raise Refused("no_time", "the time has no value" if text is None else f"{text[:40]!r} is not a time")
    if not EARLIEST_MS <= row.time_ms < LATEST_MS:
        raise Refused("implausible_time", f"{str(text)[:40]!r} is before 1973 or after 2100{_unit_advice(str(text), unit)}")
    written = str(text).strip()
    try:
        check_offset(written)
        check_local(written, row.time_ms, zone)
    except ValueError as error:
        raise Refused("no_time", str(error)) from error
    return row.time_ms


def _unit_advice(text: str, unit: str) -> str:
    """How to change `unit` if `text` is a number; a time in ISO 8601 has no unit."""
    return f' in {unit}; set another unit in the mapping file: [time] unit = "s"' if re.fullmatch(NUMBER, text) else ""


def _number(name: str, text: str, factor: float) -> float | int:
    """The number in `text`, with the field's type."""
    if factor == 1 and len(text) <= _EXACT_DIGITS and text.isdecimal():
        return int(text)
    try:
        number = parsed_float(text) * factor
        if math.isfinite(number) and factor == 1 and text.strip().lstrip("+-").isdecimal():
            return int(text)  # exact, also above 2^53
    except ValueError:
        raise Refused("invalid_field", f"{name} is {text[:40]!r}, which is not a number") from None
    if not math.isfinite(number):
        raise Refused("invalid_field", f"{name} is {text[:40]!r}, which is not finite")
    if FIELD_TYPES[name] is int:
        if name not in _MILLISECONDS and not number.is_integer():
            raise Refused("invalid_field", f"{name} is {text[:40]!r}, which is not a whole number")
        return round(number)
    return number


def _extra_value(text: str, factor: float) -> str | float | int | bool:
    """A value of `extra`: a number or boolean if the text is one in JSON that readers hold exactly, otherwise the text."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, bool):
        return value
    if (isinstance(value, int) and abs(value) <= LARGEST_INT) or (isinstance(value, float) and math.isfinite(value)):
        return value if factor == 1 else value * factor
    return text
