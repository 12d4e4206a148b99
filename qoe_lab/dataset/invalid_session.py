"""Why a session of the export is not valid: found by the export itself, beside the reasons of the run and of the labels."""

from enum import StrEnum

from qoe_lab.dataset.json_values import DamagedFileError


class ExportReason(StrEnum):
    """The order is that of the checks: the first one that fails is the reason."""

    SESSION_ABSENT = "session_absent"
    SESSION_DAMAGED = "session_damaged"
    RESULT_ABSENT = "result_absent"
    """The session was begun and did not end; it may still run."""
    RESULT_DAMAGED = "result_damaged"
    SHAPING_DAMAGED = "shaping_damaged"
    DISCARDED = "discarded"
    """result.json says that the session is not valid, and not why."""
    EVENTS_ABSENT = "events_absent"
    EVENTS_DAMAGED = "events_damaged"
    REQUESTS_DAMAGED = "requests_damaged"
    TCP_INFO_DAMAGED = "tcp_info_damaged"
    CAPTURE_ABSENT = "capture_absent"
    CAPTURE_CHANGED = "capture_changed"
    """The file is not the one whose SHA-256 is in result.json."""
    CAPTURE_DAMAGED = "capture_damaged"


SESSION_FILES = {
    "session.json": ExportReason.SESSION_DAMAGED,
    "result.json": ExportReason.RESULT_DAMAGED,
    "shaping.json": ExportReason.SHAPING_DAMAGED,
    "player.jsonl": ExportReason.EVENTS_DAMAGED,
    "server.jsonl": ExportReason.REQUESTS_DAMAGED,
    "tcp_info.jsonl": ExportReason.TCP_INFO_DAMAGED,
    "capture.pcap": ExportReason.CAPTURE_DAMAGED,
}
"""The files of a session in the order of the checks, each with the reason if it is damaged."""


class InvalidSessionError(Exception):
    """The session must not become data. `reason` is one word, `detail` is for people."""

    def __init__(self, reason: str, detail: str | None) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def of_damage(error: DamagedFileError) -> InvalidSessionError:
    """Why a session with a damaged file is not valid."""
    return InvalidSessionError(SESSION_FILES[error.path.name], f"{error.path.name} is damaged: {error.why}")
