"""Refused messages, kept for whoever runs the coordinator: the mistake may be ours, or an app's, ten thousand times.

A refusal costs the event loop one entry in a list; once a second a thread makes a frame of what is there and writes it. What has
been written is never deleted here: when the room is used up, what follows is only counted.
"""

import json
import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import zstandard

from coordinator.counters import Counters
from feedback_wire.frames import PREAMBLE, records_frame
from serving.durable_files import sync_folder

WAITING_BYTES = 4 * 1024**2
"""A second's refusals beyond this are counted, not kept: a flood of rubbish must not cost more than good messages do."""

FILE_BYTES = 8 * 1024**2
"""A file that has become so large is left to its reader, and a new one begun."""

_ENTRY_BYTES = 300  # what an entry takes beside its payload, roughly
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMessage:
    """One refused message; `prefix` is what would have been put before it, so it says what may be recorded of the address."""

    received_ms: int
    reason: str
    detail: str
    key: str
    prefix: bytes
    payload: bytes

    def line(self) -> bytes:
        """The entry as a JSON line; bytes of the payload that are no UTF-8 become U+FFFD."""
        content = {
            "received_ms": self.received_ms,
            "reason": self.reason,
            "detail": self.detail,
            "key": self.key,
            "ip": json.loads(self.prefix[:-1] + b"}")["ip"],
            "payload": self.payload.decode(errors="replace"),
        }
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
        """Begin to write what waits, unless the disk is not done with what came before; called about once a second."""
        if self._waiting and (self._writing is None or self._writing.done()):
            self._writing = self._thread.submit(self._files.append, self._waiting)
            self._waiting, self._waiting_bytes = [], 0

    def count(self, counters: Counters) -> None:
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
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
        self._path: Path | None = None
        """The file that is written now; none after a start or an error, because nothing is appended behind what may be torn."""
        self._frames = self._records = 0
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
        """Whether there was room."""
        self._choose_file(entries[0].received_ms)
        payload = self._compressor.compress(lines)
        frame = records_frame(payload, number=self._frames, first_record=self._records, records=len(entries), inflated=len(lines))
        if self.size_bytes + len(PREAMBLE) + len(frame) > self._max_bytes:
            return False
        self._append_bytes(frame if self._frames else PREAMBLE + frame)
        self._frames += 1
        self._records += len(entries)
        return True

    def _choose_file(self, now_ms: int) -> None:
        """Go on with the file that is there, unless it is large or its reader has taken it away."""
        self.size_bytes = self._size()
        if self._path is None or not self._path.exists() or self._path.stat().st_size >= FILE_BYTES:
            self._path = self._folder / f"{self._stem}-{now_ms}.jsonl.zst"
            self._frames = self._records = 0

    def _append_bytes(self, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        mode = os.O_APPEND if self._frames else os.O_APPEND | os.O_CREAT | os.O_EXCL
        handle = os.open(self._path or self._folder, os.O_WRONLY | mode, 0o600)
        with open(handle, "wb", buffering=0) as file:  # noqa: PTH123 — of a handle
            if file.write(data) != len(data):
                raise OSError("the disk is full")
            os.fdatasync(handle)
        if not self._frames:
            sync_folder(self._folder)  # only now is the new file's name durable
        self.size_bytes += len(data)

    def _size(self) -> int:
        """What this worker's files take; their reader may take them away at any time."""
        return sum(size for path in self._folder.glob(f"{self._stem}-*.jsonl.zst") if (size := _size_of(path)))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
