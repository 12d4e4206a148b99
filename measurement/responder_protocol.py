"""The messages between an agent and the responder of a destination.

The agent opens the TCP connection. Each side sends lines of JSON. The responder begins with a challenge; the agent proves with an
HMAC that it knows the responder's token, so the token itself is never sent. Probes are UDP datagrams to the same port. Each
contains the id of the session, so that no other process can make the responder answer.
"""

import hashlib
import hmac
import struct
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

USUAL_PORT = 7420
MOST_LINE_BYTES = 64 * 1024
MOST_TRAIN_PACKETS = 256
SESSION_BYTES = 8

TRAIN_PACKET = struct.Struct("!4s8sHH")
"""Magic, session, number of the train, number of the packet."""
TRAIN_MAGIC = b"swtn"
RTP_HEADER = struct.Struct("!BBHII")
"""Version and flags, payload type, sequence number, time stamp, source (RFC 3550, 5.1)."""
RTP_VERSION = 0x80
RTP_RATE = 8000
RTP_SAMPLES = 160
"""20 ms of G.711, and the payload bytes of a packet."""
REFLECTED = struct.Struct("!8sQQI")
"""Payload of a reflected packet: session, arrival and departure in ns of the responder's clock, number of reflected packets."""

Purpose: TypeAlias = Literal["train", "reflect", "consent"]
"""The purpose of a session. `consent`: the technique needs no answers of the responder, only its permission."""


class Challenge(Struct, frozen=True, tag="challenge"):
    """The first line of the responder."""

    nonce: str
    version: int = 1


class Opening(Struct, frozen=True, tag="open"):
    """The first line of the agent."""

    proof: str
    purpose: Purpose
    technique: str


class Opened(Struct, frozen=True, tag="opened"):
    """The agent may measure until the connection ends."""

    session: str
    """Eight bytes as hexadecimal digits."""


class Refused(Struct, frozen=True, tag="refused"):
    """The responder ends the connection, for this reason."""

    reason: str


class Collect(Struct, frozen=True, tag="collect"):
    """The agent has sent a train and asks for its arrivals; `train` -1 asks for the count of reflected packets."""

    train: int
    packets: int


class TrainArrivals(Struct, frozen=True, tag="arrivals"):
    """When the packets of a train arrived, in the order of arrival."""

    train: int
    arrivals: list[tuple[int, int]]
    """Sequence number, and ns since the first arrival."""


class ReflectorCount(Struct, frozen=True, tag="reflected"):
    """The responder's counts of the packets that it reflected."""

    received: int
    """Different packets."""
    duplicates: int
    reordered: int
    jitter: int
    """In RTP units, RFC 3550 A.8."""


ToAgent: TypeAlias = Challenge | Opened | Refused | TrainArrivals | ReflectorCount
ToResponder: TypeAlias = Opening | Collect

_encoder = msgspec.json.Encoder()


def line(message: ToAgent | ToResponder) -> bytes:
    """A message as a line."""
    return _encoder.encode(message) + b"\n"


def proof(token: str, nonce: str) -> str:
    """The proof that the agent knows the token (HMAC-SHA256)."""
    return hmac.new(token.encode(), b"swarmscope responder 1 " + nonce.encode(), hashlib.sha256).hexdigest()
