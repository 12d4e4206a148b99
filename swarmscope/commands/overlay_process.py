"""Runs the event loop of an overlay process until a signal, or until there is no memory."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import uvloop

from serving.lifecycle import on_stop
from serving.memory import end_loop_without_memory


def run_until_signal(work: Coroutine[Any, Any, None], drain: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
    """Run `work` until it ends, or until Ctrl-C or SIGTERM cancels it, after `drain`. A second signal does not wait for `drain`."""

    async def run() -> None:
        end_loop_without_memory(asyncio.get_running_loop(), "swarmscope overlay")
        task = asyncio.ensure_future(work)
        draining: list[asyncio.Task[None]] = []

        def stop() -> None:
            if drain is None or draining:
                task.cancel()
            else:
                draining.append(asyncio.ensure_future(drain()))
                draining[0].add_done_callback(lambda _: task.cancel())

        on_stop(stop)
        with suppress(asyncio.CancelledError):
            await task

    uvloop.run(run())
