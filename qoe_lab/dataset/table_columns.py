"""The tables of a data set: each column with its type, unit and meaning. docs/formats/training-dataset.md shows the same.

A value that is not known is null, never 0. A change of the columns gets a new VERSION, which is in the metadata of every file.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

from qoe_lab.traffic.flow_columns import FLOW_COLUMNS
from qoe_lab.traffic.slot_features import SLOT_FEATURES
from qoe_lab.traffic.traffic_column import TrafficColumn

VERSION = 1
VERSION_KEY = b"swarmscope.dataset_version"

TableRow = dict[str, Any]
TableName = Literal["trainings", "sessions", "slots", "flows", "events"]
ColumnType = Literal["text", "integer", "number", "yes or no", "list of numbers"]
TYPES: dict[ColumnType, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "yes or no": pa.bool_(),
    "list of numbers": pa.list_(pa.float64()),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column of a table. `unit` is empty for a value without a unit."""

    name: str
    type: ColumnType
    meaning: str
    unit: str = ""


def _text(name: str, meaning: str) -> TableColumn:
    return TableColumn(name=name, type="text", meaning=meaning)


def _integer(name: str, meaning: str, unit: str = "") -> TableColumn:
    return TableColumn(name=name, type="integer", meaning=meaning, unit=unit)


def _number(name: str, meaning: str, unit: str = "") -> TableColumn:
    return TableColumn(name=name, type="number", meaning=meaning, unit=unit)


_SESSION_ID = _text("session_id", "session, as in the feedback messages and the folder")
_TRAINING_ID = _text("training_id", "id of the training: its name, a hyphen and six random hexadecimal digits")
_SPLIT = _text("split", "train, val or test; the same for all sessions with the same content")

TRAININGS = (
    _TRAINING_ID,
    _integer("begin_ms", "beginning of the first session, Unix time", "ms"),
    _integer("end_ms", "end of the last session, Unix time", "ms"),
    _text("source", "what the sessions played: hls, dash or overlay (twitch: not yet)"),
    _text("client", "what played it: headless, hls.js, dash.js or overlay"),
    _integer("sessions_planned", "sessions of the plan"),
    _integer("sessions_valid", "sessions in this data set that are valid"),
    _integer("sessions_invalid", "sessions in this data set that are not valid"),
    TableColumn(name="limits_mbps", type="list of numbers", meaning="limits of the rate, to the client and from it", unit="Mbit/s"),
    _number("seconds", "planned length of a session", "s"),
    _number("delay_ms", "delay of each direction of the shaped link", "ms"),
    _number("loss", "share of packets that the shaped link drops in each direction, 0 to 1"),
    _number("queue_ms", "how long a packet may wait in the queue of the shaped link", "ms"),
    _text("trace", "network trace that the rate follows; null for a fixed rate"),
    _integer("seed", "seed of the plan"),
    _text("congestion_control", "TCP congestion control of the sessions"),
    _text("environment", "machine, versions and tools, as training.json has them, as JSON"),
)

_PLANNED = (
    _SESSION_ID,
    _TRAINING_ID,
    _integer("number", "place in the plan, from 0"),
    _integer("block", "block of the plan, from 0; a block has each limit once"),
    _integer("attempt", "attempt at this place of the plan, from 1"),
    _integer("status", "-1 not captured, 0 under capturing, 1 captured, 2 discarded"),
    TableColumn(name="valid", type="yes or no", meaning="whether capture and labels can be used"),
    _text("invalid_reason", "why the session is not valid, as one word"),
    _text("invalid_detail", "the same for people"),
    _text("doubts", "names of doubts about a valid session, with spaces between them"),
    _SPLIT,
    _integer("begin_ms", "beginning, Unix time", "ms"),
    _integer("end_ms", "end, Unix time", "ms"),
    _text("source", "as in the table of trainings"),
    _text("client", "as in the table of trainings"),
    _text("content_id", "what was played"),
    _number("limit_mbps", "limit of the rate, to the client and from it", "Mbit/s"),
    _number("delay_ms", "as in the table of trainings", "ms"),
    _number("loss", "as in the table of trainings"),
    _number("queue_ms", "as in the table of trainings", "ms"),
    _text("congestion_control", "as in the table of trainings"),
    _text("trace", "as in the table of trainings"),
    _number("trace_begin_s", "where in the trace the session begins", "s"),
    _text("client_address", "keyed hash of the client's address"),
    _text("server_address", "keyed hash of the server's address"),
)

_CAPTURED = (
    _number("goodput_mbps", "rate that the probe of the shaped link measured before the session", "Mbit/s"),
    _integer("frames", "captured frames"),
    _integer("kernel_drops", "frames that the kernel dropped while capturing"),
    _integer("queue_dropped_to_client", "packets that the queue of the shaped link dropped, to the client"),
    _integer("queue_dropped_from_client", "packets that the queue of the shaped link dropped, from the client"),
    _text("pcap_sha256", "SHA-256 of the capture, hexadecimal"),
    _integer("up_payload_bytes", "payload of all flows from the client", "bytes"),
    _integer("down_payload_bytes", "payload of all flows to the client", "bytes"),
)

_LABELS = (
    TableColumn(name="started", type="yes or no", meaning="whether a picture was shown before the session ended"),
    _number("watched_ms", "from the navigation start to the end", "ms"),
    _number("startup_ms", "from the navigation start to the first picture; null if there was none", "ms"),
    _number("played_ms", "time after the first picture in which playback was not stalled", "ms"),
    _integer("stall_count", "stalls after the first picture"),
    _number("stall_ms", "sum of the stalls", "ms"),
    _number("stall_ratio", "stalled time as a share of the time since the first picture, 0 to 1"),
    _number("longest_stall_ms", "longest stall", "ms"),
    _integer("silent_stall_s", "slots in state stall in which no packet came to the client", "s"),
    _integer("switches", "changes of the representation after the first one"),
    _number("mean_kbps", "mean declared rate of the representations, weighted by played time", "kbit/s"),
    _number("mean_height", "mean height of the picture, weighted by played time", "pixels"),
    _integer("decoded_frames", "frames of the video that were decoded"),
    _integer("dropped_frames", "frames of the video that were dropped"),
    _number("mos", "score of the whole session by the platform's model `mos`, 1 to 5"),
    _number("mos_stalling", "the same by the model `mos_stalling`"),
    _number("startup_score", "the same by the model `startup_score`"),
)

_WITNESS = (
    _integer("server_requests", "requests that the local server answered"),
    _integer("server_bytes", "bytes of these answers", "bytes"),
    _number("segment_ms", "length of most of the segments that the local server answered with", "ms"),
    _integer("server_retransmissions", "retransmitted segments by the kernel's TCP_INFO of the server's sockets"),
    _number("server_rtt_ms", "mean round-trip time by the kernel's TCP_INFO of the server's sockets", "ms"),
    _integer("server_unacked", "segments of the server without acknowledgement at the end, by TCP_INFO"),
    _integer("silent_end_s", "slots at the end of the session in which no packet came to the client", "s"),
    _number("server_startup_ms", "when the first segment had arrived, by the request log", "ms"),
    _integer("server_stall_count", "times in which all segments that had arrived were played, by the request log"),
    _number("server_stall_ms", "sum of these times", "ms"),
    _integer("stalls_only_player", "stalls of the player that the request log does not show"),
    _integer("stalls_only_server", "stalls by the request log that the player does not have"),
)

SESSIONS = (*_PLANNED, *_CAPTURED, *_LABELS, *_WITNESS)

EVENTS = (
    _SESSION_ID,
    _TRAINING_ID,
    _text("witness", "player or server"),
    _number("t_ms", "time since the navigation start", "ms"),
    _text("event", "name of the player's event, or request"),
    _integer("height", "height of the representation or picture", "pixels"),
    _number("kbps", "declared rate of the representation", "kbit/s"),
    _integer("bytes", "bytes of the segment or of the answer", "bytes"),
    _number("took_ms", "time that the segment or the answer took", "ms"),
    _number("buffer_ms", "buffered time", "ms"),
    _number("position_ms", "position of the playback", "ms"),
    _integer("decoded_frames", "frames decoded so far"),
    _integer("dropped_frames", "frames dropped so far"),
    _integer("http_status", "status of the server's answer"),
    _text("detail", "what failed, or the requested path"),
    _text("cmcd", "the request's CMCD"),
)


def _of_traffic(column: TrafficColumn) -> TableColumn:
    """A column that `traffic/` defines. Features of slots are numbers, because some are means."""
    return TableColumn(name=column.name, type=_type_of_traffic(column), unit=column.unit.replace("0/1", ""), meaning=column.meaning)


def _type_of_traffic(column: TrafficColumn) -> ColumnType:
    if column.name in ("protocol", "client", "server"):
        return "text"
    if column.unit == "0/1":
        return "yes or no"
    return "number" if column.unit in ("ms", "kbit/s", "s") else "integer"


SLOT_LABELS = (
    _text("state", "startup, play or stall: what filled most of the slot"),
    _number("stalled_ms", "stalled time in the slot", "ms"),
    _integer("height", "height of the picture at the end of the slot; null before the first picture", "pixels"),
    _number("buffer_ms", "buffered time at the last sample in the slot", "ms"),
)

SLOTS = (
    _SESSION_ID,
    _TRAINING_ID,
    _SPLIT,
    _integer("slot", "number of the slot, from 0 at the navigation start; a slot is one second"),
    _number("begin_ms", "beginning of the slot, Unix time", "ms"),
    *SLOT_LABELS,
    *(replace(_of_traffic(column), type="number") for column in SLOT_FEATURES),
)

_FLOW_COLUMNS = {column.name: column for column in map(_of_traffic, FLOW_COLUMNS)} | {
    "client": _text("client", "keyed hash of the address of the side that began the flow"),
    "server": _text("server", "keyed hash of the address of the other side"),
}

FLOWS = (
    _SESSION_ID,
    _TRAINING_ID,
    _integer("flow", "number of the flow in its session, from 0 in the order of the first packets"),
    *_FLOW_COLUMNS.values(),
)

TABLES: dict[TableName, tuple[TableColumn, ...]] = {
    "trainings": TRAININGS,
    "sessions": SESSIONS,
    "slots": SLOTS,
    "flows": FLOWS,
    "events": EVENTS,
}
