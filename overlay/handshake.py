"""The handshake of two nodes: the seed project's states and messages as one table, without sockets and clocks.

The side that connects begins in ACK_SENDING, the side that listens in ACK_RECEIVING. The seed's states are named as in its
report. New are the timeouts, ERROR, and that a message which the table does not allow ends the connection.
"""

from dataclasses import dataclass
from enum import Enum


class HandshakeState(Enum):
    """The state of one side of a connection."""

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


class HandshakeEvent(Enum):
    """What happens to a connection. The event of a message follows the check of its proof."""

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
    """The result of an event: the next state, and what to send."""

    state: HandshakeState
    send: Send | None = None
    legal: bool = True
    """False: the other side broke the protocol. The connection ends, and the event is counted."""


TABLE: dict[tuple[HandshakeState, HandshakeEvent], Step] = {
    # The side that connects.
    (HandshakeState.ACK_SENDING, HandshakeEvent.OPENED): Step(HandshakeState.WPEERS, Send.ACK),
    (HandshakeState.WPEERS, HandshakeEvent.SPEERS): Step(HandshakeState.FACK, Send.FINALACK),
    (HandshakeState.FACK, HandshakeEvent.FINALACK_NEIGHBOR): Step(HandshakeState.CONNECTED),
    (HandshakeState.FACK, HandshakeEvent.FINALACK_OTHER): Step(HandshakeState.OFFLINE),
    # The side that listens.
    (HandshakeState.ACK_RECEIVING, HandshakeEvent.ACK): Step(HandshakeState.SPEERS),
    (HandshakeState.SPEERS, HandshakeEvent.PEERS_READY): Step(HandshakeState.WACK, Send.SPEERS),
    (HandshakeState.WACK, HandshakeEvent.FINALACK_NEIGHBOR): Step(HandshakeState.CONNECTED, Send.FINALACK),
    (HandshakeState.WACK, HandshakeEvent.FINALACK_OTHER): Step(HandshakeState.OFFLINE, Send.FINALACK),
    # Both sides. A bootstrapper sends SPEERS again when the neighbours change.
    (HandshakeState.CONNECTED, HandshakeEvent.MESSAGE): Step(HandshakeState.CONNECTED),
    (HandshakeState.CONNECTED, HandshakeEvent.PING): Step(HandshakeState.CONNECTED),
    (HandshakeState.CONNECTED, HandshakeEvent.DATA): Step(HandshakeState.CONNECTED),
    (HandshakeState.CONNECTED, HandshakeEvent.SPEERS): Step(HandshakeState.CONNECTED),
}

ENDS = {HandshakeEvent.ERROR: None, HandshakeEvent.CLOSED: None, HandshakeEvent.TIMEOUT: Send.ERROR}
"""Events that end a connection in any state, and what is sent first. They break no protocol."""

TIMEOUT_S = {
    HandshakeState.ACK_SENDING: 3.0,
    HandshakeState.WPEERS: 3.0,
    HandshakeState.FACK: 3.0,
    HandshakeState.ACK_RECEIVING: 3.0,
    HandshakeState.SPEERS: 3.0,
    HandshakeState.WACK: 3.0,
}
"""How long a connection stays in a state without an event. In CONNECTED, the intervals of PING count instead."""


def step(state: HandshakeState, event: HandshakeEvent) -> Step:
    """The step from `state` at `event`. Every pair has one: what the table does not allow ends the connection with ERROR."""
    if state is HandshakeState.OFFLINE:
        return Step(HandshakeState.OFFLINE)
    if event in ENDS:
        return Step(HandshakeState.OFFLINE, ENDS[event] if state is not HandshakeState.ACK_SENDING else None)
    return TABLE.get((state, event), Step(HandshakeState.OFFLINE, Send.ERROR, legal=False))
