"""The folder of one session: what was planned, what was recorded, and whether it may become data."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from feedback_wire.trainings import SessionStatus
from serving.durable_files import replace_file, sync_folder
from serving.regular_files import open_regular, read_regular


class InvalidReason(StrEnum):
    """Why a session is not valid. The order is that of the checks: the first one that fails is the reason."""

    LAB_FAILED = "lab_failed"
    SHAPING_DIFFERS = "shaping_differs"
    PROBE_OUTSIDE = "probe_outside"
    SERVER_FAILED = "server_failed"
    CLIENT_FAILED = "client_failed"
    CLIENT_HUNG = "client_hung"
    EVENTS_INCOMPLETE = "events_incomplete"
    TRACE_FAILED = "trace_failed"
    CAPTURE_EMPTY = "capture_empty"
    CAPTURE_DROPS = "capture_drops"
    DELAYER_OVERFLOW = "delayer_overflow"
    MACHINE_BUSY = "machine_busy"
    SESSION_CRASHED = "session_crashed"
    """The process of the session ended without a result."""
    SESSION_HUNG = "session_hung"


class SessionFailedError(Exception):
    """The session cannot become data."""

    def __init__(self, reason: InvalidReason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCell:
    """`session.json`: what is played under which conditions. The times and addresses are known once the session runs."""

    session_id: str
    training_id: str
    number: int
    block: int
    attempt: int
    limit_mbps: float
    content_id: str
    source: str
    client: str
    seconds: float
    delay_ms: float
    loss: float
    queue_ms: float
    congestion_control: str
    rung: str | None = None
    """The rung that the overlay streams; other clients choose among all rungs."""
    trace: str | None = None
    trace_begin_s: float | None = None
    """Where in the trace the session begins."""
    begin_ms: int | None = None
    """Just before the client starts, Unix time."""
    end_ms: int | None = None
    client_address: str | None = None
    server_address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """`result.json`: whether the session is valid, and the figures that decided it."""

    status: SessionStatus
    valid: bool
    invalid_reason: InvalidReason | None = None
    detail: str | None = None
    frames: int = 0
    kernel_drops: int = 0
    queue_dropped_to_client: int = 0
    queue_dropped_from_client: int = 0
    pcap_sha256: str | None = None
    browser: str | None = None
    """Name and version of the browser; None for clients without one."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"status": int(self.status)}


@dataclass(frozen=True, slots=True)
class SessionFolder:
    """The paths of the files of one session; docs/formats/training.md describes the files."""

    path: Path

    @property
    def cell(self) -> Path:
        return self.path / "session.json"

    @property
    def capture(self) -> Path:
        return self.path / "capture.pcap"

    @property
    def events(self) -> Path:
        return self.path / "player.jsonl"

    @property
    def requests(self) -> Path:
        return self.path / "server.jsonl"

    @property
    def tcp_info(self) -> Path:
        return self.path / "tcp_info.jsonl"

    @property
    def shaping(self) -> Path:
        return self.path / "shaping.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    def write_cell(self, cell: PlannedCell) -> None:
        _write_json(self.cell, asdict(cell))

    def read_cell(self) -> PlannedCell:
        return PlannedCell(**json.loads(read_regular(self.cell)))

    def write_shaping(self, shaping: dict[str, Any]) -> None:
        _write_json(self.shaping, shaping)

    def read_shaping(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(read_regular(self.shaping))
        return values

    def write_result(self, result: SessionResult) -> None:
        """The last file: when it is there, everything that the session recorded is durable."""
        for path in self.path.iterdir():
            _sync_file(path)
        sync_folder(self.path)
        _write_json(self.result, result.to_json())

    def read_result(self) -> SessionResult | None:
        """None if the session has not come to an end."""
        try:
            values = json.loads(read_regular(self.result))
        except FileNotFoundError:
            return None
        reason = values["invalid_reason"]
        return SessionResult(
            **values | {"status": SessionStatus(values["status"]), "invalid_reason": reason and InvalidReason(reason)}
        )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_json(path: Path, values: dict[str, Any]) -> None:
    replace_file(path, json.dumps(values, indent=2, ensure_ascii=False).encode() + b"\n")


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
