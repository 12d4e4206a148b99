"""Replace files and make folders so that a power cut leaves the old state or the new one, never something between.

A new or renamed file is durable only when both are synced: its content, and the folder that lists its name.
"""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import BinaryIO

READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of a file or folder that this process may only read."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write `data` to `path`, whole or not at all; unless it is `durable`, a power cut may bring the old content back."""
    with replacing(path, durable=durable) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, mode: int | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file that appears at `path` when the block ends without an error; see `replacing_in`."""
    with _opened_folder(path.parent) as folder, replacing_in(folder, path.name, mode=mode, durable=durable) as file:
        yield file


@contextmanager
def replacing_in(folder: int, name: str, *, draft: str = "", mode: int | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """A new file in an open folder, which appears as `name` when the block ends without an error.

    Until then it is called `draft` (`NAME.new` by default), and it is removed if anything fails. `mode` sets the permission bits;
    None leaves them to the umask.
    """
    draft = draft or f"{name}.new"
    remove_in(folder, draft)
    try:
        with BufferedWriter(FileIO(create_in(folder, draft, mode), "w")) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            remove_in(folder, draft)
        raise
    if durable:
        os.fsync(folder)


def create_in(folder: int, name: str, mode: int | None = None) -> int:
    """The descriptor of a new file in an open folder, for writing; FileExistsError if the name is taken."""
    descriptor = os.open(name, _NEW, 0o666 if mode is None else mode, dir_fd=folder)
    if mode is not None:
        os.fchmod(descriptor, mode)  # the umask does not change it
    return descriptor


def remove_in(folder: int, name: str) -> None:
    """Remove a file from an open folder, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def make_folder(folder: Path, mode: int | None = None) -> None:
    """Make a folder and its parents if they are missing. `mode` sets the permission bits of a new folder.

    The name of a new folder is durable afterwards; `sync_ancestors` makes the names of new parents durable too.
    """
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        if mode is not None:
            folder.chmod(mode)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in `folder` are durable."""
    with _opened_folder(folder) as descriptor:
        os.fsync(descriptor)


def sync_ancestors(folder: Path) -> None:
    """Sync every folder above: an earlier process may have made them and died before it could sync them."""
    for ancestor in folder.absolute().parents:
        try:
            sync_folder(ancestor)
        except OSError as error:
            # This process did not make a folder that it cannot read, or whose file system knows no sync.
            if error.errno not in READ_ONLY | {errno.EINVAL}:
                raise


def lock(descriptor: int, in_use: str) -> None:
    """Lock an open file or folder until it is closed; BlockingIOError(in_use) if another process holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(in_use) from None


@contextmanager
def _opened_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
