"""uvicorn's server as a process of ours: a signal stops it in order, and then its exit code is 0."""

import signal
from types import FrameType
from typing import ClassVar

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
