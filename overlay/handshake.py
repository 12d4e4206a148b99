"""How two nodes meet: the seed project's states and messages as one table, without sockets and clocks.

The side that connects begins in ACK_SENDING, the side that listens in ACK_RECEIVING. The seed's states are named as in its
report. New are the timeouts, ERROR, and that a message which the table does not allow ends the connection.
"""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where one side of a connection is."""

    ACK_SENDING = "ACK_SENDING"
    """Connects: the connection is being opened."""
    WPEERS = "WPEERS"
    """Connects: has sent ACK and waits for SPEERS."""
    FACK = "FACK"
    """Connects: has sent FINALACK and waits for the answer."""
    ACK_RECEIVING = "ACK_RECEIVING"
    """Listens: waits for ACK."""
    SPEERS = "SPEERS"
    """Listens: has accepted ACK and is about to send the neighbours."""
    WACK = "WACK"
    """Listens: has sent SPEERS and waits for FINALACK."""
    CONNECTED = "CONNECTED"
    OFFLINE = "OFFLINE"
    """The end; the connection is closed."""


class Event(Enum):
    """What happens to a connection. A message's event happens after its proof was found right."""

    OPENED = "the connection is open"
    ACK = "ACK arrived"
    PEERS_READY = "the neighbours of the other side are known"
    SPEERS = "SPEERS arrived"
    FINALACK_NEIGHBOR = "FINALACK arrived from a neighbour"
    FINALACK_OTHER = "FINALACK arrived from a node that is no neighbour"
    MESSAGE = "MESSAGE arrived"
    PING = "PING arrived"
    DATA = "DATA arrived"
    ERROR = "ERROR arrived"
    REFUSED = "a proof was wrong, or a message could not be read"
    TIMEOUT = "the state's time is over"
    CLOSED = "the connection is closed"


class Send(Enum):
    """What a step sends to the other side."""

    ACK = "ACK"
    SPEERS = "SPEERS"
    FINALACK = "FINALACK"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Step:
    """What follows an event: the next state, and what to send."""

    state: State
    send: Send | None = None
    legal: bool = True
    """False: the other side broke the protocol. The connection ends, and the event is counted."""


TABLE: dict[tuple[State, Event], Step] = {
    # The side that connects.
    (State.ACK_SENDING, Event.OPENED): Step(State.WPEERS, Send.ACK),
    (State.WPEERS, Event.SPEERS): Step(State.FACK, Send.FINALACK),
    (State.FACK, Event.FINALACK_NEIGHBOR): Step(State.CONNECTED),
    (State.FACK, Event.FINALACK_OTHER): Step(State.OFFLINE),
    # The side that listens.
    (State.ACK_RECEIVING, Event.ACK): Step(State.SPEERS),
    (State.SPEERS, Event.PEERS_READY): Step(State.WACK, Send.SPEERS),
    (State.WACK, Event.FINALACK_NEIGHBOR): Step(State.CONNECTED, Send.FINALACK),
    (State.WACK, Event.FINALACK_OTHER): Step(State.OFFLINE, Send.FINALACK),
    # Both sides. A bootstrapper sends SPEERS again when the neighbours change.
    (State.CONNECTED, Event.MESSAGE): Step(State.CONNECTED),
    (State.CONNECTED, Event.PING): Step(State.CONNECTED),
    (State.CONNECTED, Event.DATA): Step(State.CONNECTED),
    (State.CONNECTED, Event.SPEERS): Step(State.CONNECTED),
}

ENDS = {Event.ERROR: None, Event.CLOSED: None, Event.TIMEOUT: Send.ERROR}
"""Events that end a connection in any state, and what is sent first. They break no protocol."""

TIMEOUT_S = {
    State.ACK_SENDING: 3.0,
    State.WPEERS: 3.0,
    State.FACK: 3.0,
    State.ACK_RECEIVING: 3.0,
    State.SPEERS: 3.0,
    State.WACK: 3.0,
    State.CONNECTED: 3.0,
}
"""How long a connection stays in a state without an event. In CONNECTED, PING arrives each second."""


def step(state: State, event: Event) -> Step:
    """The step from `state` at `event`. Every pair has one: what the table does not allow ends the connection with ERROR."""
    if state is State.OFFLINE:
        return Step(State.OFFLINE)
    if event in ENDS:
        return Step(State.OFFLINE, ENDS[event] if state is not State.ACK_SENDING else None)
    return TABLE.get((state, event), Step(State.OFFLINE, Send.ERROR, legal=False))
