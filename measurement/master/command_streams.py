"""The open streams of commands, one for each connected agent."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from measurement.control_messages import Command

MOST_WAITING = 10_000
"""The most commands that an agent may leave unread. A slower agent is disconnected."""

_END = None


class CommandStreams:
    """Commands in the order in which they were sent; a new stream of an agent ends its earlier one."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[bytes | None]] = {}

    def send(self, agent: str, command: Command) -> None:
        """Queue a command. Without a stream, nothing happens, because the agent then runs nothing."""
        queue = self._queues.get(agent)
        if queue is not None:
            if queue.qsize() >= MOST_WAITING:
                self.close(agent)
            else:
                queue.put_nowait(msgspec.json.encode(command) + b"\n")

    def open(self, agent: str) -> "asyncio.Queue[bytes | None]":
        self.close(agent)
        queue = self._queues[agent] = asyncio.Queue()
        return queue

    async def lines(self, queue: "asyncio.Queue[bytes | None]", *, heartbeat_s: float) -> AsyncIterator[bytes]:
        """The commands until the stream is closed, and an empty line after a time without a command."""
        while True:
            try:
                line = await asyncio.wait_for(queue.get(), heartbeat_s)
            except TimeoutError:
                line = b"\n"
            if line is _END:
                return
            yield line

    def is_open(self, agent: str, queue: "asyncio.Queue[bytes | None]") -> bool:
        """Whether this is still the agent's stream."""
        return self._queues.get(agent) is queue

    def close(self, agent: str) -> None:
        queue = self._queues.pop(agent, None)
        if queue is not None:
            queue.put_nowait(_END)

    def agents(self) -> set[str]:
        """The agents with an open stream."""
        return set(self._queues)

    def close_all(self) -> None:
        for agent in list(self._queues):
            self.close(agent)
