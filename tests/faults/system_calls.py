"""The system calls of a process, in order, as strace saw them; and calls that strace makes fail.

Only those that the order of syncs needs: writes and their targets, files that were synced, renamed and removed, and the moment when
each call returned. An answer counts from the moment its sending begins, a sync only once it has returned.
"""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.waiting import eventually

_CALLS = "write,pwrite64,writev,sendto,sendmsg,fdatasync,fsync,rename,renameat,renameat2,unlink,unlinkat"
_LINE = re.compile(r"(\d+) +(?:<\.\.\. \w+ resumed>(?P<resumed>.*)|(?P<call>\w+)\((?P<arguments>.*))", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_DESCRIPTOR = re.compile(r"\d+<(.*?)>")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call at its start or at its return: its name, the file of its first descriptor, its strings."""

    name: str
    target: str
    strings: tuple[bytes, ...]
    returned: bool


@contextmanager
def traced(pid: int, into: Path, *, fail: str | None = None) -> Iterator[None]:
    """Record the calls of a process and all its threads while the block lasts.

    `fail` makes calls fail without being made, in strace's syntax: `fdatasync:error=EIO:when=3+4` is the third and every fourth
    after it.
    """
    only = fail.partition(":")[0] if fail else _CALLS
    inject = ["-e", f"inject={fail}"] if fail else []
    command = ["strace", "-f", "-yy", "-s", "4000000", "-e", f"trace={only}", *inject, "-o", str(into), "-p", str(pid)]
    errors = into.with_suffix(".strace")
    with errors.open("w") as stderr:
        strace = subprocess.Popen(command, stderr=stderr)
    try:
        eventually(lambda: "attached" in errors.read_text() or strace.poll() is not None, within_s=10)
        if strace.poll() is not None:
            pytest.skip(f"strace may not look at processes here: {errors.read_text().strip()}")
        yield
    finally:
        if strace.poll() is None:
            strace.terminate()
        strace.wait(10)


def failed(trace: Path) -> int:
    """How many calls were made to fail."""
    return trace.read_text(encoding="latin-1").count("(INJECTED)")


def calls(trace: Path) -> Iterator[Call]:
    """The start and the return of every successful call, in order."""
    begun: dict[str, Call] = {}
    for line in trace.read_text(encoding="latin-1").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue  # signals, ends of threads
        thread = match[1]
        if match["call"]:
            begun[thread] = _begun(match["call"], match["arguments"])
            yield begun[thread]
            if line.endswith(_UNFINISHED):
                continue
        if re.search(r"\) += \d+$", line):
            call = begun[thread]
            yield Call(call.name, call.target, call.strings, returned=True)


def _begun(name: str, arguments: str) -> Call:
    descriptor = _DESCRIPTOR.match(arguments)
    strings = tuple(_bytes(text) for text in _STRING.findall(arguments))
    return Call(name, descriptor[1] if descriptor else "", strings, returned=False)


def _bytes(text: str) -> bytes:
    """A string as strace writes it, with C's escapes."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
