"""Batches of the spool that no feedback server has stored in several tries: each waits in a file of its own.

So it holds up no other batch. A file has the format of a segment (docs/formats/frames.md) with one frame, and is named after the
batch: `blocked-<batch id>.spool`. It stays until a feedback server has stored or rejected the batch.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import zstandard

from coordinator.carriers.spool import Spooled
from feedback_wire.frames import PREAMBLE, Frame, records_frame, walk
from serving.durable_files import replace_file, sync_folder

_PATTERN = "blocked-*.spool"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedBatch:
    """A batch that waits in a file of its own."""

    path: Path
    batch_id: bytes
    lines: bytes
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    messages: int
    size_bytes: int


class BlockedBatches:
    """The blocked batches in one folder, used by one thread; OSError if the disk fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _File] = {}
        """In the order in which they are tried."""
        for path in sorted(folder.glob(_PATTERN)):
            self._find(path)
        if self._files:
            _log.warning("%d blocked batches wait in the spool %s since an earlier run", len(self._files), folder)

    @property
    def messages(self) -> int:
        return sum(file.messages for file in list(self._files.values()))

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in list(self._files.values()))

    def keep(self, batch: Spooled) -> Path:
        """Return the path of the batch's file when it is on the disk; on OSError, nothing has changed."""
        payload = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True).compress(batch.lines)
        inflated, name = len(batch.lines), batch.batch_id
        frame = records_frame(payload, number=0, first_record=0, records=batch.messages, inflated=inflated, batch=name)
        path = self._folder / f"blocked-{name.hex()}.spool"
        replace_file(path, PREAMBLE + frame)
        self._files[path] = _File(messages=batch.messages, size_bytes=len(PREAMBLE) + len(frame))
        return path

    def next(self) -> BlockedBatch | None:
        """The batch whose last try is the longest ago, or None. It is the last one from now on."""
        while self._files:
            path = next(iter(self._files))
            batch = _read(path)
            file = self._files.pop(path)
            if batch is not None:
                self._files[path] = file
                return batch
            _log.error("%s was removed or damaged: %d acknowledged messages cannot be sent from it", path, file.messages)
        return None

    def drop(self, batch: BlockedBatch) -> None:
        """Remove a batch that a feedback server has stored."""
        batch.path.unlink(missing_ok=True)
        self._files.pop(batch.path, None)

    def set_aside(self, batch: BlockedBatch) -> None:
        """Keep a batch that a feedback server rejects as a `*.rejected.jsonl` file, and do not try it again."""
        replace_file(batch.path.with_suffix(".rejected.jsonl"), batch.lines)
        self.drop(batch)

    def adopt(self, stranded: Path) -> None:
        """Take over the files in the folder of a worker that no longer exists."""
        theirs = sorted(stranded.glob(_PATTERN))
        for path in theirs:
            mine = self._folder / path.name
            if not mine.exists():
                os.link(path, mine)
            self._find(mine)
        sync_folder(self._folder)
        for path in theirs:
            path.unlink()

    def _find(self, path: Path) -> None:
        batch = _read(path)
        if batch is None:
            _log.error("%s is no blocked batch, or is damaged; it stays where it is", path)
        else:
            self._files[path] = _File(messages=batch.messages, size_bytes=path.stat().st_size)


def _read(path: Path) -> BlockedBatch | None:
    """The batch in a file; None if the file is gone or holds no whole batch."""
    try:
        [frame] = walk(path.read_bytes())
        if not isinstance(frame, Frame):
            return None
        lines = zstandard.ZstdDecompressor().decompress(frame.payload, max_output_size=frame.header.inflated)
    except (FileNotFoundError, ValueError, zstandard.ZstdError):
        return None
    return BlockedBatch(path=path, batch_id=frame.header.batch, lines=lines, messages=frame.header.records)
