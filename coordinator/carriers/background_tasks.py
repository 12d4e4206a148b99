"""Tasks that run until the outbox closes. If one fails, the process stops: a lane without its task would answer no sender."""

import asyncio
import logging
import signal
from collections.abc import Coroutine

from coordinator.out_of_memory import exit_if_out_of_memory

_log = logging.getLogger(__name__)


class BackgroundTasks:
    """Keeps tasks from being collected, and cancels them at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            exit_if_out_of_memory(mistake)
            _log.critical("the outbox fails; the coordinator stops", exc_info=mistake)
            signal.raise_signal(signal.SIGTERM)
