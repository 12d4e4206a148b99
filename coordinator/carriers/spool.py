"""Where batches wait while no feedback server answers: segments of frames, written once, drained from the oldest on.

A batch stays until a feedback server has stored it; only then the cursor passes it. A crash in between sends it again, under the
same name, so it is stored once. No segment is ever appended to after a restart, so a torn tail needs no repair: draining walks
past it, keeps its bytes aside and counts them.
"""

import contextlib
import errno
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from coordinator.carriers.batch import SpoolFull
from feedback_wire.frames import PREAMBLE, Damage, Frame, records_frame, walk
from serving.durable_files import lock, make_folder, replace_file, sync_ancestors, sync_folder

SEGMENT_BYTES = 8 * 1024**2
"""Small enough to be read whole when it is drained."""

_CURSOR = "cursor"
_SUFFIX = ".spool"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch that waits: its name, its lines, and where the cursor stands once it is stored."""

    batch_id: bytes
    lines: bytes
    messages: int
    segment: int
    end: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything before `offset` of `segment` has been stored by a feedback server."""

    segment: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        segment, _, offset = text.removesuffix("\n").partition(" ")
        # Without its line feed the text may be torn, and part of a number is a number too.
        if text.endswith("\n") and segment.isascii() and segment.isdigit() and offset.isascii() and offset.isdigit():
            return cls(int(segment), int(offset))
        return None

    def __str__(self) -> str:
        return f"{self.segment} {self.offset}\n"


class Spool:
    """The spool in one folder, used by one thread; OSError if the disk fails."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        make_folder(folder)
        sync_ancestors(folder)
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = _lock(folder)
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
        self._cursor = _read_cursor(folder)
        self._open: _Segment | None = None
        self._draining: Iterator[Spooled] = iter(())
        self._told: set[tuple[int, int]] = set()
        """Segment and offset of what this process has found damaged; a segment is walked once more when its draining fails."""
        self.messages = self.damaged_bytes = 0
        self._sizes = {number: _path(folder, number).stat().st_size for number in _numbers(folder)}
        self._next = max([*_numbers_used(folder), self._cursor.segment if self._cursor else 0], default=0) + 1
        self._recover()

    @property
    def size_bytes(self) -> int:
        """What the segments take on disk, drained parts of the oldest one included."""
        return sum(self._sizes.values())

    def append(self, batch_id: bytes, lines: bytes, messages: int, *, beside_bytes: int = 0) -> None:
        """Return when the batch is on the disk; SpoolFull if it does not fit, and then nothing of it stays.

        `beside_bytes` of the spool's room are taken by other files.
        """
        payload = self._compressor.compress(lines)
        segment = self._writable()
        frame = records_frame(
            payload,
            number=segment.frames,
            first_record=segment.records,
            records=messages,
            inflated=len(lines),
            batch=batch_id,
        )
        if self.size_bytes + beside_bytes + len(frame) > self._max_bytes:
            raise SpoolFull
        try:
            segment.write(frame, messages)
        except OSError:
            self._finish_segment()  # which of its pages are on the disk is unknown; nothing is appended behind them
            raise
        self._sizes[segment.number] = segment.size
        self.messages += messages

    def oldest(self) -> Spooled | None:
        """The batch that has waited longest, or None; the same one again until `drop`."""
        while (batch := next(self._draining, None)) is None:
            if self._open is not None and min(self._sizes) == self._open.number:
                if not self._open.frames:
                    return None
                self._finish_segment()
            if not self._sizes:
                return None
            self._draining = self._drain(min(self._sizes))
        return batch

    def drop(self, batch: Spooled) -> None:
        """The batch is stored elsewhere: never give it out again."""
        self._cursor = Cursor(batch.segment, batch.end)
        self.messages -= batch.messages
        # Neither synced nor insisted on: an older cursor sends batches again, under their old names, which costs nothing. On a full
        # disk it cannot be written, and only draining makes room there.
        with contextlib.suppress(OSError):
            replace_file(self._folder / _CURSOR, str(self._cursor).encode(), durable=False)

    def again(self) -> None:
        """Give out from the cursor on once more, because a batch that was given out has not been stored."""
        self._draining = iter(())

    def set_aside(self, batch: Spooled) -> Path:
        """Keep a batch that no feedback server takes where a person finds it, and go on behind it; OSError leaves all as it is."""
        path = self._folder / f"{batch.segment:012d}-{batch.end}.rejected.jsonl"
        try:
            replace_file(path, batch.lines)
        except OSError:
            self.again()
            raise
        self.drop(batch)
        return path

    def adopt(self, stranded: Path) -> None:
        """Take over what waits in the folder of a worker that is no more; OSError leaves every batch in one of the two.

        What was drained of its oldest segment is sent again, under its old names.
        """
        held = _lock(stranded)
        try:
            numbers = _numbers(stranded)
            for number in numbers:
                self._take_over(_path(stranded, number))
            sync_folder(self._folder)
            for number in numbers:
                _path(stranded, number).unlink()
            (stranded / _CURSOR).unlink(missing_ok=True)
        finally:
            os.close(held)
        if numbers:
            _log.warning("%d segments of the spool %s were taken over, its worker is no more", len(numbers), stranded)

    def close(self) -> None:
        self._finish_segment()
        os.close(self._lock)

    def _take_over(self, segment: Path) -> None:
        number, self._next = self._next, self._next + 1
        path = _path(self._folder, number)
        os.link(segment, path)  # takes no room, and the other name stays until this one is safe
        self._sizes[number] = path.stat().st_size
        self.messages += self._waiting(number)

    def _recover(self) -> None:
        """Count what waits; a cursor whose segment is gone has done its work, and must not point into a later one.

        A power cut can bring segments back that were drained: then all is sent again from the oldest on.
        """
        if self._cursor is not None and self._cursor.segment != min(self._sizes, default=0):
            (self._folder / _CURSOR).unlink()
            self._cursor = None
        self.messages = sum(map(self._waiting, self._sizes))
        if self.messages:
            _log.warning("%d messages wait in the spool %s since an earlier run", self.messages, self._folder)

    def _waiting(self, number: int) -> int:
        """How many messages wait in a segment."""
        try:
            data = _path(self._folder, number).read_bytes()
        except FileNotFoundError:
            return 0
        return sum(frame.header.records for frame in walk(data, start=self._start(number)) if isinstance(frame, Frame))

    def _start(self, number: int) -> int:
        return self._cursor.offset if self._cursor is not None and self._cursor.segment == number else 0

    def _drain(self, number: int) -> Iterator[Spooled]:
        """The batches of one segment from the cursor on; the segment is removed behind the last one."""
        path = _path(self._folder, number)
        try:
            data = path.read_bytes()[: self._sizes[number]]  # what a failed write may have left was never acknowledged
        except FileNotFoundError:
            self._forget(number)
            return
        kept = True
        for piece in walk(data, start=self._start(number)):
            if isinstance(piece, Damage):
                kept &= self._keep_aside(number, piece, data)
                continue
            try:
                lines = zstandard.ZstdDecompressor().decompress(piece.payload, max_output_size=piece.header.inflated)
            except zstandard.ZstdError as error:
                if (number, piece.offset) not in self._told:
                    self.messages -= piece.header.records
                unreadable = Damage(piece.offset, piece.end - piece.offset, f"the frame is whole but not readable: {error}")
                kept &= self._keep_aside(number, unreadable, data)
                continue
            yield Spooled(piece.header.batch, lines, piece.header.records, number, piece.end)
        if kept:
            path.unlink()
        else:
            path.rename(path.with_suffix(".damaged"))  # takes no room, so a full disk cannot keep what follows from being drained
        del self._sizes[number]

    def _forget(self, number: int) -> None:
        """Somebody removed a segment; the others are not to wait for it."""
        self.damaged_bytes += self._sizes.pop(number)
        waited, self.messages = self.messages, sum(map(self._waiting, self._sizes))
        gone = waited - self.messages
        _log.error("spool segment %s was removed by somebody: %d acknowledged messages are lost", _path(self._folder, number), gone)

    def _keep_aside(self, number: int, damage: Damage, data: bytes) -> bool:
        """Whether the damaged bytes have a file of their own now; a full disk may not take one."""
        path = self._folder / f"{number:012d}-{damage.offset}.damaged"
        if (number, damage.offset) not in self._told:
            self._told.add((number, damage.offset))
            self._tell(number, damage, path)
        try:
            replace_file(path, data[damage.offset : damage.offset + damage.size])
        except OSError:
            return False
        return True

    def _tell(self, number: int, damage: Damage, path: Path) -> None:
        if not path.exists():  # else an earlier run has counted it
            self.damaged_bytes += damage.size
        # A torn tail was never acknowledged: a batch is, once it is synced whole.
        _log.log(
            logging.WARNING if damage.torn else logging.ERROR,
            "spool segment %d, offset %d: %d bytes are no batch (%s); kept in %s or, on a full disk, with their whole segment",
            number,
            damage.offset,
            damage.size,
            damage.reason,
            path,
        )

    def _writable(self) -> "_Segment":
        if self._open is not None and self._open.size >= SEGMENT_BYTES:
            self._finish_segment()
        if self._open is None:
            number, self._next = self._next, self._next + 1  # whatever comes of it: a number that was tried is not tried again
            self._open = _Segment(self._folder, number)
            self._sizes[number] = self._open.size
        return self._open

    def _finish_segment(self) -> None:
        """Close the open segment; one without batches goes, or every failed attempt on a full disk would leave one."""
        if self._open is None:
            return
        segment, self._open = self._open, None
        segment.close()
        if not segment.frames:
            del self._sizes[segment.number]
            _path(self._folder, segment.number).unlink(missing_ok=True)


class _Segment:
    """The segment that is written now."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.frames = self.records = 0
        self._path = _path(folder, number)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        try:
            _write_all(self._file, PREAMBLE)
            sync_folder(folder)
        except OSError:
            self.close()
            self._path.unlink(missing_ok=True)
            raise
        self.size = len(PREAMBLE)

    def write(self, frame: bytes, records: int) -> None:
        """Return when the frame is on the disk; after an OSError nothing may be written behind `size` any more."""
        try:
            _write_all(self._file, frame)
            os.fdatasync(self._file)
            if not self._is_in_place():
                raise FileNotFoundError(errno.ENOENT, "somebody removed it or moved its folder away", str(self._path))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise
        self.size += len(frame)
        self.frames += 1
        self.records += records

    def _is_in_place(self) -> bool:
        """Whether the file is still what a later start will find under its path."""
        try:
            return os.path.samestat(os.fstat(self._file), self._path.stat())
        except FileNotFoundError:
            return False

    def close(self) -> None:
        os.close(self._file)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:012d}{_SUFFIX}"


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())


def _numbers_used(folder: Path) -> list[int]:
    """The numbers of segments, and of those of which only something kept aside is left, which must not be written over."""
    return [int(path.name[:12]) for path in folder.iterdir() if path.name[:12].isdigit()]


def _read_cursor(folder: Path) -> Cursor | None:
    try:
        return Cursor.parse((folder / _CURSOR).read_text(encoding="ascii", errors="replace"))
    except FileNotFoundError:
        return None


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _lock(folder: Path) -> int:
    """Two processes in one spool would drain each other's batches; BlockingIOError speaks for the second."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        lock(handle, f"the spool {folder} is in use by another coordinator; give each its own --spool")
    except OSError:
        os.close(handle)
        raise
    return handle
