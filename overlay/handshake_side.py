"""One side of a handshake: messages in, messages out. It checks proofs and uses the table; it has no socket and no clock."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import msgspec

from overlay.handshake import HandshakeEvent, HandshakeState, Send, step
from overlay.messages import Ack, Control, Data, Error, FinalAck, GeneralMessage, Neighbor, Ping, Speers
from overlay.proofs import Purpose, ReplayGuard, is_proof, proof

VERSION = 1
STATED_REFUSALS = {"wrong_proof", "unknown_node", "clock_differs", "other_version", "too_many_joins"}
"""Reasons in the ERROR of a listening side that the connecting side shows its operator. An ERROR has no proof."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What ACK states about a node."""

    node: str
    tcp_port: int
    udp_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The content of SPEERS: the neighbours, and how long the lease lasts."""

    epoch: int = 0
    lease_s: float = 0.0
    neighbors: tuple[Neighbor, ...] = ()


def event_of(message: Control) -> HandshakeEvent:
    """The event of a message after the check of its proof."""
    match message:
        case Ack():
            return HandshakeEvent.ACK
        case Speers():
            return HandshakeEvent.SPEERS
        case FinalAck():
            return HandshakeEvent.FINALACK_NEIGHBOR if message.neighbor else HandshakeEvent.FINALACK_OTHER
        case Ping():
            return HandshakeEvent.PING
        case Data():
            return HandshakeEvent.DATA
        case GeneralMessage():
            return HandshakeEvent.ERROR if isinstance(message.body, Error) else HandshakeEvent.MESSAGE
        case _:
            assert_never(message)


def speers(node: str, key: bytes, ack_nonce: bytes, nonce: bytes, roster: Roster) -> Speers:
    """SPEERS with its proof, which covers the whole roster."""
    mac = proof(key, Purpose.SPEERS, node, ack_nonce, nonce, *_roster_bytes(roster.epoch, roster.lease_s, roster.neighbors))
    neighbors = list(roster.neighbors)
    return Speers(node=node, nonce=nonce, epoch=roster.epoch, lease_s=roster.lease_s, neighbors=neighbors, mac=mac)


def is_true_speers(message: Speers, key: bytes, ack_nonce: bytes) -> bool:
    """Whether the proof of SPEERS is right."""
    bound = _roster_bytes(message.epoch, message.lease_s, message.neighbors)
    return is_proof(message.mac, key, Purpose.SPEERS, message.node, ack_nonce, message.nonce, *bound)


def _roster_bytes(epoch: int, lease_s: float, neighbors: Sequence[Neighbor]) -> tuple[bytes, bytes]:
    content = msgspec.msgpack.encode((lease_s, [_proved(each) for each in neighbors]))
    return epoch.to_bytes(8, "big"), hashlib.sha256(content).digest()


def _proved(neighbor: Neighbor) -> tuple[object, ...]:
    """The bytes that the proof covers. As in the first version, they contain no transport `udp`."""
    *first, transport = msgspec.structs.astuple(neighbor)
    return tuple(first) if transport == "udp" else (*first, transport)


def _ack_bytes(nonce: bytes, time_ms: int, tcp_port: int, udp_port: int) -> tuple[bytes, ...]:
    return nonce, time_ms.to_bytes(8, "big"), tcp_port.to_bytes(2, "big"), udp_port.to_bytes(2, "big")


class HandshakeSide:
    """The common part of both sides: the state, and the reason for its end."""

    def __init__(self, me: Identity, nonce: bytes, state: HandshakeState) -> None:
        self.state = state
        self.refusal: str | None = None
        """The name of the counter under which a broken protocol counts."""
        self.partner: Identity | None = None
        self.ack_nonce, self.speers_nonce = b"", b""
        self._me, self._nonce = me, nonce

    def timed_out(self) -> list[Control]:
        """The time of the state is over."""
        return self._at(HandshakeEvent.TIMEOUT)

    def closed(self) -> None:
        """The other side has closed the connection."""
        self._at(HandshakeEvent.CLOSED)

    def _at(self, event: HandshakeEvent, **messages: Control) -> list[Control]:
        """Take the step of an event. `messages` are those that the step may send."""
        taken = step(self.state, event)
        self.state = taken.state
        if not taken.legal:
            self.refusal = self.refusal or "illegal_message"
        if taken.send is Send.ERROR:
            return [GeneralMessage(node=self._me.node, body=Error(reason=self.refusal or "timeout"))]
        return [messages[taken.send.value]] if taken.send is not None else []

    def _refuse(self, reason: str) -> list[Control]:
        self.refusal = reason
        return self._at(HandshakeEvent.REFUSED)


class Connecting(HandshakeSide):
    """The side that connects."""

    def __init__(self, me: Identity, *, key: bytes, nonce: bytes) -> None:
        super().__init__(me, nonce, HandshakeState.ACK_SENDING)
        self.ack_nonce = nonce
        self.speers: Speers | None = None
        self._key = key

    def opened(self, now_ms: int) -> list[Control]:
        """The connection is open."""
        me, nonce = self._me, self._nonce
        mac = proof(self._key, Purpose.ACK, me.node, *_ack_bytes(nonce, now_ms, me.tcp_port, me.udp_port))
        ports = {"tcp_port": me.tcp_port, "udp_port": me.udp_port}
        return self._at(
            HandshakeEvent.OPENED, ACK=Ack(version=VERSION, node=me.node, nonce=nonce, time_ms=now_ms, mac=mac, **ports)
        )

    def received(self, message: Control) -> list[Control]:
        """What to send after a message. After CONNECTED, messages belong to the connection's owner."""
        if isinstance(message, Speers) and self.state is HandshakeState.WPEERS:
            return self._after_speers(message)
        if isinstance(message, FinalAck) and self.state is HandshakeState.FACK:
            bound = self.ack_nonce, self.speers_nonce
            if not is_proof(message.mac, self._key, Purpose.FINALACK_LISTENING, message.node, *bound):
                return self._refuse("wrong_proof")
        if isinstance(message, GeneralMessage) and isinstance(message.body, Error) and message.body.reason in STATED_REFUSALS:
            self.refusal = message.body.reason
        return self._at(event_of(message))

    def _after_speers(self, message: Speers) -> list[Control]:
        if not is_true_speers(message, self._key, self.ack_nonce):
            return self._refuse("wrong_proof")
        self.speers, self.speers_nonce = message, message.nonce
        self.partner = Identity(node=message.node, tcp_port=0, udp_port=0)
        mac = proof(self._key, Purpose.FINALACK_CONNECTING, self._me.node, self.ack_nonce, message.nonce)
        return self._at(HandshakeEvent.SPEERS, FINALACK=FinalAck(node=self._me.node, neighbor=True, mac=mac))


class Listening(HandshakeSide):
    """The side that listens. `keys` returns the key that a node has to prove; None for an unknown node."""

    def __init__(
        self,
        me: Identity,
        *,
        keys: Callable[[str], bytes | None],
        guard: ReplayGuard,
        nonce: bytes,
        roster: Callable[["Listening"], Roster] = lambda _side: Roster(),
    ) -> None:
        super().__init__(me, nonce, HandshakeState.ACK_RECEIVING)
        self.speers_nonce = nonce
        self.key = b""
        self._keys, self._guard, self._roster = keys, guard, roster

    def received(self, message: Control, now_ms: int) -> list[Control]:
        """What to send after a message. After CONNECTED, messages belong to the connection's owner."""
        if isinstance(message, Ack) and self.state is HandshakeState.ACK_RECEIVING:
            return self._after_ack(message, now_ms)
        if isinstance(message, FinalAck) and self.state is HandshakeState.WACK:
            return self._after_final(message)
        return self._at(event_of(message))

    def _after_ack(self, message: Ack, now_ms: int) -> list[Control]:
        key = self._keys(message.node)
        if message.version != VERSION:
            return self._refuse("other_version")
        if key is None:
            return self._refuse("unknown_node")
        bound = _ack_bytes(message.nonce, message.time_ms, message.tcp_port, message.udp_port)
        if not is_proof(message.mac, key, Purpose.ACK, message.node, *bound):
            return self._refuse("wrong_proof")
        refusal = self._guard.refusal(message.nonce, message.time_ms, now_ms)
        if refusal is not None:
            return self._refuse(refusal.value)
        self.key, self.ack_nonce = key, message.nonce
        self.partner = Identity(node=message.node, tcp_port=message.tcp_port, udp_port=message.udp_port)
        self._at(HandshakeEvent.ACK)
        return self._at(
            HandshakeEvent.PEERS_READY, SPEERS=speers(self._me.node, key, message.nonce, self._nonce, self._roster(self))
        )

    def _after_final(self, message: FinalAck) -> list[Control]:
        bound = self.ack_nonce, self._nonce
        if self.partner is None or message.node != self.partner.node:
            return self._refuse("wrong_proof")
        if not is_proof(message.mac, self.key, Purpose.FINALACK_CONNECTING, message.node, *bound):
            return self._refuse("wrong_proof")
        mac = proof(self.key, Purpose.FINALACK_LISTENING, self._me.node, *bound)
        return self._at(event_of(message), FINALACK=FinalAck(node=self._me.node, neighbor=message.neighbor, mac=mac))
