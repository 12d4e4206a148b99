"""Batches of the spool that no feedback server stored in several tries. Each waits in a file of its own.

So it does not delay the other batches. A file is a segment (docs/formats/frames.md) with one frame, and its name contains the
batch's id: `blocked-<batch id>.spool`. It stays until a feedback server has stored or rejected the batch.
"""

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import zstandard

from coordinator.carriers.spool import SpooledBatch
from coordinator.compressed_frames import FrameWriter, lines_of
from feedback_wire.frames import PREAMBLE, Frame, walk
from serving.durable_files import replace_file, sync_folder
from serving.regular_files import read_regular

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
        self._frames = FrameWriter()
        self._files: dict[Path, _File] = {}
        """In the order in which they are tried next."""
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

    def keep(self, batch: SpooledBatch) -> Path:
        """Return the path of the batch's file when it is durable. On OSError nothing has changed."""
        frame = self._frames.frame(batch.lines, number=0, first_record=0, records=batch.messages, batch=batch.batch_id)
        path = self._folder / f"blocked-{batch.batch_id.hex()}.spool"
        replace_file(path, PREAMBLE + frame)
        self._files[path] = _File(messages=batch.messages, size_bytes=len(PREAMBLE) + len(frame))
        return path

    def next(self) -> BlockedBatch | None:
        """The batch that has waited longest since its last try, or None. It becomes the last one to be tried again."""
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
        paths = sorted(stranded.glob(_PATTERN))
        for path in paths:
            adopted = self._folder / path.name
            if not adopted.exists():
                os.link(path, adopted)
            self._find(adopted)
        sync_folder(self._folder)
        for path in paths:
            path.unlink()

    def _find(self, path: Path) -> None:
        batch = _read(path)
        if batch is None:
            _log.error("%s is not a blocked batch, or is damaged; it stays where it is", path)
        else:
            self._files[path] = _File(messages=batch.messages, size_bytes=path.stat().st_size)


def _read(path: Path) -> BlockedBatch | None:
    """The batch in a file; None if the file does not exist or does not hold a whole batch."""
    try:
        [frame] = walk(read_regular(path))
        if not isinstance(frame, Frame):
            return None
        lines = lines_of(frame)
    except (FileNotFoundError, ValueError, zstandard.ZstdError):
        return None
    return BlockedBatch(path=path, batch_id=frame.header.batch, lines=lines, messages=frame.header.records)
