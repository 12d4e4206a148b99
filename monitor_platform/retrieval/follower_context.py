"""What the followers of all feedback servers share."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import ParamSpec, TypeVar

from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LogName
from monitor_platform.retrieval.fetch_plan import MirroredLog
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.retrieval.server_names import ServerNames
from monitor_platform.retrieval.table_loader import TableLoader

P = ParamSpec("P")
R = TypeVar("R")


class MirrorError(OSError):
    """The mirror on this machine cannot be read or written. This is not the feedback server's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerContext:
    """The mirror, the table's loader with its one thread, and the state of the mirrored logs."""

    mirror: Mirror
    loader: TableLoader
    worker: Executor
    names: ServerNames
    kind: RecordKind
    poll_s: float
    keep_ms: int | None
    """How long records stay in the table; None: no limit."""
    held: dict[str, MirroredLog] = field(default_factory=dict)
    """The mirrored part of recent and incomplete logs, by stem."""
    mirrored: dict[str, LogName] = field(default_factory=dict)
    """The newest log of each server that the mirror had at the start, by server name."""

    async def work(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `call` in the worker thread, so that it does not block the event loop. MirrorError for an OSError."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.worker, partial(call, *args, **kwargs))
        except OSError as error:
            where = error.filename or self.mirror.directory
            raise MirrorError(f"the mirror of this platform cannot be used: {where}: {error.strerror or error}") from error

    def since_ms(self) -> int | None:
        """The start of the time kept in memory; None to keep all."""
        return None if self.keep_ms is None else time.time_ns() // 1_000_000 - self.keep_ms
