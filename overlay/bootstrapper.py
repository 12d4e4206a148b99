"""The bootstrapper: knows the topology, admits nodes, sends each its neighbours, and plans the trees.

Media never passes it. When it ends, trees and neighbours stay as they are, and nodes help themselves with their backup parents.
"""

import asyncio
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from overlay.control import ControlConnection, HandshakeFailedError, Handshakes
from overlay.control_listener import listening
from overlay.discovery import Discovery
from overlay.handshake_side import Identity, Listening, Roster, speers
from overlay.leases import Leases
from overlay.measured_links import MeasuredLinks, TreeWatch
from overlay.messages import (
    Control,
    Error,
    FilesOffer,
    GeneralMessage,
    InstallTree,
    Leave,
    LinkState,
    ListOffers,
    Neighbor,
    NodeDown,
    Pause,
    Ping,
    Play,
    ProtocolError,
    StreamRequest,
    Subscribe,
    Unsubscribe,
)
from overlay.node_settings import StreamChoice
from overlay.offers import Offers
from overlay.overlay_file import Overlay, Stream, pair
from overlay.parity import GROUP
from overlay.planning import NodePlace, StreamPlan, planned
from overlay.proofs import NONCE_BYTES, ReplayGuard, link_key, node_key, sealed
from overlay.trees import LinkCosts, graph_of
from serving.tls import ListenerTls

NAME = "bootstrapper"
EXPIRE_EVERY_S = 0.2
WATCH_EVERY_S = 1.0
VISIT_S = 5.0
OFFER_AFTER_S = 2.0
"""A source sends OFFER at once after it has joined. Without an OFFER in this time, it has no files."""
MOST_WAITING = 64
"""How many files of absent sources one player may request."""
PLAN_AFTER_S = 0.02
"""Joins that come together are planned together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node that is in the overlay."""

    connection: ControlConnection
    side: Listening
    identity: Identity


class Bootstrapper:
    """One overlay. `counts` has the number of refusals and events by name."""

    def __init__(self, overlay: Overlay, secret: bytes, tls: ListenerTls | None = None) -> None:
        self._discovery = Discovery(overlay)
        self._tls = tls
        self.members: dict[str, Member] = {}
        self.plans: dict[str, StreamPlan] = {}
        self.counts: Counter[str] = Counter()
        self._secret = secret
        self._guard, self._leases, self._handshakes = ReplayGuard(), Leases(), Handshakes()
        self._epoch = time.time_ns() // 1_000_000
        """Increases with each change. It begins with the time, so trees of an earlier bootstrapper have smaller epochs."""
        self._offers = Offers(overlay.streams)
        self._players: defaultdict[str, set[str]] = defaultdict(set)
        self._waiting: defaultdict[str, set[StreamChoice]] = defaultdict(set)
        """For each player, the files that it has requested and whose sources have not sent an OFFER yet."""
        self._placed: defaultdict[str, dict[str, NodePlace]] = defaultdict(dict)
        self._planning: asyncio.TimerHandle | None = None
        self._measured = MeasuredLinks()
        self._costs: defaultdict[str, LinkCosts] = defaultdict(dict)
        """The costs by which the present tree of each stream was planned."""
        self._watches: defaultdict[str, TreeWatch] = defaultdict(TreeWatch)
        self._watched_s = time.monotonic()

    @property
    def overlay(self) -> Overlay:
        """The overlay of the topology file, with the neighbours that nodes have found."""
        return self._discovery.overlay

    async def serve(self, host: str, port: int, ready: Callable[[int], None]) -> None:
        """Listen until cancelled. Port 0 selects a free port; `ready` gets the selected port."""
        async with listening(host, port, self._accepted, self._tls, self.counts) as bound:
            ready(bound)
            while True:
                await asyncio.sleep(EXPIRE_EVERY_S)
                for node in self._leases.expire(time.monotonic()):
                    self.counts["leases_expired"] += 1
                    self._remove(node)
                if time.monotonic() - self._watched_s >= WATCH_EVERY_S:
                    self._watched_s = time.monotonic()
                    self._improve_links()
                    self._watch_routes()

    # Members

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = ControlConnection(reader, writer)
        side = Listening(
            Identity(node=NAME, tcp_port=0, udp_port=0),
            keys=self._key_of,
            guard=self._guard,
            nonce=secrets.token_bytes(NONCE_BYTES),
            roster=self._roster,
        )
        try:
            await self._handshakes.perform(connection, side)
            await self._serve_member(connection, side)
        except (HandshakeFailedError, ProtocolError) as error:
            self.counts[f"refused_{getattr(error, 'reason', 'unreadable_message')}"] += 1
        finally:
            connection.close()

    def _key_of(self, node: str) -> bytes | None:
        return node_key(self._secret, node) if self._discovery.admits(node) else None

    async def _serve_member(self, connection: ControlConnection, side: Listening) -> None:
        if side.partner is None:
            return
        if side.partner.tcp_port == 0:
            await self._answer_visitor(connection)
            return
        member = Member(connection=connection, side=side, identity=side.partner)
        self._add(member)
        try:
            while (message := await connection.receive()) is not None:
                if not self._received(member, message):
                    break
        finally:
            if self.members.get(member.identity.node) is member:
                self._remove(member.identity.node)

    async def _answer_visitor(self, connection: ControlConnection) -> None:
        """Answer a node that does not listen. It is no member, and may ask once what can be played. A member may have its name."""
        with suppress(TimeoutError):
            async with asyncio.timeout(VISIT_S):
                message = await connection.receive()
            if isinstance(message, GeneralMessage) and isinstance(message.body, ListOffers):
                for offer in self._offers.listed():
                    connection.send(GeneralMessage(node=NAME, body=offer))

    def _add(self, member: Member) -> None:
        node = member.identity.node
        earlier = self.members.get(node)
        if earlier is not None:
            earlier.connection.close()  # the node has returned before its lease ended
        self.members[node] = member
        for placed in self._placed.values():
            placed.pop(node, None)  # send its places in the trees again
        self._leases.renew(node, time.monotonic())
        self.counts["joined"] += 1
        if self._offers.forget(node):
            asyncio.get_running_loop().call_later(OFFER_AFTER_S, self._offers_nothing, member)
        self._send_rosters(node, *self._discovery.joined(node, self.members, time.monotonic()))
        self._plan_soon()

    def _remove(self, node: str) -> None:
        member = self.members.pop(node, None)
        if member is None:
            return
        member.connection.close()
        self._leases.end(node)
        self._measured.forget(node)
        self.counts["left"] += 1
        for players in self._players.values():
            players.discard(node)
        self._waiting.pop(node, None)
        for placed in self._placed.values():
            placed.pop(node, None)
        self._send_rosters(node)
        self._discovery.left(node)
        self._plan_soon()

    def _received(self, member: Member, message: Control) -> bool:
        """Handle a message of a member; False if the member leaves."""
        node = member.identity.node
        if isinstance(message, Ping) and not message.answer:
            self._leases.announced(node, message.interval_ms / 1000)
        self._leases.renew(node, time.monotonic())
        if isinstance(message, Ping):
            if not message.answer:
                member.connection.send(Ping(node=NAME, number=message.number, answer=True))
        elif not isinstance(message, GeneralMessage):
            self.counts["unexpected_message"] += 1
        elif isinstance(message.body, Leave):
            return False
        elif isinstance(message.body, Subscribe | Unsubscribe | Play | Pause):
            self._subscribe(node, message.body)
        elif isinstance(message.body, FilesOffer):
            self._offered(node, message.body)
        elif isinstance(message.body, LinkState):
            self._linkstate(node, message.body)
        elif isinstance(message.body, NodeDown):
            self._check_reported_failure(node, message.body.node)
        else:
            self.counts[f"heard_{type(message.body).__name__}"] += 1
        return True

    def _check_reported_failure(self, reporter: str, node: str) -> None:
        """A node reports that a neighbour has failed. Send PING to the neighbour: perhaps only the link between them has failed."""
        if pair(reporter, node) not in self.overlay.links:
            self.counts["link_unknown"] += 1
        elif node in self.members:
            self.counts["nodes_doubted"] += 1
            self._leases.shorten(node, time.monotonic())
            self.members[node].connection.send(Ping(node=NAME, number=0))

    def _linkstate(self, node: str, state: LinkState) -> None:
        if pair(node, state.neighbor) in self.overlay.links:
            self._measured.report(node, state)
        else:
            self.counts["link_unknown"] += 1

    def _subscribe(self, node: str, body: StreamRequest) -> None:
        choice = StreamChoice(stream=body.stream, file=body.file)
        self._waiting[node].discard(choice)
        if isinstance(body, Unsubscribe | Pause):
            if choice.name in self._players:
                self._players[choice.name].discard(node)
        elif (reason := self._offers.refusal(choice)) is not None:
            self._refuse(node, choice, reason)
        elif not self._offers.is_offered(choice):
            self._wait(node, choice)
        else:
            self._offers.add(choice)
            self._players[choice.name].add(node)
        self._plan_soon()

    def _wait(self, node: str, choice: StreamChoice) -> None:
        """Keep a request until the source has joined: only the source knows whether it offers the file."""
        if len(self._waiting[node]) >= MOST_WAITING:
            self._refuse(node, choice, f"{MOST_WAITING} files of absent sources are requested already; request fewer")
        else:
            self._waiting[node].add(choice)

    def _refuse(self, node: str, choice: StreamChoice, reason: str) -> None:
        self.counts["streams_refused"] += 1
        if node in self.members:
            body = Error(reason=reason[:1024], stream=choice.stream, file=choice.file)
            self.members[node].connection.send(GeneralMessage(node=NAME, body=body))

    def _offers_nothing(self, member: Member) -> None:
        """A source has had the time to send OFFER. Its streams without an OFFER have no files."""
        node = member.identity.node
        if self.members.get(node) is member:
            for stream in self._offers.unanswered(node):
                self._offered(node, FilesOffer(stream=stream, files=[]))

    def _offered(self, node: str, offer: FilesOffer) -> None:
        """A source offers files. Answer the players that wait for them, and those that play a file that no longer exists."""
        reason = self._offers.offered(node, offer)
        if reason is not None:
            self._refuse(node, StreamChoice(stream=offer.stream), reason)
            return
        self.counts["offers"] += 1
        for player, choices in list(self._waiting.items()):
            for choice in [each for each in choices if each.stream == offer.stream]:
                self._subscribe(player, Subscribe(stream=choice.stream, file=choice.file))
        for choice in self._offers.chosen(offer.stream):
            reason = self._offers.refusal(choice)
            for player in sorted(self._players[choice.name]) if reason is not None else ():
                self._players[choice.name].discard(player)
                self._refuse(player, choice, reason or "")
        self._plan_soon()

    # Neighbours

    def _neighbors_of(self, node: str) -> Iterator[str]:
        return (other for ends in self.overlay.links if node in ends for other in ends if other != node)

    def _roster(self, side: Listening) -> Roster:
        """The neighbours that are in the overlay, with the keys of the links to them."""
        node = side.partner.node if side.partner is not None else ""
        bound = side.ack_nonce, side.speers_nonce, self._epoch.to_bytes(8, "big")
        neighbors = []
        for name in self._neighbors_of(node):
            if name in self.members:
                other = self.members[name]
                neighbors.append(
                    Neighbor(
                        node=name,
                        host=other.connection.host,
                        tcp_port=other.identity.tcp_port,
                        udp_port=other.identity.udp_port,
                        sealed_key=sealed(link_key(self._secret, node, name), side.key, name, *bound),
                        transport=self.overlay.links[pair(node, name)].transport,
                    )
                )
        return Roster(epoch=self._epoch, lease_s=self._leases.lease_s, neighbors=tuple(neighbors))

    def _send_rosters(self, node: str, *changed: str) -> None:
        """Send new lists to the neighbours of a node that joined or left, and to other nodes whose neighbours have changed."""
        self._epoch += 1
        # The node itself too: others may have joined between its ACK and its FINALACK.
        for name in dict.fromkeys((node, *self._neighbors_of(node), *changed)):
            member = self.members.get(name)
            if member is not None:
                met = member.side
                member.connection.send(speers(NAME, met.key, met.ack_nonce, met.speers_nonce, self._roster(met)))

    def _improve_links(self) -> None:
        """Improve the links of the nodes that find their neighbours themselves."""
        changed = sorted(self._discovery.improve_links(self.members, self._measured.costs("composite"), time.monotonic()))
        if changed:
            self.counts["neighbors_changed"] += 1
            self._send_rosters(changed[0], *changed[1:])
            self._plan_soon()

    # Trees

    def _plan_soon(self) -> None:
        if self._planning is None:
            self._planning = asyncio.get_running_loop().call_later(PLAN_AFTER_S, self._plan)

    def _plan(self) -> None:
        self._planning = None
        for name, stream in self._offers.streams.items():
            self._plan_stream(name, stream)

    def _plan_stream(self, name: str, stream: Stream) -> None:
        if stream.source not in self.members:
            return  # no node has the stream; the installed places may stay
        graph = graph_of(self.overlay, stream.metric, self._costs[name]).subgraph(self.members)
        plan = self.plans[name] = planned(self.overlay, stream, graph, sorted(self._players[name]))
        left = {node: NodePlace() for node in self._placed[name]}
        for node, place in (left | {**plan.places}).items():
            self._install(node, place, name)

    def _watch_routes(self) -> None:
        """Plan a stream again if the measured costs make another tree clearly better for a while."""
        for name, stream in self._offers.streams.items():
            costs, present = self._measured.costs(stream.metric), self.plans.get(name)
            if not costs or present is None or stream.source not in self.members:
                continue
            graph = graph_of(self.overlay, stream.metric, costs).subgraph(self.members)
            candidate = planned(self.overlay, stream, graph, sorted(self._players[name]))
            if self._watches[name].is_worth_a_change(graph, present.first, candidate.first, self._players[name], time.monotonic()):
                self.counts["routes_changed"] += 1
                self._costs[name] = costs
                self._epoch += 1
                self._plan_soon()

    def _install(self, node: str, place: NodePlace, stream: str) -> None:
        """Send a node its place, unless it already has this place."""
        placed, member = self._placed[stream], self.members.get(node)
        if placed.get(node) == place:
            return
        placed[node] = place
        if member is not None:
            body = InstallTree(
                stream=stream,
                stream_number=self._offers.numbers[stream],
                tree_epoch=self._epoch,
                parent=place.parent,
                children=list(place.children),
                backup=place.backup,
                second_parent=place.second_parent,
                parity_group=GROUP if self._offers.streams[stream].redundancy == "fec" else 0,
            )
            member.connection.send(GeneralMessage(node=NAME, body=body))
