"""Refused messages, kept for the operator: the fault may be in an app with ten thousand installations, or in the coordinator.

A refusal costs the event loop one entry in a list. Once a second a thread writes these entries as one frame. Written files are
never deleted here: at the maximum size, further messages are only counted.
"""

import json
import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from coordinator.compressed_frames import FrameWriter
from coordinator.worker_counters import WorkerCounters
from feedback_wire.frames import PREAMBLE
from feedback_wire.kinds import RecordKind
from serving.durable_files import sync_folder

WAITING_BYTES = 4 * 1024**2
"""Refusals of one second beyond this are only counted: a flood of bad messages must not cost more than good ones do."""

FILE_BYTES = 8 * 1024**2
"""A file of this size is complete; a new one is begun."""

_ENTRY_BYTES = 300  # about what an entry takes in addition to its payload
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMessage:
    """One refused message. `prefix` would have begun its record, so it contains as much of the address as may be recorded."""

    received_ms: int
    reason: str
    detail: str
    key: str
    prefix: bytes
    payload: bytes
    kind: RecordKind = RecordKind.FEEDBACK

    def line(self) -> bytes:
        """The entry as a JSON line; bytes of the payload that are not UTF-8 become U+FFFD."""
        content = {
            "received_ms": self.received_ms,
            "reason": self.reason,
            "detail": self.detail,
            "key": self.key,
            "ip": json.loads(self.prefix[:-1] + b"}")["ip"],
            "payload": self.payload.decode(errors="replace"),
        } | ({} if self.kind is RecordKind.FEEDBACK else {"kind": self.kind})
        return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace") + b"\n"


class Quarantine:
    """One worker's refused messages on their way to the disk."""

    def __init__(self, folder: Path, stem: str, max_bytes: int) -> None:
        self._files = QuarantineFiles(folder, stem, max_bytes)
        self._thread = ThreadPoolExecutor(1, "quarantine")
        self._writing: Future[None] | None = None
        self._waiting: list[RefusedMessage] = []
        self._waiting_bytes = 0
        self._dropped = 0

    def keep(self, entry: RefusedMessage) -> None:
        size = len(entry.payload) + _ENTRY_BYTES
        if self._waiting_bytes + size > WAITING_BYTES:
            self._dropped += 1
            return
        self._waiting_bytes += size
        self._waiting.append(entry)

    def flush(self) -> None:
        """Begin to write the waiting entries, unless the previous ones are still being written; called about once a second."""
        if self._waiting and (self._writing is None or self._writing.done()):
            self._writing = self._thread.submit(self._files.append, self._waiting)
            self._waiting, self._waiting_bytes = [], 0

    def count(self, counters: WorkerCounters) -> None:
        counters.quarantined = self._files.kept
        counters.quarantine_dropped = self._dropped + self._files.dropped
        counters.quarantine_bytes = self._files.size_bytes

    def close(self) -> None:
        self._thread.shutdown()
        self._files.append(self._waiting)


class QuarantineFiles:
    """`<folder>/<stem>-<Unix ms>.jsonl.zst`: frames as in a log, so any zstd tool shows them. Used by one thread."""

    def __init__(self, folder: Path, stem: str, max_bytes: int) -> None:
        self._folder = folder
        self._stem = stem
        self._max_bytes = max_bytes
        self._frames = FrameWriter()
        self._path: Path | None = None
        """The file that is written now. None after a start or an error: nothing is appended to bytes that may be torn."""
        self._frames_written = self._records_written = 0
        self.kept = self.dropped = 0
        self.size_bytes = self._size()

    def append(self, entries: list[RefusedMessage]) -> None:
        """Write the entries as one frame, or count them as dropped."""
        if not entries:
            return
        try:
            kept = self._write(b"".join(entry.line() for entry in entries), entries)
        except OSError as error:
            self._path = None
            kept = False
            _log.error("%d refused messages could not be kept in %s: %s", len(entries), self._folder, error)
        if kept:
            self.kept += len(entries)
        else:
            self.dropped += len(entries)

    def _write(self, lines: bytes, entries: list[RefusedMessage]) -> bool:
        """False if the entries exceed the maximum size."""
        self._choose_file(entries[0].received_ms)
        frame = self._frames.frame(lines, number=self._frames_written, first_record=self._records_written, records=len(entries))
        if self.size_bytes + len(PREAMBLE) + len(frame) > self._max_bytes:
            return False
        self._append_bytes(frame if self._frames_written else PREAMBLE + frame)
        self._frames_written += 1
        self._records_written += len(entries)
        return True

    def _choose_file(self, now_ms: int) -> None:
        """Continue with the current file, unless it is complete or the operator has removed it."""
        self.size_bytes = self._size()
        if self._path is None or not self._path.exists() or self._path.stat().st_size >= FILE_BYTES:
            self._path = self._folder / f"{self._stem}-{now_ms}.jsonl.zst"
            self._frames_written = self._records_written = 0

    def _append_bytes(self, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        mode = os.O_APPEND if self._frames_written else os.O_APPEND | os.O_CREAT | os.O_EXCL
        handle = os.open(self._path or self._folder, os.O_WRONLY | mode, 0o600)
        with open(handle, "wb", buffering=0) as file:  # noqa: PTH123 — of a handle
            if file.write(data) != len(data):
                raise OSError("the disk is full")
            os.fdatasync(handle)
        if not self._frames_written:
            sync_folder(self._folder)  # only now is the new file's name durable
        self.size_bytes += len(data)

    def _size(self) -> int:
        """The size of this worker's files. The operator may remove them at any time."""
        return sum(size for path in self._folder.glob(f"{self._stem}-*.jsonl.zst") if (size := _size_of(path)))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
