"""The streams at one node: its parents, its children, and the packets that it sends again.

A node has one parent for each stream. It leaves the parent so far only when the new one delivers, or the old one has failed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import Protocol

from msgspec.structs import replace

from overlay.data_header import HEADER_BYTES, MOST_HOPS, DataHeaderError, Flags, read_data_header
from overlay.forwarding import Forwarding
from overlay.link_repair import ranges_of
from overlay.messages import Body, Graft, InstallTree, Nack, Prune
from overlay.reception import Arrival

GRAFT_AGAIN_S = 0.3
"""A parent that has delivered nothing for this time after a GRAFT is asked again: it may not have known the stream yet. Each
further time is twice as long."""
LONGEST_GRAFT_AGAIN_S = 30.0
IDLE_AFTER_S = 3.0
REPAIR_EVERY_S = 0.005
DENSE_S = 0.001
"""The time between two packets of a stream of 10 Mbit/s."""
LOSSY_S = 5.0
"""For this time after a loss, the link counts as lossy."""
REPLAYED_AT_ONCE = 8
REPLAY_SPEED = 4
"""A replay is sent at four times the stream's rate: a burst of two seconds would overflow the queues of the path."""


class Links(Protocol):
    """How messages and packets get to the neighbours."""

    def send_message(self, neighbor: str, body: Body) -> bool:
        """Send a control message; False if there is no connection."""

    def send(self, neighbor: str, packet: bytes) -> None:
        """Send a media packet."""

    def request(self, neighbor: str, body: Nack) -> None:
        """Send a request for packets, on UDP."""

    def round_trip_s(self, neighbor: str) -> float:
        """The measured time to a neighbour and back."""


class Distribution:
    """All streams at one node. `on_packet` gets every RTP packet that is new here."""

    def __init__(self, links: Links, counts: Counter[str], on_packet: Callable[[Arrival], None] | None) -> None:
        self.streams: dict[str, Forwarding] = {}
        self._numbers: dict[int, str] = {}
        self._links, self._counts, self._on_packet = links, counts, on_packet
        self._repairing: asyncio.TimerHandle | None = None
        self._asked_s = -LOSSY_S
        """When the last NACK was sent."""
        self._replays: dict[tuple[str, str], asyncio.TimerHandle] = {}
        """The timers of unfinished replays, by stream and child."""

    # What control messages and connections change

    def install(self, place: InstallTree, unlisted: Collection[str] = ()) -> None:
        """Take the place that the bootstrapper has planned.

        The bootstrapper does not list the `unlisted` neighbours, for example after its restart. So a backup parent among them
        stays until the bootstrapper names another one.
        """
        forwarding = self.streams.setdefault(place.stream, Forwarding(place))
        backup = forwarding.tree.backup
        if place.parent is not None and place.backup is None and backup in unlisted and backup != place.parent:
            place = replace(place, backup=backup)
        self._numbers[place.stream_number] = place.stream
        forwarding.install(place)
        if place.parent is None:
            self._leave_parent_if_unused(forwarding)
        elif place.parent != forwarding.parent:
            self._change_parent(forwarding, place.parent)
        self._change_second(forwarding)

    def handle_request(self, neighbor: str, body: Graft | Prune) -> None:
        """A neighbour requests a stream (GRAFT), or no longer needs it from here (PRUNE)."""
        forwarding = self.streams.get(body.stream)
        if forwarding is None:
            self._counts["unknown_stream"] += 1
        elif isinstance(body, Graft):
            self._grafted(forwarding, neighbor, body)
        else:
            forwarding.prune(neighbor)
            self._leave_parent_if_unused(forwarding)

    def connected(self, neighbor: str) -> None:
        """A connection to a neighbour was opened."""
        for forwarding in self.streams.values():
            forwarding.begin_link(neighbor)
            planned = forwarding.tree.parent if forwarding.parent is None else None
            if neighbor in (forwarding.wanted, forwarding.parent, planned):
                self._change_parent(forwarding, neighbor)
            self._change_second(forwarding)

    def lost(self, neighbor: str) -> None:
        """A neighbour has failed. Where it is the parent, change to the backup; without a backup, wait for its return."""
        for forwarding in self.streams.values():
            forwarding.prune(neighbor)
            forwarding.leaving.discard(neighbor)
            if forwarding.second == neighbor:
                forwarding.second = None
            self._leave_parent_if_unused(forwarding)
            if forwarding.parent != neighbor:
                continue
            forwarding.parent = forwarding.asked_s = None
            forwarding.parent_failed()
            backup = forwarding.second or forwarding.tree.backup
            if backup in (None, neighbor):
                forwarding.wanted = neighbor
            else:
                self._counts["failovers"] += 1
                self._change_parent(forwarding, backup)

    def leaves(self, neighbor: str) -> None:
        """A neighbour is about to end, and still sends. Where it is the parent, change to another one without a gap."""
        for forwarding in self.streams.values():
            other = forwarding.second or forwarding.tree.backup
            if forwarding.second == neighbor:
                self._links.send_message(neighbor, Prune(stream=forwarding.tree.stream))
                forwarding.second = None
            elif forwarding.parent == neighbor and other not in (None, neighbor):
                self._change_parent(forwarding, other)

    def fed_children(self) -> set[str]:
        """The children that another node can feed: those in the streams that do not begin here."""
        return {child for each in self.streams.values() if each.parent is not None for child in each.children}

    def retry_requests(self, now_s: float) -> None:
        """Send GRAFT again to the parents that do not deliver."""
        for forwarding in self.streams.values():
            if forwarding.parent is None or forwarding.asked_s is None:
                continue
            if now_s - forwarding.asked_s > min(GRAFT_AGAIN_S * 2**forwarding.asked_again, LONGEST_GRAFT_AGAIN_S):
                self._counts["grafts_repeated"] += 1
                again, awake_s = forwarding.asked_again + 1, forwarding.awake_s
                self._change_parent(forwarding, forwarding.parent)
                forwarding.asked_again, forwarding.awake_s = again, awake_s  # without a stream, links have their long intervals

    def in_use(self, now_s: float) -> set[str]:
        """The neighbours over whose links a stream flows, or has flowed until a few seconds ago."""
        awake = (each for each in self.streams.values() if now_s - each.awake_s < IDLE_AFTER_S)
        return {neighbor for each in awake for neighbor in each.neighbors_in_use()}

    def fed(self, now_s: float) -> set[str]:
        """The neighbours of `in_use` to which this node sends a stream."""
        return {child for each in self.streams.values() if now_s - each.awake_s < IDLE_AFTER_S for child in each.children}

    def is_urgent(self, now_s: float) -> bool:
        """Whether to read packets at once: a child waits for them, a link is lossy, or the socket's buffer would become full."""
        streams = self.streams.values()
        return now_s - self._asked_s < LOSSY_S or any(each.children or 0 < each.packet_interval_s() < DENSE_S for each in streams)

    def lost_of(self, neighbor: str) -> tuple[int, int]:
        """The number of media packets that a neighbour has sent to this node, and how many of them the link has lost."""
        links = [link for each in self.streams.values() if (link := each.links_in.get(neighbor)) is not None]
        return sum(link.expected for link in links), sum(link.lost for link in links)

    def close(self) -> None:
        """Send nothing more."""
        for handle in [*self._replays.values(), *([self._repairing] if self._repairing is not None else [])]:
            handle.cancel()

    # Media

    def originate(self, stream: str, rtp: bytes) -> None:
        """Send an RTP packet into the stream's tree; without a tree it is discarded."""
        if stream in self.streams:
            for child, packet in self.streams[stream].originated(rtp, time.monotonic(), time.time_ns() // 1000):
                self._links.send(child, packet)

    def arrived(self, sender: str, data: bytes, now_s: float) -> None:
        """Handle a media packet of a neighbour."""
        try:
            header = read_data_header(data)
        except DataHeaderError:
            self._counts["data_unreadable"] += 1
            return
        stream = self._numbers.get(header.stream)
        if stream is None:
            self._counts["data_of_no_stream"] += 1
            return
        forwarding = self.streams[stream]
        if forwarding.parent is None and forwarding.wanted is None:
            self._counts["data_not_wanted"] += 1  # the last packets of an earlier parent
            return
        for restored in forwarding.restored(data, sender):
            self.arrived(sender, restored, now_s)
        if header.flags & Flags.PARITY:
            self._repair_soon(forwarding, sender)
            return
        known = forwarding.counts["data_received"]
        for child, packet in forwarding.arrived(data, now_s, sender):
            self._links.send(child, packet)
        if sender == forwarding.parent and forwarding.asked_s is not None:
            self._parent_delivers(forwarding)
        self._repair_soon(forwarding, sender)
        if self._on_packet is not None and forwarding.counts["data_received"] > known:
            arrived_us = (time.time() - time.monotonic() + now_s) * 1e6
            delay_ms = (arrived_us - header.origin_us) / 1000
            self._on_packet(Arrival(stream, data[HEADER_BYTES:], now_s, delay_ms, MOST_HOPS - header.hops_left))

    def _repair_soon(self, forwarding: Forwarding, sender: str) -> None:
        link = forwarding.links_in.get(sender)
        if self._repairing is None and link is not None and link.missing:
            self._repair()

    def repeat(self, child: str, request: Nack) -> None:
        """Send packets again that a child has not received."""
        forwarding = self.streams.get(request.stream or "")
        if forwarding is None:
            self._counts["unknown_stream"] += 1
            return
        for packet in forwarding.repeated(child, request.ranges):
            self._links.send(child, packet)

    def _repair(self) -> None:
        """Send NACK for missing packets until none is missing."""
        self._repairing, now_s = None, time.monotonic()
        missing = 0
        for name, forwarding in self.streams.items():
            for neighbor, link in forwarding.links_in.items():
                if forwarding.second is not None and forwarding.has_all():
                    link.arrived_elsewhere()
                numbers = link.due(now_s, self._links.round_trip_s(neighbor))
                if numbers:
                    self._asked_s = now_s
                    forwarding.counts["nacks_sent"] += 1
                    self._links.request(neighbor, Nack(stream=name, ranges=ranges_of(numbers)))
                missing += link.missing
        if missing:
            self._repairing = asyncio.get_running_loop().call_later(REPAIR_EVERY_S, self._repair)

    # Parents and children

    def _grafted(self, forwarding: Forwarding, child: str, body: Graft) -> None:
        """Feed a child. Packets that this node lacks are requested from its own parent and forwarded."""
        if child not in forwarding.children:
            forwarding.awake_s = time.monotonic()
        self._replay(forwarding, child, forwarding.graft(child, body.from_sequence))
        upstream = forwarding.parent or forwarding.wanted or forwarding.tree.backup
        if upstream is None or upstream == child or not forwarding.lacks(body.from_sequence):
            return
        if forwarding.parent is None:
            forwarding.asked_from = body.from_sequence
            self._change_parent(forwarding, upstream)
        else:
            self._links.send_message(upstream, body)

    def _replay(self, forwarding: Forwarding, child: str, packets: Iterator[tuple[str, bytes]]) -> None:
        """Send some packets of a replay, and the rest later."""
        key = forwarding.tree.stream, child
        if (waiting := self._replays.pop(key, None)) is not None:
            waiting.cancel()
        some = list(islice(packets, REPLAYED_AT_ONCE))
        for _, packet in some:
            self._links.send(child, packet)
        if len(some) == REPLAYED_AT_ONCE:
            pause_s = forwarding.packet_interval_s() * REPLAYED_AT_ONCE / REPLAY_SPEED
            loop = asyncio.get_running_loop()
            self._replays[key] = loop.call_later(pause_s, self._replay, forwarding, child, packets)

    def _leave_parent_if_unused(self, forwarding: Forwarding) -> None:
        """Leave the parent of a stream in whose tree this node is no longer, as soon as its last child has another parent."""
        if forwarding.tree.parent is None and forwarding.parent is not None and not forwarding.children:
            second = {forwarding.second} if forwarding.second is not None else set()
            for parent in {forwarding.parent, *second, *forwarding.leaving}:
                self._links.send_message(parent, Prune(stream=forwarding.tree.stream))
            forwarding.parent = forwarding.second = forwarding.wanted = forwarding.asked_from = forwarding.asked_s = None
            forwarding.leaving.clear()
            forwarding.forget()

    def _change_parent(self, forwarding: Forwarding, parent: str) -> None:
        """Send GRAFT to a parent, from the first missing packet on. The old parent is left when the new one delivers."""
        now_s = time.monotonic()
        graft = Graft(stream=forwarding.tree.stream, from_sequence=forwarding.ask_from(now_s))
        if not self._links.send_message(parent, graft):
            forwarding.wanted = parent  # GRAFT is sent as soon as there is a connection
            self._counts["grafts_waited"] += 1
            return
        if forwarding.parent not in (None, parent):
            forwarding.leaving.add(forwarding.parent)
        if parent not in (forwarding.parent, forwarding.second):
            forwarding.begin_link(parent)
        if parent == forwarding.second:
            forwarding.second = None
        forwarding.leaving.discard(parent)
        forwarding.parent, forwarding.wanted, forwarding.asked_from, forwarding.asked_s = parent, None, None, now_s
        forwarding.asked_again, forwarding.awake_s = 0, now_s

    def _change_second(self, forwarding: Forwarding) -> None:
        """Send GRAFT to another second parent, and leave the former second parent."""
        planned = forwarding.tree.parent, forwarding.tree.second_parent
        second = next((each for each in planned[::-1] if each not in (None, forwarding.parent)), None)
        if forwarding.tree.second_parent is None or forwarding.parent is None:
            second = None
        before = forwarding.second
        if second == before:
            return
        if second is not None:
            if not self._links.send_message(second, Graft(stream=forwarding.tree.stream)):
                return  # GRAFT is sent when there is a connection
            forwarding.begin_link(second)
            forwarding.leaving.discard(second)
        forwarding.second = second
        if before is not None and before != forwarding.parent:
            self._links.send_message(before, Prune(stream=forwarding.tree.stream))

    def _parent_delivers(self, forwarding: Forwarding) -> None:
        """The new parent delivers: leave the earlier parents."""
        forwarding.asked_s = None
        for parent in forwarding.leaving:
            self._links.send_message(parent, Prune(stream=forwarding.tree.stream))
            forwarding.begin_link(parent)
        forwarding.leaving.clear()
