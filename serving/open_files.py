"""What a server does within its limit of open files: it accepts fewer connections, or does not start.

Without a lower limit of connections, accept() itself would fail: no client gets an answer, and files cannot be opened either.
"""

import asyncio
import logging
import resource
import time
from typing import Any

_ACCEPT_FAILED = "socket.accept() out of system resource"
"""How asyncio begins its report. It makes one for each connection that waits, a hundred times a second."""

_REPORT_EVERY_S = 60.0

log = logging.getLogger(__name__)


def most_connections(wanted: int, *, own_files: int, least: int, server: str, files_each: int = 1) -> int:
    """`wanted` connections, or fewer if the limit of open files is low. OSError if fewer than `least` would be left.

    `own_files` is what the server has open beside its connections; `files_each` is what one connection may have open.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if files == resource.RLIM_INFINITY else min(wanted, (files - own_files) // files_each)
    if most < least:
        needed = own_files + files_each * least
        raise OSError(f"the limit of open files is {files}; a {server} needs at least {needed}: run ulimit -n 1024")
    if most < wanted:
        log.warning("connections: at most %d, not %d; the limit of open files is %d", most, wanted, files)
    return most


def limit_accept_failure_reports(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop log at most once a minute, in one line, that accept() failed because the table of open files is full."""
    reported_s = -_REPORT_EVERY_S
    former = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal reported_s
        if context.get("message") != _ACCEPT_FAILED:
            loop.default_exception_handler(context) if former is None else former(loop, context)
        elif time.monotonic() - reported_s >= _REPORT_EVERY_S:
            reported_s = time.monotonic()
            log.error("connections cannot be accepted now: %s; run ulimit -n with a larger number", context.get("exception"))

    loop.set_exception_handler(handle)
