"""Traces: each second the source sends PING down the tree of its stream, and each player sends the answer back up.

Each node on the way adds its name and its clock, so the source learns the path to each player and the time of each hop.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from overlay.data_header import MOST_HOPS
from overlay.forwarding import Forwarding
from overlay.messages import Hop, Ping


def held_us(arrived_s: float) -> int:
    """How long ago a message arrived, for its answer: a node may let messages wait until it reads them."""
    return max(round((time.monotonic() - arrived_s) * 1e6), 0)


class TraceLinks(Protocol):
    """How PINGs get to the neighbours."""

    def ping(self, neighbor: str, ping: Ping) -> None:
        """Send a PING on UDP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The path of one PING from the source to a player."""

    stream: str
    hops: tuple[Hop, ...]
    """The nodes from the source to the player, each with the time by its own clock."""
    round_trip_ms: float | None
    """The round trip, which only the source knows."""

    @property
    def path(self) -> list[str]:
        return [hop.node for hop in self.hops]

    @property
    def hop_ms(self) -> list[float]:
        """The time of each hop. It includes the difference between the clocks of its two ends."""
        return [(later.time_ns - earlier.time_ns) / 1e6 for earlier, later in pairwise(self.hops)]

    def as_json(self) -> dict[str, Any]:
        """The JSON object that the source prints."""
        return {
            "stream": self.stream,
            "player": self.path[-1],
            "path": self.path,
            "hop_ms": [round(each, 2) for each in self.hop_ms],
            "latency_ms": round(sum(self.hop_ms), 2),
            "round_trip_ms": round(self.round_trip_ms, 2) if self.round_trip_ms is not None else None,
        }


class Tracing:
    """The traces that begin at a node, pass it, or end there. `on_trace` gets those that the node receives as source or player."""

    def __init__(
        self,
        node: str,
        links: TraceLinks,
        streams: dict[str, Forwarding],
        counts: Counter[str],
        on_trace: Callable[[Trace], None] | None,
    ) -> None:
        self._node, self._links, self._streams, self._counts, self._on_trace = node, links, streams, counts, on_trace

    def begin(self, stream: str, number: int) -> None:
        """Send a PING from the source down the tree."""
        forwarding = self._streams.get(stream)
        if forwarding is not None:
            self._down(forwarding, Ping(node=self._node, number=number, stream=stream), 0, plays=False)

    def handle_ping(self, neighbor: str, ping: Ping, arrived_s: float, *, plays: bool) -> None:
        """Handle a PING with a stream from a neighbour. It is forwarded only along the tree, so it cannot circle or multiply."""
        forwarding = self._streams.get(ping.stream or "")
        if forwarding is None or len(ping.hops) >= MOST_HOPS:
            self._counts["traces_dropped"] += 1
        elif not ping.answer and neighbor == forwarding.parent:
            self._down(forwarding, ping, held_us(arrived_s), plays=plays)
        elif not ping.answer and neighbor == forwarding.second:
            pass  # a trace follows the first tree
        elif ping.answer and neighbor in forwarding.children and ping.hops:
            self._up(forwarding, ping, held_us(arrived_s))
        else:
            self._counts["traces_dropped"] += 1

    def _down(self, forwarding: Forwarding, ping: Ping, held: int, *, plays: bool) -> None:
        hops = [*ping.hops, Hop(node=self._node, time_ns=time.time_ns() - held * 1000)]
        for child in forwarding.children:
            self._links.ping(child, Ping(node=self._node, number=ping.number, stream=ping.stream, hops=hops))
        if plays and forwarding.parent is not None:
            self._found(Trace(stream=forwarding.tree.stream, hops=tuple(hops), round_trip_ms=None))
            answer = Ping(node=self._node, number=ping.number, stream=ping.stream, answer=True, hops=hops, held_us=held)
            self._links.ping(forwarding.parent, answer)

    def _up(self, forwarding: Forwarding, ping: Ping, held: int) -> None:
        if ping.hops[0].node == self._node:
            round_trip_ms = (time.time_ns() - ping.hops[0].time_ns) / 1e6 - (held + ping.held_us) / 1e3
            self._found(Trace(stream=forwarding.tree.stream, hops=tuple(ping.hops), round_trip_ms=round_trip_ms))
        elif forwarding.parent is not None:
            self._links.ping(forwarding.parent, ping)

    def _found(self, trace: Trace) -> None:
        if self._on_trace is not None:
            self._on_trace(trace)
