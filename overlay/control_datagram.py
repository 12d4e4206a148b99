"""Control messages that travel on UDP: PING and NACK, which a lost TCP segment must not delay. Each has a proof."""

from overlay.messages import Control, ProtocolError, decode, packed
from overlay.proofs import Purpose, is_proof, proof

FIRST_BYTE = 0x20
"""The upper four bits are 2. Media has 1 there, so a node that knows only media counts these datagrams as unreadable."""
PROOF_BYTES = 16
LONGEST_BYTES = 1200


def is_control(datagram: bytes) -> bool:
    """Whether a datagram claims to be a control message."""
    return datagram[:1] == bytes((FIRST_BYTE,))


def control_datagram(sender: str, key: bytes, message: Control) -> bytes:
    """The datagram of a message; `key` is that of the link. ValueError if it is longer than 1,200 bytes."""
    body = packed(message)
    datagram = bytes((FIRST_BYTE,)) + proof(key, Purpose.DATAGRAM, sender, body)[:PROOF_BYTES] + body
    if len(datagram) > LONGEST_BYTES:
        raise ValueError(f"a {type(message).__name__} of {len(body)} bytes does not fit into a datagram; send less at once")
    return datagram


def read_control_datagram(sender: str, key: bytes, datagram: bytes) -> Control | None:
    """The message of a datagram; None if the proof is wrong. ProtocolError if the proof is right and the message is not."""
    if len(datagram) > LONGEST_BYTES:
        raise ProtocolError(f"a control datagram of {len(datagram)} bytes; the longest has {LONGEST_BYTES}")
    mac, body = datagram[1 : 1 + PROOF_BYTES], datagram[1 + PROOF_BYTES :]
    return decode(body) if is_proof(mac, key, Purpose.DATAGRAM, sender, body, bytes_=PROOF_BYTES) else None
