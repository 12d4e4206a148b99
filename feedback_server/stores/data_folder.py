"""The data folder: all file operations of a feedback server, and the lock that keeps a second server out.

The kernel resolves the names of logs inside the folder (`dir_fd`) and follows no links, so no request can leave the folder. Names
in the two subfolders come only from this program. A new name is durable only after `sync`, because fsync of a file does not sync
the folder that lists it.
"""

import errno
import logging
import os
import stat
from contextlib import AbstractContextManager, suppress
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO

from feedback_server.stores.folder_layout import LOCK, QUARANTINE, STATE, draft_of
from serving.durable_files import READ_ONLY, create_in, lock, make_folder, remove_in, replacing, replacing_in, sync_ancestors

log = logging.getLogger(__name__)

FILE_MODE = 0o640
FOLDER_MODE = 0o750
NO_FILE = {None, errno.ENOENT, errno.ELOOP, errno.ENXIO}
"""Errors of opening something other than a regular file: a link, a folder, a socket. None if that was found after opening."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # NONBLOCK: opening a pipe must not wait for a writer

WRITE_ERRORS = (OSError, MemoryError)
"""Errors of writes that may work later: the disk fails, or memory is exhausted for now."""


def reason_of(error: OSError | MemoryError) -> str:
    """The reason of a failed write, for people."""
    return "no memory" if isinstance(error, MemoryError) else error.strerror or str(error)


class DataFolder:
    """An open data folder, locked by this process until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        make_folder(path, FOLDER_MODE)
        sync_ancestors(path)
        self.read_only_reason: str | None = None
        """Why the folder was read-only when it was opened; None if it was not."""
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._lock = self._locked()
        except OSError:
            os.close(self._fd)
            raise

    def close(self) -> None:
        os.close(self._lock)
        os.close(self._fd)

    def names(self) -> list[str]:
        """All names in the folder, also of other things than files, in no order. Checking the type of millions would be slow."""
        return os.listdir(self._fd)  # noqa: PTH208 - a descriptor has no path

    def is_file(self, name: str) -> bool:
        """Whether it is a regular file, not a link to one."""
        try:
            return stat.S_ISREG(self._stat(name).st_mode)
        except FileNotFoundError:
            return False

    def changed_ns(self) -> int:
        """When a name was last added to the folder or removed from it, nanoseconds of Unix time."""
        return os.fstat(self._fd).st_mtime_ns

    def create(self, name: str) -> int:
        """The descriptor of a new file for writing; FileExistsError if the name is taken."""
        return create_in(self._fd, name, FILE_MODE)

    def reading(self, name: str) -> FileIO:
        """A regular file, open for reading; FileNotFoundError for anything else."""
        file = FileIO(os.open(name, _READ, dir_fd=self._fd))
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise FileNotFoundError(f"{self.path / name} is not a regular file")
        return file

    def end_of(self, name: str, most: int) -> tuple[os.stat_result, bytes]:
        """The status and the last `most` bytes of a regular file; FileNotFoundError for anything else.

        It is faster than `reading`: a first start may read millions of files.
        """
        fd = os.open(name, _READ, dir_fd=self._fd)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFoundError(f"{self.path / name} is not a regular file")
            return found, os.pread(fd, most, max(0, found.st_size - most))
        finally:
            os.close(fd)

    def read(self, name: str, most: int | None = None) -> bytes:
        """The first `most` bytes of a file, or all."""
        with BufferedReader(self.reading(name)) as file:
            return file.read(-1 if most is None else most)

    def size(self, name: str) -> int:
        return self._stat(name).st_size

    def written_ns(self, name: str) -> int:
        """When a file was last written, nanoseconds of Unix time."""
        return self._stat(name).st_mtime_ns

    def read_state(self, name: str) -> bytes:
        """The state that an earlier run saved as `name`; empty if it is missing or cannot be read."""
        try:
            with BufferedReader(FileIO(os.open(self.path / STATE / name, _READ))) as file:
                return file.read()
        except FileNotFoundError:
            return b""
        except OSError as error:
            log.warning("%s cannot be read, so it is made again: %s", self.path / STATE / name, error)
            return b""

    def make_state_folder(self) -> Path:
        """The subfolder for saved state; made if it is missing."""
        folder = self.path / STATE
        make_folder(folder, FOLDER_MODE)
        return folder

    def save_state(self, name: str, data: bytes) -> None:
        """Save `data` for the next start, whole or not at all. Only the subfolder changes, not the data folder itself."""
        with replacing(self.make_state_folder() / name, mode=FILE_MODE) as file:
            file.write(data)

    def replacing(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Write a file that appears as `name`, whole and durable; if the block fails, it does not appear."""
        return replacing_in(self._fd, name, draft=draft_of(name), mode=FILE_MODE)

    def remove(self, name: str) -> None:
        remove_in(self._fd, name)

    def sync(self) -> None:
        os.fsync(self._fd)

    def sync_file(self, name: str) -> None:
        """Return when the content of a file is durable, also if another process wrote it."""
        with self.reading(name) as file:
            os.fsync(file.fileno())

    def quarantine(self, name: str, data: bytes | memoryview) -> bool:
        """Keep damaged bytes durably in the quarantine subfolder; False if they are there already.

        The same name always has the same bytes. If a sync fails, a new file is removed, so a repeated try returns True.
        """
        folder = self.path / QUARANTINE
        make_folder(folder, FOLDER_MODE)
        path = folder / name
        is_new = not path.exists()
        try:
            with replacing(path, mode=FILE_MODE) as file:
                file.write(data)
            self.sync()
        except WRITE_ERRORS:
            if is_new:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            raise
        return is_new

    def _stat(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self._fd, follow_symlinks=False)

    def _locked(self) -> int:
        """The locked descriptor of the lock file. The folder is locked too, because a read-only folder may have no lock file."""
        fd = self._lock_file()
        in_use = f"{self.path} is in use by another feedback server: stop it, or give this one its own --data folder"
        try:
            errors = [_lock_error(each, in_use) for each in (fd, self._fd)]
        except BlockingIOError:
            os.close(fd)
            raise
        if all(errors):
            log.warning("%s is not locked against a second feedback server: %s", self.path, errors[0])
        return fd

    def _lock_file(self) -> int:
        try:
            return os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE, dir_fd=self._fd)
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            self.read_only_reason = error.strerror
            log.warning("%s is read-only: logs are offered, and records are refused until it can be written", self.path)
        try:
            return os.open(LOCK, _READ, dir_fd=self._fd)
        except OSError:
            return os.dup(self._fd)


def _lock_error(descriptor: int, in_use: str) -> str | None:
    """Lock a file or a folder; return the reason if its file system cannot, as a network one may lock only writable files."""
    try:
        lock(descriptor, in_use)
    except BlockingIOError:
        raise
    except OSError as error:
        return reason_of(error)
    return None
