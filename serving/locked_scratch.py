"""Temporary folders that a killed process leaves only until the next process makes one with the same prefix beside it.

The process that uses a folder holds a lock on it, which ends with the process, also after SIGKILL or a power cut. So a folder that
can be locked has no owner any more.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

SYSTEM_PREFIX = "swarmscope-scratch-"
"""For folders in the system's folder of temporary files, which others use too."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def _keep_nothing(folder: Path) -> None:
    """What `scratch_folder` rescues by default."""


@contextmanager
def scratch_folder(
    prefix: str = SYSTEM_PREFIX, parent: Path | None = None, *, rescue: Callable[[Path], None] = _keep_nothing
) -> Iterator[Path]:
    """A new folder for this block, in `parent` or where temporary files are. Folders of killed processes are removed before.

    `rescue` is called with each folder before it is removed, and may take something out of it. OSError if none can be made.
    """
    where = parent or Path(tempfile.gettempdir())
    _remove_left_behind(where, prefix, rescue)
    with ExitStack() as stack:
        path = _locked_folder(where, prefix, stack)
        try:
            yield path
        finally:
            rescue(path)
            shutil.rmtree(path, ignore_errors=True)


def _locked_folder(where: Path, prefix: str, stack: ExitStack) -> Path:
    """A new folder that is locked until `stack` ends. It is made again if another process took it for one without an owner."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
        with suppress(FileNotFoundError):
            descriptor = os.open(path, _FOLDER)
            stack.callback(os.close, descriptor)
            with suppress(OSError):  # a file system without locks: then no process finds that it can lock the folder
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return path


def _remove_left_behind(where: Path, prefix: str, rescue: Callable[[Path], None]) -> None:
    for path in where.glob(f"{prefix}*"):
        with suppress(OSError), ExitStack() as stack:  # such as a folder of another user
            descriptor = os.open(path, _FOLDER)
            stack.callback(os.close, descriptor)
            if os.fstat(descriptor).st_uid != os.geteuid():
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            rescue(path)
            shutil.rmtree(path, ignore_errors=True)
