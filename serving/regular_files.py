"""Opens files by name without waiting: the plain `open` of a named pipe waits for a writer.

A name that comes from a folder or a setting may be that of a pipe, a device or a socket. Only the open files of this process
(`/dev/fd/63` in `--keys <(…)`, `/dev/stdin`) may be pipes, because the process that started this one holds their other end.
`/dev/null` is an empty file.
"""

import errno
import io
import os
import stat
from io import BufferedReader, FileIO
from pathlib import Path

_NOT_BLOCKING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_NEVER_WAIT = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/", os.devnull)
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFDIR: "a folder"}


def open_regular(path: Path) -> BufferedReader:
    """The regular file `path`, open for reading; OSError at once for anything else."""
    if _never_waits(path):
        return path.open("rb")
    descriptor = os.open(path, _NOT_BLOCKING)
    try:
        _check(os.fstat(descriptor).st_mode, path)
        return BufferedReader(FileIO(descriptor))
    except OSError:
        os.close(descriptor)
        raise


def read_regular(path: Path) -> bytes:
    """The content of the regular file `path`; OSError at once for anything else."""
    with open_regular(path) as file:
        return file.read()


def read_regular_text(path: Path) -> str:
    """The UTF-8 text in the regular file `path`, without a byte order mark; OSError at once for anything else."""
    with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig") as file:
        return file.read()


def check_regular(path: Path) -> None:
    """OSError unless `path` is a regular file. It is for files that a library opens."""
    if not _never_waits(path):
        _check(path.stat().st_mode, path)


def kind_of_file(mode: int) -> str:
    """What a file that is not regular is, with its article."""
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def _check(mode: int, path: Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {kind_of_file(mode)}, and a file is needed", str(path))


def _never_waits(path: Path) -> bool:
    return str(path).startswith(_NEVER_WAIT)
