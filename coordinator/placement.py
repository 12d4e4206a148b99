"""Which feedback server gets a message. Pure functions that choose among the servers that are up, by index or by name."""

from collections.abc import Sequence
from hashlib import blake2b


def round_robin(count: int, turn: int) -> int:
    """Each in turn."""
    return turn % count


def at_random(count: int, roll: float) -> int:
    """Any server; `roll` is from [0, 1)."""
    return int(roll * count)


def least_pending(pending: Sequence[int], turn: int) -> int:
    """The server with the fewest pending messages; equal ones in turn."""
    count = len(pending)
    return min(range(count), key=lambda index: (pending[index], (index - turn) % count))


def by_peer(peer_id: str, names: Sequence[str]) -> int:
    """Always the same server for an end host, in any order of `names`. When a server leaves, only its end hosts move.

    Rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
    """
    return max(range(len(names)), key=lambda index: _score(peer_id, names[index]))


def _score(peer_id: str, name: str) -> tuple[bytes, str]:
    return blake2b(f"{name}\n{peer_id}".encode(), digest_size=8).digest(), name
