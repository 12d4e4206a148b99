"""A named pipe, a device or a socket in the place of a file is refused at once; a plain `open` would wait for a writer."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.regular_files import check_regular, open_regular, read_regular, read_regular_text

READERS: dict[str, Callable[[Path], object]] = {
    "open": lambda path: open_regular(path).close(),
    "bytes": read_regular,
    "text": read_regular_text,
    "check": check_regular,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder", "a socket"])
def test_only_regular_files_are_opened(tmp_path: Path, reader: str, kind: str) -> None:
    path = tmp_path / "file"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path = Path("/dev/zero")
    elif kind == "a folder":
        path.mkdir()
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    failed: list[OSError] = []

    def read() -> None:
        try:
            READERS[reader](path)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert failed, "the reader waits"
    assert failed[0].filename in (path, str(path))


def test_a_regular_file_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbfkey\r\n")
    assert read_regular_text(tmp_path / "file") == "key\n"
    assert read_regular(tmp_path / "file") == b"\xef\xbb\xbfkey\r\n"
    check_regular(tmp_path / "file")


def test_a_pipe_that_the_process_was_started_with_is_read() -> None:
    """Such as `--keys <(…)` of a shell, or `-` for standard input. The writer may be slow."""
    program = "from sys import argv; from serving.regular_files import *; print(read_regular_text(Path(argv[1])))"
    for path in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        done = subprocess.run([sys.executable, "-c", program, path], input="secret", capture_output=True, text=True, check=True)
        assert done.stdout == "secret\n", path


def test_the_null_device_is_an_empty_file() -> None:
    """Such as `--config /dev/null`, with which a command reads no settings."""
    assert read_regular_text(Path("/dev/null")) == ""
    assert read_regular(Path("/dev/null")) == b""
    check_regular(Path("/dev/null"))
