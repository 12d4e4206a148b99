"""The open journal: frames are appended, one for each batch, and count as durable only after `sync`.

A journal that has failed once is never written again: after a failed fsync the kernel may have dropped the very pages that a second
fsync would then call clean. What was durable before stays so, and is sealed.
"""

import errno
import logging
import os
import time
from collections.abc import Iterable, Iterator

import zstandard

from feedback_server.received_batch import ReceivedBatch
from feedback_server.stores.data_folder import DataFolder
from feedback_wire.frames import PREAMBLE, records_frame
from feedback_wire.log_name import LogName
from feedback_wire.record import stamp_received

log = logging.getLogger(__name__)

# Level 1 was both smaller and faster than 3 on feedback messages, and the journal is repacked when it is sealed anyway.
_LEVEL = 1
_ELSEWHERE = "the folder is not where it was when this server started: put it back (mount its disk again), or restart the server"
# Preallocating the file (posix_fallocate of 64 MiB) made fdatasync no faster on ext4: 0.34 ms at the median with and without it.


class Journal:
    """One journal file of this run; `durable_bytes` and `durable_records` are what has reached the disk."""

    def __init__(self, folder: DataFolder, name: LogName) -> None:
        self.name = name
        self.durable_bytes = self.durable_records = 0
        self.last_ms = 0
        self.opened_s = time.monotonic()
        self._written_bytes = self._written_records = self._written_frames = 0
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True, write_content_size=True)
        self._path = folder.path / str(name)
        try:
            self._fd = folder.create(str(name))
        except FileNotFoundError:  # not even the folder itself is there
            raise self._elsewhere() from None
        try:
            self._append(PREAMBLE)
            self.sync()
            folder.sync()
        except OSError:
            self.abandon()
            folder.remove(str(name))
            raise

    def write(self, batches: Iterable[ReceivedBatch], received_ms: int) -> None:
        """Append one frame for each batch; nothing is promised before `sync`. OSError if the disk does not take them."""
        self._append(b"".join(self._frames(batches, received_ms)))
        self.last_ms = received_ms

    def sync(self) -> None:
        """Wait until all that was written has reached the disk. OSError if it does not, or if nobody would find the file there."""
        os.fdatasync(self._fd)
        self._check_place()
        self.durable_bytes, self.durable_records = self._written_bytes, self._written_records

    def close(self) -> None:
        os.close(self._fd)

    def abandon(self) -> None:
        """Give the file up after an error, cut back to what was durable."""
        try:
            os.ftruncate(self._fd, self.durable_bytes)
        except OSError as error:
            # What stands behind the durable length was never acknowledged; readers are never shown it.
            log.warning("%s could not be cut back to its last good length: %s", self.name, error)
        finally:
            os.close(self._fd)

    def _check_place(self) -> None:
        """A file goes on taking what is written when somebody removes it, moves its folder away, or unmounts its disk."""
        own = os.fstat(self._fd)
        if not own.st_nlink:
            raise FileNotFoundError(errno.ENOENT, "somebody removed it, with all that was in it", str(self.name))
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if found is None or not os.path.samestat(own, found):
            raise self._elsewhere()

    def _elsewhere(self) -> OSError:
        return FileNotFoundError(errno.ENOENT, _ELSEWHERE, str(self._path))

    def _frames(self, batches: Iterable[ReceivedBatch], received_ms: int) -> Iterator[bytes]:
        for batch in batches:
            lines = stamp_received(batch.lines, received_ms)
            yield records_frame(
                self._compressor.compress(lines),
                number=self._written_frames,
                first_record=self._written_records,
                records=batch.records,
                inflated=len(lines),
                batch=batch.id,
            )
            self._written_frames += 1
            self._written_records += batch.records

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._written_bytes += len(data)
