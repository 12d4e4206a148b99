"""The rows of one session in the tables of sessions and events, from what was read of it. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from statistics import median

from qoe_lab.dataset.address_hash import hashed
from qoe_lab.dataset.json_values import JsonValues
from qoe_lab.dataset.recorded_training import RecordedSession, RecordedTraining
from qoe_lab.dataset.splits import split_of
from qoe_lab.dataset.table_columns import TableRow
from qoe_lab.labels.server_witness import agreement, server_witness
from qoe_lab.labels.session_labels import SessionLabels
from qoe_lab.labels.session_scores import SessionScores
from qoe_lab.player_events import PlayerEvent

_TEXTS = ("source", "client", "content_id", "congestion_control", "trace")
_INTEGERS = ("number", "block", "attempt", "begin_ms", "end_ms")
_NUMBERS = ("limit_mbps", "delay_ms", "loss", "queue_ms", "trace_begin_s")
_OF_RESULT = ("frames", "kernel_drops", "queue_dropped_to_client", "queue_dropped_from_client")
NOT_CAPTURED = -1
_FORMER_MEDIA_MS = 2000.0
"""Of all segments of trainings whose request log does not state it."""


def identity_row(training: RecordedTraining, session: RecordedSession) -> TableRow:
    """The columns that any session has, also without its files: the journal's number, attempt and status."""
    row: TableRow = {"session_id": session.session_id, "training_id": training.training_id, "status": NOT_CAPTURED, "valid": False}
    if session.journal is not None:
        row |= {name: session.journal.integer(name) for name in ("number", "attempt", "status")}
    return row


def planned_row(cell: JsonValues, key: bytes) -> TableRow:
    """The columns from `session.json`."""
    row: TableRow = {name: cell.text(name) for name in _TEXTS}
    row |= {name: cell.integer(name) for name in _INTEGERS}
    row |= {name: cell.number(name) for name in _NUMBERS}
    row |= {name: hashed(cell.text(name), key) for name in ("client_address", "server_address")}
    return row | {"split": split_of(row["content_id"], row["block"])}


def captured_row(result: JsonValues, shaping: JsonValues | None) -> TableRow:
    """The columns from `result.json` and `shaping.json`."""
    row: TableRow = {name: result.integer(name) for name in ("status", *_OF_RESULT)}
    row |= {"pcap_sha256": result.text("pcap_sha256")}
    return row | {"goodput_mbps": None if shaping is None else shaping.number("goodput_mbps")}


def labels_row(labels: SessionLabels, scores: SessionScores) -> TableRow:
    """The labels of a session, and its scores."""
    started = labels.startup_ms is not None
    return {
        "started": started,
        "watched_ms": labels.watched_ms,
        "startup_ms": labels.startup_ms,
        "played_ms": labels.played_ms(0.0, labels.watched_ms) if started else None,
        "stall_count": labels.stall_count,
        "stall_ms": labels.stall_ms,
        "stall_ratio": labels.stall_ratio,
        "longest_stall_ms": max((stall.length_ms for stall in labels.stalls), default=0.0) if started else None,
        "switches": labels.switches,
        "mean_kbps": labels.mean_kbps,
        "mean_height": labels.mean_height,
        "decoded_frames": labels.decoded_frames,
        "dropped_frames": labels.dropped_frames,
        **asdict(scores),
    }


def witness_row(requests: Sequence[JsonValues], tcp_info: Iterable[JsonValues]) -> TableRow:
    """The columns from the logs of the server. Null where it kept no log."""
    row: TableRow = {}
    if requests:
        row = {"server_requests": len(requests), "server_bytes": sum(each.integer("bytes") or 0 for each in requests)}
    if lengths_ms := [length_ms for each in requests if (length_ms := each.number("media_ms")) is not None]:
        row |= {"segment_ms": median(lengths_ms)}
    retransmissions: dict[int | None, int] = {}
    unacked: dict[int | None, int] = {}
    round_trips_ms = []
    for sample in tcp_info:
        port, total = sample.integer("peer_port"), sample.integer("total_retrans")
        # The kernel's counter only grows, so its last value is that of the whole connection.
        retransmissions[port] = max(retransmissions.get(port, 0), total or 0)
        unacked[port] = sample.integer("unacked") or 0
        if (rtt_us := sample.number("rtt_us")) is not None and rtt_us > 0:
            round_trips_ms.append(rtt_us / 1000)
    if retransmissions:
        row |= {"server_retransmissions": sum(retransmissions.values()), "server_unacked": sum(unacked.values())}
    if round_trips_ms:
        row |= {"server_rtt_ms": sum(round_trips_ms) / len(round_trips_ms)}
    return row


def agreement_row(requests: Sequence[JsonValues], labels: SessionLabels) -> TableRow:
    """Startup and stalls as the request log shows them, compared with the player. Null where it shows no segment."""
    answered = [_answered(each) for each in requests if each.number("wall_ms") is not None and each.number("took_ms") is not None]
    witness = server_witness(answered, wall_ms=labels.wall_ms, until_ms=labels.watched_ms)
    if witness.startup_ms is None:
        return {}
    compared = agreement(labels, witness)
    return {
        "server_startup_ms": witness.startup_ms,
        "server_stall_count": len(witness.stalls),
        "server_stall_ms": sum((stall.length_ms for stall in witness.stalls), 0.0),
        "stalls_only_player": compared.only_player,
        "stalls_only_server": compared.only_server,
    }


def _answered(request: JsonValues) -> TableRow:
    return {
        "path": request.text("path"),
        "status": request.integer("status"),
        "arrived": request.boolean("arrived"),
        "wall_ms": request.number("wall_ms"),
        "took_ms": request.number("took_ms"),
        "media_ms": request.number("media_ms") or _FORMER_MEDIA_MS,
        "cmcd": request.object("cmcd").all,
    }


def event_rows(row: TableRow, events: Sequence[PlayerEvent], requests: Sequence[JsonValues], wall_ms: float) -> Iterator[TableRow]:
    """The events of the player and the server, in the order of time; of the same time, the player's events first."""
    ids = {name: row[name] for name in ("session_id", "training_id")}
    both = [{**ids, "witness": "player", **_of_player(event)} for event in events]
    both += [{**ids, "witness": "server", **_of_server(request, wall_ms)} for request in requests]
    yield from sorted(both, key=lambda each: each["t_ms"])


def _of_player(event: PlayerEvent) -> TableRow:
    values = asdict(event)
    del values["wall_ms"]
    return values


def _of_server(request: JsonValues, wall_ms: float) -> TableRow:
    cmcd = request.object("cmcd").all
    return {
        "t_ms": (request.number("wall_ms") or wall_ms) - wall_ms,
        "event": "request",
        "bytes": request.integer("bytes"),
        "took_ms": request.number("took_ms"),
        "http_status": request.integer("status"),
        "detail": request.text("path"),
        "cmcd": json.dumps(cmcd, sort_keys=True) if cmcd else None,
    }
