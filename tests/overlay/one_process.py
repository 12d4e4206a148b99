"""A swarm in this process: bootstrapper and nodes with real sockets on the loopback interface, and no media file."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from overlay.bootstrapper import Bootstrapper
from overlay.node import OverlayNode
from overlay.node_settings import NodeSettings, StreamChoice
from overlay.null_stream import packets
from overlay.overlay_file import read_overlay_file
from overlay.proofs import node_key
from overlay.reception import Arrival
from serving.tls import ListenerTls, Tls

SECRET = b"s" * 32


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


class Swarm:
    """Its parts. `received` has the RTP source identifiers that each node received, by stream."""

    def __init__(self, topology: Mapping[str, Any], tls: ListenerTls | None = None) -> None:
        self.bootstrapper = Bootstrapper(read_overlay_file(json.dumps(topology)), SECRET, tls)
        self.nodes: dict[str, OverlayNode] = {}
        self.received: dict[tuple[str, str], set[int]] = {}
        self.refused: dict[str, tuple[str, str]] = {}
        """By the node, the stream that it cannot get, and why."""
        self.port = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def begin(self) -> None:
        ready: asyncio.Future[int] = asyncio.Future()
        self._tasks[""] = asyncio.create_task(self.bootstrapper.serve("127.0.0.1", self.port, ready.set_result))
        self.port = await ready

    async def end_bootstrapper(self) -> None:
        """With its connections, as the end of a process would."""
        await self.stop("")
        for member in self.bootstrapper.members.values():
            member.connection.close()

    async def restart_bootstrapper(self, topology: Mapping[str, Any]) -> None:
        """End it, and start another one at the same port."""
        await self.end_bootstrapper()
        self.bootstrapper = Bootstrapper(read_overlay_file(json.dumps(topology)), SECRET)
        await self.begin()

    def settings(self, name: str, **more: Any) -> NodeSettings:
        return NodeSettings(name=name, key=node_key(SECRET, name), bootstrapper=("127.0.0.1", self.port), **more)

    def start(
        self,
        name: str,
        *plays: StreamChoice,
        originates: Mapping[str, tuple[str, ...]] | None = None,
        tls: Tls | None = None,
    ) -> OverlayNode:
        """Start a node. Each stream that begins there flows when it is wanted; its source identifier is its place among them."""
        node = OverlayNode(
            self.settings(name, plays=plays, originates=originates or {}, tls=tls),
            lambda arrival: self._arrived(name, arrival),
            on_refused=lambda stream, reason: self.refused.update({name: (stream, reason)}),
        )
        self.nodes[name] = node
        self._tasks[name] = asyncio.create_task(node.run())
        for place, choice in enumerate(node.settings.originated()):
            self._tasks[choice.name] = asyncio.create_task(_originate(node, choice.name, place))
        return node

    async def stop(self, name: str) -> None:
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def end(self) -> None:
        for name in [*self._tasks][::-1]:
            await self.stop(name)

    def _arrived(self, name: str, arrival: Arrival) -> None:
        self.received.setdefault((name, arrival.stream), set()).add(int.from_bytes(arrival.rtp[8:12], "big"))


async def _originate(node: OverlayNode, stream: str, source_id: int) -> None:
    for _, rtp in packets(2000.0, source_id):
        if node.feeds(stream):
            node.originate(stream, rtp)
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def swarm_of(topology: Mapping[str, Any], tls: ListenerTls | None = None) -> AsyncIterator[Swarm]:
    swarm = Swarm(topology, tls)
    await swarm.begin()
    try:
        yield swarm
    finally:
        await swarm.end()
