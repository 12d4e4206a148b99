"""One session: from its files to its rows in all tables. A session that is not valid has a row with the reason, and no others."""

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from qoe_lab.dataset.address_hash import hashed
from qoe_lab.dataset.invalid_session import ExportReason, InvalidSessionError, of_damage
from qoe_lab.dataset.json_values import DamagedFileError, JsonValues, read_objects
from qoe_lab.dataset.recorded_training import RecordedSession, RecordedTraining
from qoe_lab.dataset.session_doubts import doubts_of
from qoe_lab.dataset.session_rows import (
    agreement_row,
    captured_row,
    event_rows,
    identity_row,
    labels_row,
    planned_row,
    witness_row,
)
from qoe_lab.dataset.table_columns import TableRow
from qoe_lab.labels.session_labels import SessionLabels, session_labels
from qoe_lab.labels.session_scores import Scorer
from qoe_lab.labels.slot_labels import SlotLabel, slot_labels
from qoe_lab.player_events import PlayerEvent, read_events
from qoe_lab.traffic.capture_reader import CaptureReader
from qoe_lab.traffic.flow_columns import flow_row
from qoe_lab.traffic.link_frame import NotACaptureError
from qoe_lab.traffic.slot_counter import SLOT_NS, SlotCounter, TrafficSlot
from serving.regular_files import open_regular

NEVER_STARTED = "no_first_frame"
"""A session whose first picture never came is valid: leaving out the worst sessions would make the network look better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTables:
    """The rows of one session."""

    session: TableRow
    slots: Sequence[TableRow] = ()
    flows: Sequence[TableRow] = ()
    events: Sequence[TableRow] = ()


@dataclass(slots=True, kw_only=True)
class SessionReader:
    """Reads the sessions of one training, one after the other."""

    training: RecordedTraining
    key: bytes = field(repr=False)
    """Of the hashes of addresses."""
    scorer: Scorer = field(default_factory=Scorer)

    def read(self, session: RecordedSession) -> SessionTables:
        """The rows of a session."""
        row = identity_row(self.training, session)
        try:
            cell, result = _whole(session)
            row |= planned_row(cell, self.key) | captured_row(result, session.shaping)
            _check_result(result)
            return self._valid(session, row)
        except DamagedFileError as error:
            return _invalid(row, of_damage(error))
        except InvalidSessionError as error:
            return _invalid(row, error)

    def _valid(self, session: RecordedSession, row: TableRow) -> SessionTables:
        events = _events(session)
        labels = session_labels(events)
        if labels.invalid_reason not in (None, NEVER_STARTED):
            raise InvalidSessionError(labels.invalid_reason, "; ".join(labels.errors) or None)
        requests = list(read_objects(session.requests))
        row |= {"valid": True} | labels_row(labels, self.scorer.scores(labels))
        row |= witness_row(requests, read_objects(session.tcp_info)) | agreement_row(requests, labels)
        witnessed = list(event_rows(row, events, requests, labels.wall_ms))
        slots, flows = self._traffic(session, row, labels, slot_labels(labels, events))
        row |= {name: sum(flow[name] for flow in flows) for name in ("up_payload_bytes", "down_payload_bytes")}
        row |= {"silent_stall_s": _silent_stall_s(slots) if row["started"] else None}
        row |= {"silent_end_s": _silent_end_s(slots)}
        row |= {"doubts": doubts_of(row)}
        return SessionTables(session=row, slots=slots, flows=flows, events=witnessed)

    def _traffic(
        self, session: RecordedSession, row: TableRow, labels: SessionLabels, seconds: Sequence[SlotLabel]
    ) -> tuple[list[TableRow], list[TableRow]]:
        _check_capture(session, row["pcap_sha256"])
        counter = SlotCounter(client=_client_address(session), begin_ns=round(labels.wall_ms * 1e6))
        slots = {slot.number: slot for slot in _slots(counter, session)}
        # Playback from the buffer continues without packets.
        slots |= {slot.number: slot for slot in counter.advance(round(labels.wall_ms * 1e6) + len(seconds) * SLOT_NS)}
        ids = {name: row[name] for name in ("session_id", "training_id")}
        flows = [ids | {"flow": number} | flow_row(flow) for number, flow in enumerate(counter.flows())]
        for flow in flows:
            flow |= {name: hashed(flow[name], self.key) for name in ("client", "server")}
        named = ids | {"split": row["split"]}
        return [named | _slot_row(label, slots[label.slot]) for label in seconds if label.slot in slots], flows


def _whole(session: RecordedSession) -> tuple[JsonValues, JsonValues]:
    """The descriptions of a session; InvalidSessionError if they are not all there."""
    if session.damage is not None:
        raise session.damage
    if session.cell is None:
        raise InvalidSessionError(ExportReason.SESSION_ABSENT, "session.json does not exist")
    if session.result is None:
        raise InvalidSessionError(ExportReason.RESULT_ABSENT, "result.json does not exist: the session did not end")
    return session.cell, session.result


def _check_result(result: JsonValues) -> None:
    if not result.boolean("valid"):
        raise InvalidSessionError(result.text("invalid_reason") or ExportReason.DISCARDED, result.text("detail"))


def _events(session: RecordedSession) -> list[PlayerEvent]:
    try:
        return list(read_events(session.events))
    except FileNotFoundError:
        raise InvalidSessionError(ExportReason.EVENTS_ABSENT, "player.jsonl does not exist") from None
    except ValueError as error:
        raise DamagedFileError(session.events, str(error)) from error


def _check_capture(session: RecordedSession, sha256: str | None) -> None:
    """InvalidSessionError unless the capture exists and is the one that the run recorded."""
    try:
        with open_regular(session.capture) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InvalidSessionError(ExportReason.CAPTURE_ABSENT, "capture.pcap does not exist") from None
    if sha256 is not None and found != sha256:
        raise InvalidSessionError(ExportReason.CAPTURE_CHANGED, f"the SHA-256 of capture.pcap is {found}")


def _client_address(session: RecordedSession) -> str | None:
    if session.cell is None or (address := session.cell.text("client_address")) is None:
        return None
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise DamagedFileError(session.cell.path, f"client_address: {error}") from None


def _slots(counter: SlotCounter, session: RecordedSession) -> Iterator[TrafficSlot]:
    """The slots of a capture that end with a packet."""
    reader = CaptureReader(session.capture)
    try:
        for packet in reader:
            yield from counter.add(packet)
    except NotACaptureError as error:
        raise DamagedFileError(session.capture, str(error)) from error
    if reader.damage is not None:
        raise DamagedFileError(session.capture, reader.damage)


def _slot_row(label: SlotLabel, slot: TrafficSlot) -> TableRow:
    return {
        "slot": label.slot,
        "begin_ms": slot.begin_ns / 1e6,
        "state": label.state,
        "stalled_ms": label.stalled_ms,
        "height": label.height,
        "buffer_ms": label.buffer_ms,
        **slot.row(),
    }


def _silent_stall_s(slots: Sequence[TableRow]) -> int:
    return sum(slot["state"] == "stall" and not slot["down_packets"] for slot in slots)


def _silent_end_s(slots: Sequence[TableRow]) -> int:
    heard = [slot["slot"] for slot in slots if slot["down_packets"]]
    return len(slots) - 1 - heard[-1] if heard else len(slots)


def _invalid(row: TableRow, error: InvalidSessionError) -> SessionTables:
    return SessionTables(session=row | {"valid": False, "invalid_reason": str(error.reason), "invalid_detail": error.detail})
