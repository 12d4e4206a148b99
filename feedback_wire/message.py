"""The feedback message, version 1: 22 named fields, and `extra` for everything that an app adds.

Rates and continuity describe the interval since the previous message. Counts and times are cumulative in the session, so a lost
message does not make them wrong. `(session_id, seq)` identifies a message permanently: both are fixed when the message is built,
not when it is sent. `FIELDS` is the only definition; the JSON Schema, the coordinator's validation and all column types follow
from it.
"""

from typing import Any, Literal

from feedback_wire.field import Field, count, rate, schema_of, share, text, version
from feedback_wire.limits import EXTRA_KEYS, TEXT_CHARS

VERSION = 1
EVENTS = ("join", "report", "leave")

Event = Literal["join", "report", "leave"]
ExtraValue = str | int | float | bool
Message = dict[str, Any]
"""A feedback message as a JSON object. Absent and null mean the same: the end host does not know the value."""


FIELDS: tuple[Field, ...] = (
    version(VERSION),
    text("peer_id", "id of the end host, the same in all its sessions", required=True),
    text("session_id", "id of the session; new for each start of playback and after a fork", required=True),
    count("seq", "number of the message in its session, from 0, without gaps", required=True),
    Field(name="event", kind=str, meaning="why this message was sent", required=True, choices=EVENTS),
    count("sent_ms", "the end host's clock when the message was built, Unix time", "ms", required=True),
    count("uptime_ms", "monotonic time since the session began", "ms"),
    text("channel", "the programme that the viewer watches"),
    text("isp", "access provider, as the end host knows it"),
    text("app", "name and version of the app"),
    text("platform", "device or operating system"),
    rate("upload_kbps", "rate sent to other peers, mean of the interval"),
    rate("download_kbps", "rate received from peers and servers, mean of the interval"),
    rate("playback_kbps", "bitrate of the played video, mean of the interval"),
    share("continuity", "share of the interval's due playback that was played"),
    count("startup_ms", "time from the viewer's request to the first picture; absent before it", "ms"),
    count("stall_count", "stalls so far in the session", ""),
    count("stall_ms", "stalled time so far in the session", "ms"),
    count("played_ms", "played time so far in the session", "ms"),
    count("buffer_ms", "playback time that is buffered now", "ms"),
    count("partners", "peers connected now", "peers"),
    share("p2p_ratio", "share of the interval's downloaded bytes that came from peers"),
)
"""The 22 fields, in the order in which they are documented and stored in columns."""

REQUIRED = tuple(field.name for field in FIELDS if field.required)


def message_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a feedback message."""
    return schema_of("Swarmscope feedback message, version 1", FIELDS, {"extra": _extra_schema()})


def _extra_schema() -> dict[str, Any]:
    return {
        "description": "values that the app defines; filtered and measured like named fields",
        "type": ["object", "null"],
        "maxProperties": EXTRA_KEYS,
        "propertyNames": {"minLength": 1, "maxLength": TEXT_CHARS},
        "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": TEXT_CHARS},
    }
