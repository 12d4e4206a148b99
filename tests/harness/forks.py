"""`swarmscope` processes that are forks of one that has imported everything, which saves each of them its imports.

Each pytest process has one such preloaded process (tests/harness/preloaded.py), which starts with the first fork. A fork sees what
a new interpreter would see, but for its memory, its command line in `ps` and its hash seed. Tests that depend on these, such as
those that measure memory, are marked `new_interpreter`.
"""

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.harness.preloaded import CONSTANTS, LIMITS, MESSAGE_BYTES, ROOT

READ_LATE = ("COLUMNS", "PYTEST_CURRENT_TEST", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", CONSTANTS)
"""Like SWARMSCOPE_..., the first two are read when a command runs. scikit-learn sets the KMP variables when a test imports it; no
command in a fork depends on them. Python and libraries read other variables only when they start.
"""

SHORT_PAUSES = {
    "coordinator.carriers.destinations:LONGEST_PAUSE_S": 0.5,
    "coordinator.carriers.spool_drain:LONGEST_PAUSE_S": 0.5,
    "coordinator.carriers.spool_drain:LONGEST_BLOCKED_PAUSE_S": 0.5,
}
"""Constants by `MODULE:NAME`. A coordinator with them tries again after half a second at most, not after 15 s or a minute."""

_started_with: dict[str, str] = {}
_allowed = True


def remember_environment() -> None:
    """Call this when the tests begin: the preloaded process starts with the variables of this moment."""
    _started_with.update(os.environ)


def allow(allowed: bool) -> None:
    """Whether the next test may use forks."""
    global _allowed
    _allowed = allowed


def may_start(variables: Mapping[str, str]) -> bool:
    """Whether a process with these environment variables may be a fork."""
    changed = {name for name, _ in variables.items() ^ _started_with.items()}
    return _allowed and hasattr(os, "pidfd_open") and all(name.startswith("SWARMSCOPE_") or name in READ_LATE for name in changed)


class ForkedProcess(subprocess.Popen[str]):
    """`swarmscope ARGUMENTS` in a fork of the preloaded process, with the pipes and methods of Popen.

    The preloaded process is its parent and waits for it. This process has a pidfd, and a socket that receives the exit status.
    """

    def __init__(self, arguments: Sequence[str], **options: Any) -> None:
        self._arguments = [*arguments]
        super().__init__(["swarmscope", *arguments], **options)

    def _execute_child(
        self, _args, _executable, preexec_fn, _close_fds, pass_fds, cwd, env, _startupinfo, _creationflags, _shell,
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_rest,
    ) -> None:  # fmt: skip
        """What Popen calls after it has made the pipes, and before it returns."""
        assert not preexec_fn, "it needs a new interpreter"
        assert not pass_fds, "they need a new interpreter"
        request = {
            "arguments": self._arguments,
            "env": dict(os.environ if env is None else env),
            "cwd": os.fspath(cwd or Path.cwd()),
            "limits": [resource.getrlimit(limit) for limit in LIMITS],
        }
        streams = [own if given == -1 else given for given, own in ((p2cread, 0), (c2pwrite, 1), (errwrite, 2))]
        self._status, theirs = socket.socketpair()
        with theirs:
            _preloaded().fork(json.dumps(request).encode(), [*streams, theirs.fileno()])
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)
        pid, pidfds, _, _ = socket.recv_fds(self._status, 32, 1)
        assert pid, "the preloaded process has ended; its errors are above"
        [self._pidfd], self.pid, self._child_created = pidfds, int(pid), True

    def poll(self) -> int | None:
        if self.returncode is None and self._ends_within(0):
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not self._ends_within(timeout):
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end()
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                signal.pidfd_send_signal(self._pidfd, sig)

    def _internal_poll(self, *_arguments: object, **_keywords: object) -> int | None:
        """For the methods of Popen that do not call `poll`."""
        return self.poll()

    def _ends_within(self, timeout_s: float | None) -> bool:
        return bool(select.select([self._status], [], [], timeout_s)[0])

    def _end(self) -> None:
        with self._status:
            status = self._status.recv(32)
        os.close(self._pidfd)
        assert status, "the preloaded process has ended before its child"
        self.returncode = os.waitstatus_to_exitcode(int(status))


class Preloaded:
    """The preloaded process of this pytest process."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_BYTES)
        with theirs:
            command = [sys.executable, "-m", "tests.harness.preloaded", str(theirs.fileno()), "swarmscope"]  # the name is for `ps`
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, cwd=ROOT, pass_fds=[theirs.fileno()], env=_started_with
            )

    def fork(self, request: bytes, files: list[int]) -> None:
        socket.send_fds(self._control, [request], files)

    def close(self) -> None:
        """End it. Its children run on, and their exit status is lost."""
        self._control.close()
        self._process.wait(60)


_running: list[Preloaded] = []
_lock = threading.Lock()


def _preloaded() -> Preloaded:
    with _lock:
        if not _running:
            _running.append(Preloaded())
        return _running[0]


def end() -> None:
    """End the preloaded process, if there is one."""
    with _lock:
        while _running:
            _running.pop().close()
