"""Batches that wait on the local disk while no feedback server answers: appended to segments, drained from the oldest on.

A batch stays until a feedback server has stored it; then the cursor moves to its end. A crash in between sends the batch again,
under the same id, so it is stored once. Draining skips damaged bytes, keeps them in separate files and counts them.
"""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from coordinator.carriers.batch import SpoolFull
from coordinator.carriers.spool_damage import SpoolDamage
from coordinator.carriers.spool_files import Cursor, SegmentWriter, lock_folder, segment_numbers, segment_path, used_numbers
from coordinator.compressed_frames import FrameWriter, lines_of
from feedback_wire.frames import Damage, Frame, walk
from serving.durable_files import make_folder, replace_file, sync_ancestors, sync_folder
from serving.few_lines import few_lines
from serving.regular_files import read_regular

SEGMENT_BYTES = 8 * 1024**2
"""Small enough to be read into memory when it is drained."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """A batch in the spool, and the end of its frame, where the cursor points when it is stored."""

    batch_id: bytes
    lines: bytes
    messages: int
    segment: int
    end: int


class Spool:
    """The spool in one folder, used by one thread; OSError if the disk fails."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        make_folder(folder)
        sync_ancestors(folder)
        self._folder = folder
        self._max_bytes = max_bytes
        self._frames = FrameWriter()
        self._damage = SpoolDamage(folder)
        self._cursor: Cursor | None = None
        self._open: SegmentWriter | None = None
        self._draining: Iterator[SpooledBatch] = iter(())
        self.messages = 0
        self.largest_found = 0
        """The size in bytes of the largest batch that an earlier run or another worker has left."""
        self._lost_bytes = 0
        self._sizes: dict[int, int] = {}
        self._next = 1
        self._lock = lock_folder(folder)
        try:
            self._recover()
        except OSError:
            os.close(self._lock)
            raise

    @property
    def size_bytes(self) -> int:
        """The size of the segments on disk, with the drained part of the oldest one."""
        return sum(self._sizes.values())

    @property
    def damaged_bytes(self) -> int:
        """Bytes that were no batch, or whose segment was removed."""
        return self._damage.size_bytes + self._lost_bytes

    def append(self, batch_id: bytes, lines: bytes, messages: int, *, other_bytes: int = 0) -> None:
        """Return when the batch is durable. SpoolFull if it does not fit; then nothing of it stays.

        `other_bytes` of the spool's maximum size are used by other files.
        """
        segment = self._writable()
        frame = self._frames.frame(lines, number=segment.frames, first_record=segment.records, records=messages, batch=batch_id)
        if self.size_bytes + other_bytes + len(frame) > self._max_bytes:
            raise SpoolFull
        try:
            segment.write(frame, messages)
        except OSError:
            self._finish_segment()  # which of its pages are on the disk is unknown, so nothing is appended to them
            raise
        self._sizes[segment.number] = segment.size
        self.messages += messages

    def oldest(self) -> SpooledBatch | None:
        """The batch that has waited longest, or None. The next call gives the next batch, or the same one after `rewind`."""
        while (batch := next(self._draining, None)) is None:
            if self._open is not None and min(self._sizes) == self._open.number:
                if not self._open.frames:
                    return None
                self._finish_segment()
            if not self._sizes:
                return None
            self._draining = self._drain(min(self._sizes))
        return batch

    def drop(self, batch: SpooledBatch) -> None:
        """Remove a batch that is durable elsewhere."""
        self._cursor = Cursor(batch.segment, batch.end)
        self.messages -= batch.messages
        self._cursor.write(self._folder)

    def rewind(self) -> None:
        """Begin at the cursor again, because the last batch of `oldest` has not been stored."""
        self._draining = iter(())

    def set_aside(self, batch: SpooledBatch) -> Path:
        """Keep a batch that feedback servers reject in a file for the operator, and continue with the next one.

        On OSError nothing has changed.
        """
        path = self._folder / f"{batch.segment:012d}-{batch.end}.rejected.jsonl"
        try:
            replace_file(path, batch.lines)
        except OSError:
            self.rewind()
            raise
        self.drop(batch)
        return path

    def adopt(self, stranded: Path) -> None:
        """Take over the batches in the folder of a worker that no longer exists. OSError leaves every batch in one of the folders.

        Batches of its oldest segment that were drained are sent again, under their old ids.
        """
        held = lock_folder(stranded)
        try:
            numbers = segment_numbers(stranded)
            for number in numbers:
                self._take_over(segment_path(stranded, number))
            sync_folder(self._folder)
            for number in numbers:
                segment_path(stranded, number).unlink()
            Cursor.remove(stranded)
        finally:
            os.close(held)
        if numbers:
            _log.warning("%d segments of the spool %s were taken over; its worker no longer exists", len(numbers), stranded)

    def close(self) -> None:
        self._finish_segment()
        os.close(self._lock)

    def _take_over(self, segment: Path) -> None:
        number, self._next = self._next, self._next + 1
        path = segment_path(self._folder, number)
        os.link(segment, path)  # needs no space, and the old name stays until the new one is durable
        self._sizes[number] = path.stat().st_size
        self.messages += self._waiting(number)

    def _recover(self) -> None:
        """Find what waits. A cursor whose segment is missing is obsolete, and must not point into a later segment.

        A power cut can bring back segments that were drained. Then everything is sent again, from the oldest segment on.
        """
        self._cursor = Cursor.read(self._folder)
        self._sizes = {number: segment_path(self._folder, number).stat().st_size for number in segment_numbers(self._folder)}
        self._next = max([*used_numbers(self._folder), self._cursor.segment if self._cursor else 0], default=0) + 1
        if self._cursor is not None and self._cursor.segment != min(self._sizes, default=0):
            Cursor.remove(self._folder)
            self._cursor = None
        self.messages = sum(map(self._waiting, self._sizes))
        if self.messages:
            _log.warning("%d messages wait in the spool %s since an earlier run", self.messages, self._folder)

    def _waiting(self, number: int) -> int:
        """How many messages wait in a segment."""
        try:
            data = read_regular(segment_path(self._folder, number))
        except FileNotFoundError:
            return 0
        frames = [frame for frame in walk(data, start=self._start(number)) if isinstance(frame, Frame)]
        self.largest_found = max([self.largest_found, *(frame.end - frame.offset for frame in frames)])
        return sum(frame.header.records for frame in frames)

    def _start(self, number: int) -> int:
        return self._cursor.offset if self._cursor is not None and self._cursor.segment == number else 0

    def _drain(self, number: int) -> Iterator[SpooledBatch]:
        """The batches of one segment from the cursor on. The segment is removed after the last one."""
        path = segment_path(self._folder, number)
        try:
            data = read_regular(path)[
                : self._sizes[number]
            ]  # the bytes after it come from a failed write, which was not acknowledged
        except FileNotFoundError:
            self._count_removed_segment(number)
            return
        begin = self._start(number)
        kept = []
        with few_lines(_log.error, f"damaged parts of spool segment {number}") as report:
            for piece in walk(data, start=begin):
                found = _batch_or_damage(number, piece)
                if isinstance(found, SpooledBatch):
                    yield found
                    continue
                if isinstance(piece, Frame) and not self._damage.is_known(number, found):
                    self.messages -= piece.header.records
                kept.append(self._damage.keep_aside(number, found, data, report))
            kept += self._keep_aside_again(number, data[:begin], report)
        if all(kept):
            path.unlink()
        else:
            path.rename(path.with_suffix(".damaged"))  # needs no space, so draining continues even on a full disk
        del self._sizes[number]

    def _keep_aside_again(self, number: int, drained: bytes, report: Callable[[str], None]) -> list[bool]:
        """Keep the damage in the drained part of a segment. The disk may have been full when it was found."""
        found = (_batch_or_damage(number, piece) for piece in walk(drained))
        return [self._damage.keep_aside(number, each, drained, report) for each in found if isinstance(each, Damage)]

    def _count_removed_segment(self, number: int) -> None:
        """Another program removed a segment. The other segments must not wait for it."""
        self._lost_bytes += self._sizes.pop(number)
        waited, self.messages = self.messages, sum(map(self._waiting, self._sizes))
        _log.error(
            "spool segment %s was removed by another program: %d acknowledged messages are lost",
            segment_path(self._folder, number),
            waited - self.messages,
        )

    def _writable(self) -> SegmentWriter:
        if self._open is not None and self._open.size >= SEGMENT_BYTES:
            self._finish_segment()
        if self._open is None:
            number, self._next = self._next, self._next + 1  # even if it fails, the number is not used again
            self._open = SegmentWriter(self._folder, number)
            self._sizes[number] = self._open.size
        return self._open

    def _finish_segment(self) -> None:
        """Close the open segment. A segment without batches is removed, or each failed write on a full disk would leave one."""
        if self._open is None:
            return
        segment, self._open = self._open, None
        segment.close()
        if not segment.frames:
            del self._sizes[segment.number]
            segment_path(self._folder, segment.number).unlink(missing_ok=True)


def _batch_or_damage(segment: int, piece: Frame | Damage) -> SpooledBatch | Damage:
    """The batch in a frame; Damage if the piece is no frame, or if the frame is whole but not readable."""
    if isinstance(piece, Damage):
        return piece
    try:
        lines = lines_of(piece)
    except zstandard.ZstdError as error:
        return Damage(piece.offset, piece.end - piece.offset, f"the frame is whole but not readable: {error}")
    return SpooledBatch(piece.header.batch, lines, piece.header.records, segment, piece.end)
