"""Two sides of a handshake, without sockets: a node that proves its identity is connected, and no other."""

from collections.abc import Callable

import msgspec
import pytest

from overlay.handshake import HandshakeState
from overlay.handshake_side import Connecting, Identity, Listening, Roster, is_true_speers, speers
from overlay.messages import Ack, Control, FinalAck, GeneralMessage, Neighbor, Ping, Speers
from overlay.proofs import ReplayGuard, link_key, node_key, sealed

SECRET, NOW_MS = b"s" * 32, 1_700_000_000_000
NODE, BOOTSTRAPPER = Identity(node="n1", tcp_port=7000, udp_port=7001), Identity(node="b", tcp_port=0, udp_port=0)
ROSTER = Roster(
    epoch=4, lease_s=3.0, neighbors=(Neighbor(node="n2", host="10.0.0.1", tcp_port=1, udp_port=2, sealed_key=b"k" * 32),)
)


FIRST_MAC = "8bd89393d60a6bb48b00c89d5b442c1f162e8abd75ca0272ddca5047557894e4"


def sides(key: bytes | None = None, guard: ReplayGuard | None = None) -> tuple[Connecting, Listening]:
    connecting = Connecting(NODE, key=key or node_key(SECRET, "n1"), nonce=b"c" * 16)
    listening = Listening(
        BOOTSTRAPPER,
        keys=lambda node: node_key(SECRET, node) if node in ("n1", "n2") else None,
        guard=guard or ReplayGuard(),
        nonce=b"l" * 16,
        roster=lambda _side: ROSTER,
    )
    return connecting, listening


def walk(connecting: Connecting, listening: Listening, change: Callable[[Control], Control] = lambda message: message) -> None:
    """Carry messages between the sides until none is left; `change` is what an attacker on the way does."""
    waiting = [(listening, message) for message in connecting.opened(NOW_MS)]
    while waiting:
        side, message = waiting.pop(0)
        arrived = change(message)
        if side is listening:
            waiting += [(connecting, answer) for answer in listening.received(arrived, NOW_MS)]
        else:
            waiting += [(listening, answer) for answer in connecting.received(arrived)]


def test_both_sides_connect_and_know_each_other():
    connecting, listening = sides()
    walk(connecting, listening)
    assert (connecting.state, listening.state) == (HandshakeState.CONNECTED, HandshakeState.CONNECTED)
    assert listening.partner == NODE
    assert connecting.partner is not None
    assert connecting.partner.node == "b"
    assert connecting.speers is not None
    assert tuple(connecting.speers.neighbors) == ROSTER.neighbors


def test_the_proof_of_speers_covers_the_transport_and_is_that_of_the_first_version_without_it():
    """The MAC was computed by the first version, whose neighbours had no transport."""
    key, nonces = b"k" * 32, (b"a" * 16, b"s" * 16)
    sent = speers("b", key, *nonces, ROSTER)
    assert sent.mac.hex() == FIRST_MAC
    over_tcp = msgspec.structs.replace(sent, neighbors=[msgspec.structs.replace(sent.neighbors[0], transport="tcp")])
    assert is_true_speers(sent, key, nonces[0])
    assert not is_true_speers(over_tcp, key, nonces[0])


def test_a_node_with_the_key_of_another_node_is_refused():
    connecting, listening = sides(key=node_key(SECRET, "n2"))
    walk(connecting, listening)
    assert (connecting.state, listening.state) == (HandshakeState.OFFLINE, HandshakeState.OFFLINE)
    assert listening.refusal == "wrong_proof"


def _changed(kind: type[Control], **values: object) -> Callable[[Control], Control]:
    return lambda message: msgspec.structs.replace(message, **values) if isinstance(message, kind) else message


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (_changed(Ack, node="n2"), "wrong_proof"),
        (_changed(Ack, node="n9"), "unknown_node"),
        (_changed(Ack, version=2), "other_version"),
        (_changed(Ack, udp_port=9), "wrong_proof"),
        (_changed(Ack, time_ms=NOW_MS + 1), "wrong_proof"),
        (_changed(Speers, epoch=5), "wrong_proof"),
        (_changed(Speers, neighbors=[]), "wrong_proof"),
        (_changed(Speers, nonce=b"x" * 16), "wrong_proof"),
        (_changed(FinalAck, mac=bytes(32)), "wrong_proof"),
        (_changed(FinalAck, node="n2"), "wrong_proof"),
    ],
)
def test_a_message_that_was_changed_on_its_way_ends_both_sides(change: Callable[[Control], Control], refusal: str):
    connecting, listening = sides()
    walk(connecting, listening, change)
    assert HandshakeState.CONNECTED not in (connecting.state, listening.state)
    assert refusal in (connecting.refusal, listening.refusal)


def test_a_recorded_handshake_cannot_be_sent_again():
    guard, recorded = ReplayGuard(), []
    connecting, listening = sides(guard=guard)
    walk(connecting, listening, lambda message: recorded.append(message) or message)
    _, again = sides(guard=guard)
    again.received(recorded[0], NOW_MS + 1000)
    assert (again.state, again.refusal) == (HandshakeState.OFFLINE, "replayed")
    # Even a guard that has forgotten everything does not help: the listening side's nonce is new.
    fresh = Listening(BOOTSTRAPPER, keys=lambda node: node_key(SECRET, node), guard=ReplayGuard(), nonce=b"z" * 16)
    fresh.received(recorded[0], NOW_MS)
    fresh.received(next(each for each in recorded if isinstance(each, FinalAck)), NOW_MS)
    assert (fresh.state, fresh.refusal) == (HandshakeState.OFFLINE, "wrong_proof")


def test_a_final_ack_cannot_be_sent_back_to_its_sender():
    connecting, listening = sides()
    (ack,) = connecting.opened(NOW_MS)
    (answer,) = listening.received(ack, NOW_MS)
    (final,) = connecting.received(answer)
    connecting.received(final)
    assert (connecting.state, connecting.refusal) == (HandshakeState.OFFLINE, "wrong_proof")


def test_a_message_before_its_time_is_answered_with_an_error_and_counted():
    _, listening = sides()
    (answer,) = listening.received(Ping(node="n1", number=1), NOW_MS)
    assert isinstance(answer, GeneralMessage)
    assert (listening.state, listening.refusal) == (HandshakeState.OFFLINE, "illegal_message")


def test_a_links_key_travels_sealed_and_only_its_receiver_can_read_it():
    key, bound = link_key(SECRET, "n1", "n2"), (b"c" * 16, b"l" * 16, (7).to_bytes(8, "big"))
    hidden = sealed(key, node_key(SECRET, "n1"), "n2", *bound)
    assert hidden != key
    assert sealed(hidden, node_key(SECRET, "n1"), "n2", *bound) == key
    assert sealed(hidden, node_key(SECRET, "n3"), "n2", *bound) != key
    assert sealed(key, node_key(SECRET, "n1"), "n2", *bound[:2], (8).to_bytes(8, "big")) != hidden


def test_neighbours_sent_again_need_the_proof_of_the_same_handshake():
    connecting, listening = sides()
    walk(connecting, listening)
    assert connecting.speers is not None
    key = node_key(SECRET, "n1")
    assert is_true_speers(connecting.speers, key, connecting.ack_nonce)
    assert not is_true_speers(connecting.speers, key, b"y" * 16)
