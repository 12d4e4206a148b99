"""The control messages, and their bytes: MessagePack in frames with a length.

A receiver ignores fields that it does not know, so that messages can grow; an unknown message, a wrong type or a value out of
range is a protocol error. The types are closed, so no bytes can name code to run. docs/formats/overlay.md is the specification.
"""

import struct
from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

LENGTH = struct.Struct("!I")
LONGEST_BYTES = 64 * 1024
"""The longest message, without its length. SPEERS for 500 neighbours has about 40 KiB."""

MOST_FILES = 256
"""The most files of one stream."""

NodeName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
StreamName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
Text: TypeAlias = Annotated[str, Meta(max_length=1024)]
Nonce: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]
Mac: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
PortNumber: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Amount: TypeAlias = Annotated[float, Meta(ge=0)]
NodePath: TypeAlias = Annotated[list[NodeName], Meta(max_length=256)]
Nodes: TypeAlias = Annotated[list[NodeName], Meta(max_length=1000)]


class ProtocolError(Exception):
    """The bytes are not a message of this protocol. The connection has to end."""


class Neighbor(Struct, frozen=True, kw_only=True):
    """A node that the receiver of SPEERS may connect to."""

    node: NodeName
    host: Annotated[str, Meta(min_length=1, max_length=255)]
    tcp_port: PortNumber
    udp_port: PortNumber
    sealed_key: Annotated[bytes, Meta(max_length=32)] = b""
    """The key of the link to it, readable only with the receiver's own key."""
    transport: Literal["udp", "tcp"] = "udp"
    """What the link to it uses for media: `udp` or `tcp`."""


class Hop(Struct, frozen=True, kw_only=True):
    """A node that a PING passed, and when, by that node's clock."""

    node: NodeName
    time_ns: Count


class Ack(Struct, frozen=True, kw_only=True, tag="ACK"):
    """Opens every handshake."""

    version: Annotated[int, Meta(ge=1, le=255)]
    node: NodeName
    nonce: Nonce
    time_ms: Count
    tcp_port: PortNumber
    udp_port: PortNumber
    mac: Mac


class Speers(Struct, frozen=True, kw_only=True, tag="SPEERS"):
    """Answers ACK. Only the bootstrapper knows neighbours; between nodes the list is empty."""

    node: NodeName
    nonce: Nonce
    epoch: Count
    lease_s: Amount
    neighbors: Annotated[list[Neighbor], Meta(max_length=1000)]
    mac: Mac


class FinalAck(Struct, frozen=True, kw_only=True, tag="FINALACK"):
    """Closes the handshake, once from each side."""

    node: NodeName
    neighbor: bool
    """Whether the receiver is a neighbour for the sender."""
    mac: Mac


class Ping(Struct, frozen=True, kw_only=True, tag="PING", omit_defaults=True):
    """A sign of life between neighbours. With `stream`, a trace: down the tree, and as an answer from each player back up."""

    node: NodeName
    number: Count
    target: NodeName | None = None
    answer: bool = False
    hops: Annotated[list[Hop], Meta(max_length=256)] = []
    stream: StreamName | None = None
    """The stream whose tree a trace follows."""
    interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 100
    """The time until the sender's next PING or media packet. After three intervals without a sign of life it has failed."""
    held_us: Count = 0
    """In an answer: the time between the arrival of the other PING and the answer. It is no part of the round trip."""


class Data(Struct, frozen=True, kw_only=True, tag="DATA"):
    """A data packet on TCP, for links that ask for it: header and RTP packet as they are on UDP."""

    packet: Annotated[bytes, Meta(min_length=20, max_length=9000)]


class Leave(Struct, frozen=True, kw_only=True, tag="LEAVE"):
    """The sender leaves the overlay. For at most `drain_ms`, it still feeds its children, which change their parent."""

    drain_ms: Count = 0


class Subscribe(Struct, frozen=True, kw_only=True, tag="SUBSCRIBE"):
    """Requests a stream, or one of the files that its source offers, from the bootstrapper."""

    stream: StreamName
    file: Text | None = None


class Unsubscribe(Struct, frozen=True, kw_only=True, tag="UNSUBSCRIBE", omit_defaults=True):
    """A player stops playing a stream, or a file of it."""

    stream: StreamName
    file: Text | None = None


class Play(Struct, frozen=True, kw_only=True, tag="PLAY", omit_defaults=True):
    """A paused player continues."""

    stream: StreamName
    file: Text | None = None


class Pause(Struct, frozen=True, kw_only=True, tag="PAUSE", omit_defaults=True):
    """A player pauses, and is removed from the tree of the stream."""

    stream: StreamName
    file: Text | None = None


class InstallTree(Struct, frozen=True, kw_only=True, tag="TREE"):
    """A node's place in a tree. Forwarding needs no more than the children.

    A node that has neither parent nor children, but a backup, is a standby: when it is asked, it asks the backup.
    """

    stream: StreamName
    stream_number: Annotated[int, Meta(ge=0, le=65535)]
    tree_epoch: Count
    parent: NodeName | None
    children: Nodes
    backup: NodeName | None = None
    second_parent: NodeName | None = None
    """The parent in the second of two trees. The node gets each packet from both parents."""
    parity_group: Annotated[int, Meta(ge=0, le=48)] = 0
    """The number of packets for which a child gets one parity packet (FEC); 0: none."""


class Graft(Struct, frozen=True, kw_only=True, tag="GRAFT"):
    """Requests a stream from a new parent: the packets that it has from `from_sequence` on, and all later ones."""

    stream: StreamName
    from_sequence: Annotated[int, Meta(ge=0, le=65535)] | None = None


class Prune(Struct, frozen=True, kw_only=True, tag="PRUNE"):
    """The child no longer needs the stream from this parent."""

    stream: StreamName


class LinkState(Struct, frozen=True, kw_only=True, tag="LINKSTATE"):
    """The cost of a link, as the receiving node measures it: ms, a share from 0 to 1, and kbit/s."""

    neighbor: NodeName
    round_trip_ms: Amount
    loss: Share
    rate_kbps: Amount


class NodeDown(Struct, frozen=True, kw_only=True, tag="NODE_DOWN"):
    """A neighbour has failed."""

    node: NodeName


class Nack(Struct, frozen=True, kw_only=True, tag="NACK"):
    """The missing link sequence numbers of a stream, as first and last of each range. NACK is sent on UDP."""

    stream: StreamName | None = None
    ranges: Annotated[list[tuple[Count, Count]], Meta(min_length=1, max_length=256)]


class FilesOffer(Struct, frozen=True, kw_only=True, tag="OFFER", omit_defaults=True):
    """The files of a stream. From the source to the bootstrapper, and from there to a node that has sent LIST."""

    stream: StreamName
    files: Annotated[list[StreamName], Meta(max_length=MOST_FILES)]
    source: NodeName | None = None
    """In the answer to LIST."""
    left: Count = 0
    """How many more answers follow."""


class ListOffers(Struct, frozen=True, kw_only=True, tag="LIST"):
    """Requests the list of streams. The bootstrapper answers with one OFFER for each stream."""


class Error(Struct, frozen=True, kw_only=True, tag="ERROR", omit_defaults=True):
    """The connection ends. With `stream`, only a request for this stream is refused, and the connection stays."""

    reason: Text
    stream: StreamName | None = None
    file: Text | None = None


StreamRequest: TypeAlias = Subscribe | Unsubscribe | Play | Pause
"""What a player sends to the bootstrapper about a stream."""
Body: TypeAlias = (
    Leave | StreamRequest | FilesOffer | ListOffers | InstallTree | Graft | Prune | LinkState | NodeDown | Nack | Error
)


class GeneralMessage(Struct, frozen=True, kw_only=True, tag="MESSAGE"):
    """The general message, whose body has the content."""

    node: NodeName
    body: Body
    target: NodeName | None = None
    """Without a target, the message is for the receiver."""
    path: NodePath = []
    """The nodes that it has passed. A node in this list does not forward the message again."""
    time_ns: Count = 0


Control: TypeAlias = Ack | Speers | FinalAck | GeneralMessage | Ping | Data

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Control)


def packed(message: Control) -> bytes:
    """The message without a length before it."""
    return _encoder.encode(message)


def encode(message: Control) -> bytes:
    """The message with its length before it. ValueError if it is longer than a message may be."""
    body = packed(message)
    if len(body) > LONGEST_BYTES:
        raise ValueError(f"a {type(message).__name__} of {len(body)} bytes is longer than {LONGEST_BYTES}; send less at once")
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> Control:
    """The message in the bytes after a length. ProtocolError if they are not a message."""
    try:
        message: Control = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"no control message: {error}") from error
    return message


class ControlReader:
    """Bytes in, messages out, wherever the bytes were cut on their way. It keeps at most one incomplete message."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Control]:
        """The messages that are complete now. ProtocolError for invalid bytes; do not use the reader after that."""
        self._waiting += data
        while len(self._waiting) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._waiting)
            if not 0 < length <= LONGEST_BYTES:
                raise ProtocolError(f"a message of {length} bytes is announced; a message has 1 to {LONGEST_BYTES}")
            end = LENGTH.size + length
            if len(self._waiting) < end:
                return
            body = bytes(self._waiting[LENGTH.size : end])
            del self._waiting[:end]
            yield decode(body)
