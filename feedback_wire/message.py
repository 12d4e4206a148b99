"""The feedback message, version 1: 22 named fields, and `extra` for everything that an app adds.

Rates and continuity describe the interval since the previous message. Counts and times are cumulative in the session, so a lost
message does not make them wrong. `(session_id, seq)` identifies a message permanently: both are fixed when the message is built,
not when it is sent. `FIELDS` is the only definition; the JSON Schema, the coordinator's validation and all column types follow
from it.
"""

from dataclasses import dataclass
from typing import Any, Literal

from feedback_wire.limits import EXTRA_KEYS, LARGEST_INT, TEXT_CHARS

VERSION = 1
EVENTS = ("join", "report", "leave")

Event = Literal["join", "report", "leave"]
ExtraValue = str | int | float | bool
Message = dict[str, Any]
"""A feedback message as a JSON object. Absent and null mean the same: the end host does not know the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One named field of the feedback message: its JSON type, its bounds (inclusive) and what it means."""

    name: str
    kind: type[str] | type[int] | type[float]
    meaning: str
    unit: str = ""
    required: bool = False
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()


def _text(name: str, meaning: str, *, required: bool = False) -> Field:
    return Field(name=name, kind=str, meaning=meaning, required=required)


def _count(name: str, meaning: str, unit: str = "", *, required: bool = False) -> Field:
    return Field(name=name, kind=int, meaning=meaning, unit=unit, required=required, least=0, most=LARGEST_INT)


def _rate(name: str, meaning: str) -> Field:
    # 10^9 kbit/s is a terabit: more than any end host has, and small enough for exact sums over a day.
    return Field(name=name, kind=float, meaning=meaning, unit="kbit/s", least=0, most=10**9)


def _share(name: str, meaning: str) -> Field:
    return Field(name=name, kind=float, meaning=meaning, least=0, most=1)


FIELDS: tuple[Field, ...] = (
    Field(name="v", kind=int, meaning="version of this format", required=True, least=VERSION, most=VERSION),
    _text("peer_id", "id of the end host, the same in all its sessions", required=True),
    _text("session_id", "id of the session; new for each start of playback and after a fork", required=True),
    _count("seq", "number of the message in its session, from 0, without gaps", required=True),
    Field(name="event", kind=str, meaning="why this message was sent", required=True, choices=EVENTS),
    _count("sent_ms", "the end host's clock when the message was built, Unix time", "ms", required=True),
    _count("uptime_ms", "monotonic time since the session began", "ms"),
    _text("channel", "the programme that the viewer watches"),
    _text("isp", "access provider, as the end host knows it"),
    _text("app", "name and version of the app"),
    _text("platform", "device or operating system"),
    _rate("upload_kbps", "rate sent to other peers, mean of the interval"),
    _rate("download_kbps", "rate received from peers and servers, mean of the interval"),
    _rate("playback_kbps", "bitrate of the played video, mean of the interval"),
    _share("continuity", "share of the interval's due playback that was played"),
    _count("startup_ms", "time from the viewer's request to the first picture; absent before it", "ms"),
    _count("stall_count", "stalls so far in the session", ""),
    _count("stall_ms", "stalled time so far in the session", "ms"),
    _count("played_ms", "played time so far in the session", "ms"),
    _count("buffer_ms", "playback time that is buffered now", "ms"),
    _count("partners", "peers connected now", "peers"),
    _share("p2p_ratio", "share of the interval's downloaded bytes that came from peers"),
)
"""The 22 fields, in the order in which they are documented and stored in columns."""

FIELD_NAMES = tuple(field.name for field in FIELDS)
REQUIRED = tuple(field.name for field in FIELDS if field.required)


def message_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a feedback message."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Swarmscope feedback message, version 1",
        "type": "object",
        "required": list(REQUIRED),
        "properties": {**{field.name: field_schema(field) for field in FIELDS}, "extra": _extra_schema()},
        "additionalProperties": True,
    }


def field_schema(field: Field) -> dict[str, Any]:
    """JSON Schema of the values of a field."""
    meaning = f"{field.meaning} ({field.unit})" if field.unit else field.meaning
    if field.choices:
        return {"description": meaning, "enum": list(field.choices)}
    json_type = {str: "string", int: "integer", float: "number"}[field.kind]
    schema: dict[str, Any] = {"description": meaning, "type": json_type if field.required else [json_type, "null"]}
    if field.kind is str:
        schema |= {"maxLength": TEXT_CHARS} | ({"minLength": 1} if field.required else {})
    if field.least is not None:
        schema["minimum"] = field.least
    if field.most is not None:
        schema["maximum"] = field.most
    return schema


def _extra_schema() -> dict[str, Any]:
    return {
        "description": "values that the app defines; filtered and measured like named fields",
        "type": ["object", "null"],
        "maxProperties": EXTRA_KEYS,
        "propertyNames": {"minLength": 1, "maxLength": TEXT_CHARS},
        "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": TEXT_CHARS},
    }
