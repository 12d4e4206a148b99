"""The handshake's table, walked edge by edge, and two sides that walk it together."""

from itertools import product
from pathlib import Path

import pytest

from overlay.handshake import TABLE, TIMEOUT_S, HandshakeEvent, HandshakeState, Send, step

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs/formats/overlay.md").read_text("utf-8").splitlines()
ROWS = [[cell.strip() for cell in line[1:-1].split("|")] for line in LINES]
EDGES = [row for row in ROWS if len(row) == 4 and row[0] in HandshakeState.__members__]
"""The rows of the specification: state, event, next state, what is sent."""


@pytest.mark.parametrize(("state", "event", "following", "sent"), EDGES, ids=[" ".join(edge[:2]) for edge in EDGES])
def test_each_edge_of_the_specification_is_an_edge_of_the_table(state: str, event: str, following: str, sent: str):
    taken = step(HandshakeState[state], HandshakeEvent[event])
    assert (taken.state, taken.send, taken.legal) == (HandshakeState[following], Send[sent] if sent else None, True)


def test_the_specification_has_every_edge_of_the_table():
    assert {(HandshakeState[state], HandshakeEvent[event]) for state, event, *_ in EDGES} == set(TABLE)


@pytest.mark.parametrize(("state", "event"), list(product(HandshakeState, HandshakeEvent)), ids=lambda part: part.name)
def test_every_other_message_ends_the_connection(state: HandshakeState, event: HandshakeEvent):
    taken = step(state, event)
    if (state, event) in TABLE:
        return
    assert taken.state is HandshakeState.OFFLINE
    ends_by_itself = (
        event in (HandshakeEvent.ERROR, HandshakeEvent.CLOSED, HandshakeEvent.TIMEOUT) or state is HandshakeState.OFFLINE
    )
    assert taken.legal is ends_by_itself
    if event is HandshakeEvent.CLOSED or event is HandshakeEvent.ERROR or state is HandshakeState.OFFLINE:
        assert taken.send is None  # no peer would read it, or an error would answer an error


def test_every_state_before_connected_has_a_timeout():
    assert {*HandshakeState} - {*TIMEOUT_S} == {HandshakeState.CONNECTED, HandshakeState.OFFLINE}


MESSAGES = {Send.ACK: HandshakeEvent.ACK, Send.SPEERS: HandshakeEvent.SPEERS, Send.ERROR: HandshakeEvent.ERROR}


@pytest.mark.parametrize("neighbors", [True, False])
def test_two_sides_that_follow_the_table_end_in_the_same_state(neighbors: bool):
    final = HandshakeEvent.FINALACK_NEIGHBOR if neighbors else HandshakeEvent.FINALACK_OTHER
    connecting, listening = HandshakeState.ACK_SENDING, HandshakeState.ACK_RECEIVING
    happening: list[tuple[str, HandshakeEvent]] = [("connecting", HandshakeEvent.OPENED)]
    visited = {connecting, listening}
    while happening:
        side, event = happening.pop(0)
        taken = step(connecting if side == "connecting" else listening, event)
        assert taken.legal
        if side == "connecting":
            connecting = taken.state
        else:
            listening = taken.state
        visited |= {connecting, listening}
        if taken.send is not None:
            other = "listening" if side == "connecting" else "connecting"
            happening.append((other, MESSAGES.get(taken.send, final)))
        if taken.state is HandshakeState.SPEERS:
            happening.append((side, HandshakeEvent.PEERS_READY))
    assert connecting is listening is (HandshakeState.CONNECTED if neighbors else HandshakeState.OFFLINE)
    assert visited >= {*HandshakeState} - {HandshakeState.CONNECTED, HandshakeState.OFFLINE}
