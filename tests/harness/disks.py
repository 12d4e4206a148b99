"""File systems of a test's own, which can be small, full, read-only or absent.

They are mounted in a mount namespace that only this test process and its children see. The namespace and its mounts go with the
last process in it, so a killed test run leaves no mount behind.
"""

import ctypes
import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024
_CLONE_NEWNS, _MS_REC, _MS_SLAVE = 0x0002_0000, 0x4000, 0x8_0000


@functools.cache
def enter_private_mounts() -> str:
    """Move the calling thread, and the processes and threads it starts from now on, to a mount namespace of their own.

    Returns why that is impossible, or an empty string. New mounts of the machine appear inside; mounts made inside stay there.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) or libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None):
        return os.strerror(ctypes.get_errno())
    return ""


@contextmanager
def mounted_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """An empty file system at `folder`; the test is skipped if the user may not mount one."""
    if refused := enter_private_mounts():
        pytest.skip(f"a disk of its own needs the right to mount one, such as root's: {refused}")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a disk of its own needs the right to mount one: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        if os.path.ismount(folder):
            unmount(folder)


def remount(disk: Path, how: str) -> None:
    """Make the file system read-only (`ro`) or writable (`rw`)."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def try_to_make_read_only(disk: Path) -> bool:
    """Whether the file system is read-only now; the kernel refuses while a file is open for writing."""
    return subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False).returncode == 0


def unmount(disk: Path) -> None:
    """Take the file system away from its path; processes that have files open keep these."""
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def read_only_paths(disk: Path) -> Iterator[None]:
    """Make the paths below `disk` read-only; files that are open for writing stay writable."""
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
    try:
        assert_read_only(disk)
        yield
    finally:
        unmount(disk)


def assert_read_only(disk: Path) -> None:
    with pytest.raises(OSError, match="Read-only"):
        (disk / "proof").touch()


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount file systems of so many bytes; they go with the test."""
    with ExitStack() as mounted:
        numbers = iter(range(100))
        yield lambda size_bytes: mounted.enter_context(mounted_disk(tmp_path / f"disk{next(numbers)}", size_bytes=size_bytes))


@pytest.fixture
def disk(make_disk: Callable[[int], Path]) -> Path:
    """A file system of 8 MiB."""
    return make_disk(8 * MIB)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Fill the disk up to `leave` bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\xff" * 4096):
                pass
        except OSError:
            file.truncate(max(0, file.tell() - leave))
    return ballast
