"""A responder in a thread of the tests."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from measurement.responder import Responder


@contextmanager
def running_responder(*, token: str, host: str, port: int = 0) -> Iterator[Responder]:
    """A responder that serves in a thread of its own until the end of the block."""
    responder = Responder(token=token, host=host, port=port)
    stop: list[Callable[[], object]] = []
    ready = threading.Event()

    async def serve() -> None:
        stopped, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        ready.set()
        await responder.serve(stopped)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="responder", daemon=True)
    thread.start()
    ready.wait()
    try:
        yield responder
    finally:
        stop[0]()
        thread.join()
