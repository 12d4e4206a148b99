"""The journal of finished operations: each is written once and durably, and a forwarder sends it to a coordinator.

The journal is a folder of segments with one JSON line, with its checksum, for each operation. A forwarder reads from its cursor,
sends, and moves the cursor; a whole segment before the cursor is removed. A line that a crash has cut off was never acknowledged,
and is cut off at the next start.

After a failed sync, the kernel may drop the pages, and a second sync would report success. So a segment whose sync has failed is
cut to what is durable and never written again. What was not durable in it is written into another segment. An earlier run may have
had such a failure, so its segments are not written again either.
"""

import asyncio
import json
import logging
import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import msgspec

from measurement.checked_json import checked, verified
from serving.durable_files import create_in, lock, make_folder, remove_in, replace_file, sync_ancestors
from serving.regular_files import open_regular, read_regular

SEGMENT_BYTES = 16 * 1024 * 1024
MOST_BYTES = 1_000_000_000
MOST_PENDING_BYTES = 16 * 1024 * 1024
_SEGMENT = re.compile(r"operations-(\d{10})\.ndjson")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class RecordCursor:
    """A place between two lines: a segment and an offset in bytes."""

    segment: int
    offset: int


class OperationJournal:
    """Open for one process at a time; OSError if the folder cannot be used, BlockingIOError if another process uses it."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, most_bytes: int = MOST_BYTES) -> None:
        make_folder(folder)
        sync_ancestors(folder)
        self._folder, self._segment_bytes, self._most_bytes = folder, segment_bytes, most_bytes
        self.dropped = 0
        """Records that were removed because there was no room for them on the disk, although they had not been forwarded, or that
        found no room in memory while the disk took nothing."""
        self.needed_from: int | None = None
        """The first segment that the next start reads; it is not removed although it has been forwarded."""
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            lock(self._descriptor, f"{folder} is in use by another master")
            self._segments = self._found()
            self.cursor = self._saved_cursor()
            """Everything before it has been forwarded."""
            self._file, self._number = self._open_last()
            if not self._is_between_lines(self.cursor):
                log.error("the journal does not have the place of cursor.json: all records that are there are forwarded again")
                self.cursor = RecordCursor(0, 0)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._syncing = asyncio.Lock()
        self._in_sync = False
        """Whether a thread syncs the open segment now."""
        self._is_complete = self._file.tell() > 0
        """Whether the open segment must not be written again."""
        self.failed_syncs = 0
        self._undurable = bytearray()
        """The end of the open segment, which is not durable yet."""
        self._pending = bytearray()
        """Lines that are not written to a segment yet."""
        self._within_line = False
        """Whether the open segment has only the beginning of a line."""

    def append(self, line: bytes) -> None:
        """Write a line. It is durable after the next `synced`, and waits in memory while the disk cannot be written."""
        if b"\n" in line:
            raise ValueError("a record of the journal is one line")
        if len(self._pending) >= MOST_PENDING_BYTES:
            self.dropped += 1
            return
        self._pending += checked(line) + b"\n"
        self._try_to_write()

    async def synced(self, threads: Executor) -> None:
        """Return when every line so far is durable. Calls at the same time share one sync."""
        async with self._syncing:
            self._write()
            if not self._undurable:
                return
            size, self._in_sync = len(self._undurable), True
            try:
                await asyncio.get_running_loop().run_in_executor(threads, os.fdatasync, self._file.fileno())
            except BaseException:  # also if the caller is cancelled: whether the sync fails is not known then
                self._abandon()
                raise
            finally:
                self._in_sync = False
            del self._undurable[:size]

    def read(self, most: int) -> tuple[list[bytes], RecordCursor]:
        """The lines after the cursor, at most `most`, and the cursor after them."""
        self._try_to_write()
        lines: list[bytes] = []
        at = self.cursor
        for line, after in self._lines(at):
            lines.append(line)
            at = after
            if len(lines) == most:
                break
        return lines, at

    async def move(self, cursor: RecordCursor, threads: Executor) -> None:
        """Note that everything before `cursor` has been forwarded; the note is durable when this returns."""
        cursor = self._within_segment(max(cursor, self.cursor))  # meanwhile, `append` may have dropped records behind `cursor`
        text = checked(json.dumps({"segment": cursor.segment, "offset": cursor.offset}).encode())
        await asyncio.get_running_loop().run_in_executor(threads, replace_file, self._folder / "cursor.json", text)
        cursor = max(cursor, self.cursor)  # as above
        self.cursor = cursor
        needed = self._number if self.needed_from is None else self.needed_from
        for number in [each for each in self._segments if each < min(cursor.segment, self._number, needed)]:
            self._remove(number)

    @property
    def end(self) -> RecordCursor:
        """The place after the last line, which may not be durable yet."""
        if self._needs_segment():
            return RecordCursor(self._number + 1, len(self._pending))
        return RecordCursor(self._number, self._file.tell() + len(self._pending))

    def lines_from(self, cursor: RecordCursor) -> Iterator[bytes]:
        """All lines after a place, forwarded or not."""
        self._try_to_write()
        for line, _ in self._lines(cursor):
            yield line

    @property
    def waiting_bytes(self) -> int:
        """The size of the lines that have not been forwarded."""
        self._try_to_write()
        sizes = {number: self._path(number).stat().st_size for number in self._segments if number >= self.cursor.segment}
        return sum(sizes.values()) - (self.cursor.offset if self.cursor.segment in sizes else 0)

    def close(self) -> None:
        """Make everything durable and release the folder."""
        try:
            self._write()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()
            os.close(self._descriptor)

    def _needs_segment(self) -> bool:
        """Whether the next line begins a segment."""
        is_full = not self._within_line and self._file.tell() >= self._segment_bytes
        return bool(self._pending) and (self._is_complete or is_full)

    def _write(self) -> None:
        """Write the pending lines, unless this needs a new segment during a sync. OSError if the disk does not take all of them."""
        if self._needs_segment():
            if self._in_sync:
                return
            self._begin_segment()
        while self._pending:
            taken = self._file.write(self._pending)
            self._within_line = self._pending[taken - 1 : taken] != b"\n"
            self._undurable += self._pending[:taken]
            del self._pending[:taken]

    def _begin_segment(self) -> None:
        if self._undurable:
            try:
                os.fsync(self._file.fileno())
            except OSError:
                self._abandon()
                raise
            self._undurable.clear()
        begun = self._create(self._number + 1)
        self._file.close()
        self._file, self._number, self._is_complete = begun, self._number + 1, False
        self._make_room()

    def _abandon(self) -> None:
        """A sync of the open segment has failed: what is not durable in it is pending again."""
        durable = RecordCursor(self._number, self._file.tell() - len(self._undurable))
        log.error("a sync of the journal has failed: %d bytes are written again, into another segment", len(self._undurable))
        with suppress(OSError):  # then readers may get some records twice
            self._file.truncate(durable.offset)
            if not durable.offset:
                self._remove(self._number)
                self._number -= 1
        self._pending[:0] = self._undurable
        self._undurable.clear()
        self._within_line, self._is_complete = False, True
        self.failed_syncs += 1
        self.cursor = min(self.cursor, durable)

    def _try_to_write(self) -> None:
        with suppress(OSError):  # `synced` reports it
            self._write()

    def _make_room(self) -> None:
        """Remove the oldest segments until the total size is within the limit."""
        while self._size() + self._segment_bytes > self._most_bytes and len(self._segments) > 1:
            oldest = self._segments[0]
            first = self.cursor.offset if oldest == self.cursor.segment else 0
            if oldest >= self.cursor.segment:
                count = read_regular(self._path(oldest))[first:].count(b"\n")
                self.dropped += count
                log.error("%d records are removed: all records together have at most %d bytes", count, self._most_bytes)
                self.cursor = RecordCursor(oldest + 1, 0)
            self._remove(oldest)

    def _size(self) -> int:
        return sum(self._path(number).stat().st_size for number in self._segments)

    def _remove(self, number: int) -> None:
        self._path(number).unlink(missing_ok=True)
        self._segments.remove(number)

    def _lines(self, start: RecordCursor) -> Iterator[tuple[bytes, RecordCursor]]:
        for number in [each for each in self._segments if each >= start.segment]:
            offset = start.offset if number == start.segment else 0
            with open_regular(self._path(number)) as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n") and number == self._number:
                        return  # it is being written
                    offset += len(line)
                    yield _content(line), RecordCursor(number, offset)

    def _found(self) -> list[int]:
        return sorted(int(found[1]) for each in self._folder.iterdir() if (found := _SEGMENT.fullmatch(each.name)))

    def _open_last(self) -> tuple[FileIO, int]:
        if not self._segments:
            return self._create(max(1, self.cursor.segment + 1)), max(1, self.cursor.segment + 1)
        number = self._segments[-1]
        descriptor = os.open(self._path(number).name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._descriptor)
        file = FileIO(descriptor, "r+")
        data = read_regular(self._path(number))
        whole = data.rfind(b"\n") + 1
        file.truncate(whole)
        file.seek(whole)
        return file, number

    def _create(self, number: int) -> FileIO:
        file = FileIO(create_in(self._descriptor, self._path(number).name), "w")
        try:
            os.fsync(self._descriptor)
        except OSError:
            file.close()
            remove_in(self._descriptor, self._path(number).name)
            raise
        self._segments.append(number)
        return file

    def _within_segment(self, cursor: RecordCursor) -> RecordCursor:
        """The cursor, or the end of its segment if that was cut after a failed sync."""
        end = self._path(cursor.segment).stat().st_size if cursor.segment in self._segments else cursor.offset
        return RecordCursor(cursor.segment, min(cursor.offset, end))

    def _path(self, number: int) -> Path:
        return self._folder / f"operations-{number:010}.ndjson"

    def _is_between_lines(self, cursor: RecordCursor) -> bool:
        """Whether a saved cursor can be right. After a power cut, the journal may end before it."""
        if cursor.segment not in self._segments:  # it may have been removed
            return not self._segments or 0 <= cursor.segment < self._segments[0]
        if not 0 <= cursor.offset <= self._path(cursor.segment).stat().st_size:
            return False
        with open_regular(self._path(cursor.segment)) as file:
            file.seek(max(0, cursor.offset - 1))
            return cursor.offset == 0 or file.read(1) == b"\n"

    def _saved_cursor(self) -> RecordCursor:
        try:
            return msgspec.json.decode(verified(read_regular(self._folder / "cursor.json")), type=RecordCursor)
        except FileNotFoundError:
            return RecordCursor(0, 0)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self._folder / 'cursor.json'} is damaged: {error}; remove it to forward everything again") from None


def _content(line: bytes) -> bytes:
    """The operation in a line; the whole line, which is no operation, if it is damaged."""
    line = line.removesuffix(b"\n")
    with suppress(ValueError):
        return verified(line)
    return line
