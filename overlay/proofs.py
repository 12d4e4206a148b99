"""Keys, and the proofs in ACK, SPEERS and FINALACK.

The bootstrapper has one secret. Each node gets a key that is derived from it and the node's name, and each link a key that is
derived from it and the names of both ends. So a node can prove that it is itself, and cannot claim to be another one: it knows
its own key and those of its links only. A proof binds the message's purpose and both nonces, so no proof fits anywhere else.
"""

import hashlib
import hmac
from collections import OrderedDict
from enum import Enum

KEY_BYTES = 32
NONCE_BYTES = 16
CLOCK_MAY_DIFFER_MS = 30_000
MOST_NONCES = 100_000
"""Nonces are kept for a minute. Further joins in the same minute are refused."""


class Purpose(Enum):
    """What a proof is for; the two FINALACKs differ, so neither can be sent back as the other."""

    ACK = b"ACK"
    SPEERS = b"SPEERS"
    FINALACK_CONNECTING = b"FINALACK connecting"
    FINALACK_LISTENING = b"FINALACK listening"
    DATAGRAM = b"DATAGRAM"
    """A control message on UDP."""
    SEAL = b"seal"
    """Not sent as a proof: it hides a link's key on its way to one of the two ends."""


def node_key(secret: bytes, node: str) -> bytes:
    """The key with which `node` proves its name to the bootstrapper."""
    return _mac(secret, b"node", node.encode())


def link_key(secret: bytes, one: str, other: str) -> bytes:
    """The key with which two neighbours prove their names to each other. The order of the names has no effect."""
    first, second = sorted((one, other))
    return _mac(secret, b"link", first.encode(), second.encode())


def proof(key: bytes, purpose: Purpose, node: str, *bound: bytes) -> bytes:
    """The proof that `node` sends. It is valid for the values in `bound` only: nonces, time, ports."""
    return _mac(key, purpose.value, node.encode(), *bound)


def is_proof(mac: bytes, key: bytes, purpose: Purpose, node: str, *bound: bytes, bytes_: int = KEY_BYTES) -> bool:
    """Whether `mac` is the first `bytes_` bytes of the proof, in constant time."""
    return hmac.compare_digest(mac, proof(key, purpose, node, *bound)[:bytes_])


def _mac(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 over the parts, each with its length before it, so that different lists of parts are different texts."""
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), hashlib.sha256)


def sealed(link: bytes, key: bytes, neighbor: str, *bound: bytes) -> bytes:
    """A link's key, XORed with bytes that only an owner of `key` can make. Sealing twice gives the link's key again.

    `bound` must never repeat for the same key and neighbour: it holds two nonces and the epoch.
    """
    pad = proof(key, Purpose.SEAL, neighbor, *bound)
    return bytes(one ^ other for one, other in zip(link, pad, strict=True))


class ProofRefusal(Enum):
    """Why an ACK with a correct proof is refused. The values are names of counters."""

    CLOCK = "clock_differs"
    REPLAY = "replayed"
    TOO_MANY = "too_many_joins"


class ReplayGuard:
    """Remembers the nonces of recent joins, because a recorded ACK has a correct proof, too."""

    def __init__(self) -> None:
        self._until_ms: OrderedDict[bytes, int] = OrderedDict()

    def refusal(self, nonce: bytes, time_ms: int, now_ms: int) -> ProofRefusal | None:
        """None if the join is admitted (its nonce is then used up), else the reason of the refusal."""
        if abs(time_ms - now_ms) > CLOCK_MAY_DIFFER_MS:
            return ProofRefusal.CLOCK
        while self._until_ms and next(iter(self._until_ms.values())) < now_ms:
            self._until_ms.popitem(last=False)
        if nonce in self._until_ms:
            return ProofRefusal.REPLAY
        if len(self._until_ms) >= MOST_NONCES:
            return ProofRefusal.TOO_MANY
        self._until_ms[nonce] = now_ms + 2 * CLOCK_MAY_DIFFER_MS
        return None
