"""One row of a foreign file as a record, or the reason why it is none.

Times before 1973 and after 2100 are refused: nearly always they are in another unit. A number that has to be whole is rounded where
it is a time in milliseconds, and refused elsewhere if it has a fraction.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping as Entries
from dataclasses import dataclass
from typing import Any

import orjson

from coordinator.admission import recorded_address
from coordinator.dialects.native_message import Refused, check
from coordinator.settings import AddressPolicy
from feedback_analysis.reading.rows import LARGEST_WEIGHT
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELD_NAMES, Origin, stamp_received
from swarmscope.importing.mapping import KINDS, TIME, Column, Mapping
from swarmscope.importing.source import Row

EARLIEST_MS, LATEST_MS = 10**11, 4_102_444_800_000
_EXTRA = "extra."
_MILLISECONDS = frozenset(field.name for field in FIELDS if field.unit == "ms")
_NO_VALUE = frozenset({"", "nan", "null", "none"})
"""Texts that stand for no value, in any case of letters, as pandas, R and databases write them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """A feedback message as JSON, when it was said, and what a coordinator would know of its sender."""

    message: bytes
    time_ms: int
    ip: str
    weight: float

    def record(self, via: str, policy: AddressPolicy) -> bytes:
        """The line of a log."""
        prefix = Origin(ip=recorded_address(self.ip, policy), weight=self.weight, via=via).prefix()
        return stamp_received(prefix + self.message[1:] + b"\n", self.time_ms)


class Reader:
    """Reads rows in order of time. What the file does not say is derived: sessions by silence, `seq` and `event` by the order."""

    def __init__(self, mapping: Mapping, sources: Entries[str, Column], *, keeps_time: bool) -> None:
        """`keeps_time`: each message also has its own time in `extra.original_ms`, for a server that stamps another one on it."""
        self.filled: Counter[str] = Counter()
        """How many messages have a value of a field, by its name."""
        self._mapping = mapping
        self._sources = sources
        self._keeps_time = keeps_time
        self._said: dict[str, int] = {}
        self._heard: dict[str, tuple[int, int]] = {}

    def read(self, row: Row) -> Feedback:
        """The feedback in `row`; Refused with the reason if there is none."""
        time_ms = _time(row, self._mapping.unit)
        values = dict(self._mapping.constants) | self._values(row.texts)
        own = {name: values.pop(name, None) for name in RECORD_FIELD_NAMES}
        session_id = self._session(values, time_ms)
        place = self._said.get(session_id, 0)
        derived: dict[str, Any] = {"v": 1, "peer_id": session_id, "session_id": session_id, "seq": place, "sent_ms": time_ms}
        message = derived | {"event": "report" if place else "join"} | values
        if self._keeps_time:
            message["extra"] = message.get("extra", {}) | {"original_ms": time_ms}
        raw = orjson.dumps(message)
        check(raw)
        self._said[session_id] = place + 1
        self.filled.update(self._sources.keys() & {*values, *(_EXTRA + name for name in values.get("extra", ()))})
        weight = 1.0 if own["weight"] is None else own["weight"]
        if not 1 <= weight <= LARGEST_WEIGHT:
            raise Refused("invalid_field", f"weight is {weight:g}; a record stands for 1 to {LARGEST_WEIGHT:,} end hosts")
        return Feedback(message=raw, time_ms=time_ms, ip=own["ip"] or "", weight=weight)

    def _values(self, texts: Entries[str, str | None]) -> dict[str, Any]:
        """The values by field, those of `extra` in an object of their own; fields without a value are left out."""
        values: dict[str, Any] = {}
        extra = {}
        for name, text in texts.items():
            if name == TIME or text is None or text.strip().casefold() in _NO_VALUE:
                continue
            meant = self._mapping.values.get(name, {}).get(text, text)
            if name.startswith(_EXTRA):
                extra[name.removeprefix(_EXTRA)] = _anything(meant, self._sources[name].factor)
            elif KINDS[name] is str:
                values[name] = meant
            else:
                values[name] = _number(name, meant, self._sources[name].factor)
        return values | ({"extra": extra} if extra else {})

    def _session(self, values: Entries[str, Any], time_ms: int) -> str:
        """The session that the row names, or that its end host is in: silence of `session_gap_s` ends one."""
        if "session_id" in self._sources:
            if "session_id" not in values:
                raise Refused("missing_field", "there is no value for session_id")
            return str(values["session_id"])
        if "peer_id" not in values:
            raise Refused("missing_field", "there is no value for peer_id")
        peer_id = str(values["peer_id"])
        last_ms, session = self._heard.get(peer_id, (time_ms, 0))
        session += time_ms - last_ms > self._mapping.session_gap_s * 1000
        self._heard[peer_id] = time_ms, session
        return f"{peer_id}-{session}"


def _time(row: Row, unit: str) -> int:
    """The time of a row in Unix milliseconds; `unit` is what its number was read in."""
    text = row.texts[TIME]
    if all(value is None for value in row.texts.values()):
        raise Refused("empty_row", "none of its columns has a value; a row of JSON lines is a JSON object")
    if row.time_ms is None:
        raise Refused("no_time", "there is no value for the time" if text is None else f"{text[:40]!r} is no time")
    if not EARLIEST_MS <= row.time_ms < LATEST_MS:
        raise Refused(
            "implausible_time",
            f'{str(text)[:40]!r} is before 1973 or after 2100 in {unit}; the mapping file can name another unit: [time] unit = "s"',
        )
    return row.time_ms


def _number(name: str, text: str, factor: float) -> float | int:
    """The number in `text`, in the type of the field."""
    try:
        # Whole numbers stay exact, however long they are.
        number: float | int = int(text) if factor == 1 and text.strip().lstrip("+-").isdecimal() else float(text) * factor
    except ValueError:
        raise Refused("invalid_field", f"{name} is {text[:40]!r}, which is no number") from None
    if not math.isfinite(number):
        raise Refused("invalid_field", f"{name} is {text[:40]!r}, which is not finite")
    if KINDS[name] is int and isinstance(number, float):
        if name not in _MILLISECONDS and not number.is_integer():
            raise Refused("invalid_field", f"{name} is {text[:40]!r}, which is no whole number")
        return round(number)
    return number


def _anything(text: str, factor: float) -> str | float | int | bool:
    """A value of `extra`: a number or a boolean where the text is one in JSON, else the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value if isinstance(value, bool) else text
    return value if factor == 1 else value * factor
