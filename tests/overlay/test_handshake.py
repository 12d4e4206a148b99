"""The handshake's table, walked edge by edge, and two sides that walk it together."""

from itertools import product
from pathlib import Path

import pytest

from overlay.handshake import TABLE, TIMEOUT_S, Event, Send, State, step

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs/formats/overlay.md").read_text("utf-8").splitlines()
ROWS = [[cell.strip() for cell in line[1:-1].split("|")] for line in LINES]
EDGES = [row for row in ROWS if len(row) == 4 and row[0] in State.__members__]
"""The rows of the specification: state, event, next state, what is sent."""


@pytest.mark.parametrize(("state", "event", "following", "sent"), EDGES, ids=[" ".join(edge[:2]) for edge in EDGES])
def test_each_edge_of_the_specification_is_an_edge_of_the_table(state: str, event: str, following: str, sent: str):
    taken = step(State[state], Event[event])
    assert (taken.state, taken.send, taken.legal) == (State[following], Send[sent] if sent else None, True)


def test_the_specification_has_every_edge_of_the_table():
    assert {(State[state], Event[event]) for state, event, *_ in EDGES} == set(TABLE)


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)), ids=lambda part: part.name)
def test_every_other_message_ends_the_connection(state: State, event: Event):
    taken = step(state, event)
    if (state, event) in TABLE:
        return
    assert taken.state is State.OFFLINE
    ends_by_itself = event in (Event.ERROR, Event.CLOSED, Event.TIMEOUT) or state is State.OFFLINE
    assert taken.legal is ends_by_itself
    if event is Event.CLOSED or event is Event.ERROR or state is State.OFFLINE:
        assert taken.send is None  # no peer would read it, or an error would answer an error


def test_every_state_but_the_last_has_a_timeout():
    assert {*State} - {*TIMEOUT_S} == {State.OFFLINE}


MESSAGES = {Send.ACK: Event.ACK, Send.SPEERS: Event.SPEERS, Send.ERROR: Event.ERROR}


@pytest.mark.parametrize("neighbors", [True, False])
def test_two_sides_that_follow_the_table_end_in_the_same_state(neighbors: bool):
    final = Event.FINALACK_NEIGHBOR if neighbors else Event.FINALACK_OTHER
    connecting, listening = State.ACK_SENDING, State.ACK_RECEIVING
    happening: list[tuple[str, Event]] = [("connecting", Event.OPENED)]
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
        if taken.state is State.SPEERS:
            happening.append((side, Event.PEERS_READY))
    assert connecting is listening is (State.CONNECTED if neighbors else State.OFFLINE)
    assert visited >= {*State} - {State.CONNECTED, State.OFFLINE}
