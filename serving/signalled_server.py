"""uvicorn's server as a process of ours: a signal stops it in order, and then its exit code is 0."""

import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, ClassVar

import uvicorn


class SignalledServer(uvicorn.Server):
    """The first SIGTERM or SIGINT stops the server in order; a second signal of `immediate` ends it at once.

    uvicorn would raise the signal again at its end, so that the process would end as killed by the signal.
    """

    immediate: ClassVar[frozenset[int]] = frozenset({signal.SIGINT, signal.SIGTERM})

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig in self.immediate:
            self.force_exit = True
        self.should_exit = True


def plain_config(application: Callable[..., Any], *, idle_s: int = 5, stop_s: int) -> uvicorn.Config:
    """Settings without websockets and lifespan, in which uvicorn logs only warnings and trusts no header of a proxy."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return uvicorn.Config(
        application,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=idle_s,
        timeout_graceful_shutdown=stop_s,
    )
