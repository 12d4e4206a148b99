"""The states of one connection of an end host, as a table. Pure: `FeedbackProtocol` performs the actions that the states call for.

A connection reads requests and writes answers. The two directions are independent, because senders pipeline: a request may arrive
while ten earlier ones wait for their answers. So the state describes the reading side only. The writing side is a queue of requests
without an answer; they are answered in their order. The state decides what happens when that queue is empty.

A connection without trouble alternates between two states:

                        REQUEST_BEGINS
             +--------+ --------------> +-----------+
    start -> |  IDLE  |                 | RECEIVING |
             +--------+ <-------------- +-----------+
                         REQUEST_ENDS

(A request with a known head that arrives in one piece begins and ends at once. The protocol does not leave IDLE for it.)

The other states end the connection. No state leads back from them: the position in the byte stream is lost, or the sender or this
server has announced the end. They differ in what has to happen at the end.

LAST_ANSWERS. The sender has closed its side, its last request announced `Connection: close`, it was idle for too long, or the
    server stops. No unread bytes are expected. The connection closes when the last answer is written.

DISCARDING. A request was refused before it was read to its end: its head or its body is too large, its key is unknown, it is not
    HTTP, or it is too slow. The refusal is the last answer. But the sender may still be writing the rest. If this side closed the
    socket now, the kernel would answer those bytes with RST, and on RST the sender's kernel throws away what its program has not
    read yet: the program would see "connection reset" in place of "413 body_too_large". So after the last answer only the writing
    direction closes (FIN). Arriving bytes are read and thrown away, and the connection closes when the sender closes it, or at a
    deadline (RFC 9112, section 9.6). TLS has no half-closed state; there only the deadline remains.

    If the rest of the refused request is in the same piece of data as its beginning, the state changes to LAST_ANSWERS, because
    no rest is left. A further request in that piece changes it back: it is not answered, and its bytes would cause the same RST.
    Later pieces of data are thrown away and not parsed. They change no state, even if they complete the refused request.

OVER_LIMIT. The connection itself is refused, because there are too many. It works as DISCARDING does, as the first request may be
    under way already. But its deadline is shorter: each of these connections costs a file descriptor while those are rare.

CLOSED. The transport was lost or aborted. Answers that become ready now are dropped; their senders send again.

Each state calls for one action when all requests are answered (`WHEN_ALL_ANSWERED`), and has one deadline (`sweep` of the
protocol). A pair of state and event that is not in the table cannot happen. A test drives a real connection through every pair that
is in it.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum


class ConnectionState(IntEnum):
    """What the reading side of a connection does. IntEnum, because its hash is computed in C."""

    IDLE = 0
    RECEIVING = 1
    LAST_ANSWERS = 2
    DISCARDING = 3
    OVER_LIMIT = 4
    CLOSED = 5


class ConnectionEvent(IntEnum):
    """What happens to a connection."""

    REQUEST_BEGINS = 0
    """The first byte of a request has arrived."""
    REQUEST_ENDS = 1
    """The last byte of a request has arrived, and another request may follow."""
    LAST_REQUEST_ENDS = 2
    """The last byte of a request with `Connection: close` has arrived."""
    REFUSED = 3
    """A request is refused, and the connection cannot continue after it."""
    LIMIT_REACHED = 4
    """The connection is new, and one too many."""
    END = 5
    """The sender has closed its side, was idle for too long, or wants a tunnel; or the server stops."""
    LOST = 6
    """The transport is lost."""


class ConnectionAction(Enum):
    """What the protocol does when all requests are answered."""

    WAIT = "keep the connection open for the next request"
    CONTINUE = "send 100 Continue if the request that is being received asks for it"
    CLOSE = "close the connection"
    CLOSE_WRITING = "close the writing direction; the sender closes the other one"


# Plain names, because looking a member up in its class costs 0.2 µs in Python 3.11.
IDLE, RECEIVING, LAST_ANSWERS, DISCARDING, OVER_LIMIT, CLOSED = ConnectionState
REQUEST_BEGINS, REQUEST_ENDS, LAST_REQUEST_ENDS, REFUSED, LIMIT_REACHED, END, LOST = ConnectionEvent
WAIT, CONTINUE, CLOSE, CLOSE_WRITING = ConnectionAction

TRANSITIONS: Mapping[ConnectionState, Mapping[ConnectionEvent, ConnectionState]] = {
    IDLE: {
        REQUEST_BEGINS: RECEIVING,
        REFUSED: LAST_ANSWERS,  # of a request that was read to its end
        LIMIT_REACHED: OVER_LIMIT,
        END: LAST_ANSWERS,
        LOST: CLOSED,
    },
    RECEIVING: {
        REQUEST_BEGINS: RECEIVING,  # once more without its Upgrade header, which is ignored
        REQUEST_ENDS: IDLE,
        LAST_REQUEST_ENDS: LAST_ANSWERS,
        REFUSED: DISCARDING,
        END: LAST_ANSWERS,
        LOST: CLOSED,
    },
    LAST_ANSWERS: {
        REQUEST_BEGINS: DISCARDING,  # after the request whose refusal is the last answer
        END: LAST_ANSWERS,
        LOST: CLOSED,
    },
    DISCARDING: {
        REQUEST_ENDS: LAST_ANSWERS,
        END: LAST_ANSWERS,
        LOST: CLOSED,
    },
    OVER_LIMIT: {
        END: LAST_ANSWERS,
        LOST: CLOSED,
    },
    CLOSED: {  # aborted, and not lost yet
        END: CLOSED,
        LOST: CLOSED,
    },
}

WHEN_ALL_ANSWERED: Mapping[ConnectionState, ConnectionAction] = {
    IDLE: WAIT,
    RECEIVING: CONTINUE,
    LAST_ANSWERS: CLOSE,
    DISCARDING: CLOSE_WRITING,
    OVER_LIMIT: CLOSE_WRITING,
    CLOSED: WAIT,
}
