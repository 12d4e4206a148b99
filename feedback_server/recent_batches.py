"""The ids of the newest batches, so that a batch that is sent again is stored once, across restarts too.

Sealed logs no longer say which batch a record came in, so the ids are saved before a journal is removed. The memory is bounded: a
batch that comes again after 65,536 others is stored twice, and readers take each message of it once.
"""

from collections.abc import Iterable

from feedback_wire.frames import NO_BATCH

# A coordinator repeats a batch within minutes. At 500 batches a second, far beyond what one disk commits, this remembers two.
MOST = 65_536
_ID_BYTES = len(NO_BATCH)


class RecentBatches:
    """A set of batch ids that forgets the oldest."""

    def __init__(self, ids: Iterable[bytes] = (), *, most: int = MOST) -> None:
        self._ids: dict[bytes, None] = {}  # a dict keeps the order of insertion
        self._most = most
        self.remember(ids)

    def __contains__(self, batch_id: bytes) -> bool:
        return batch_id in self._ids

    def remember(self, ids: Iterable[bytes]) -> None:
        self._ids.update(dict.fromkeys(ids))
        for _ in range(len(self._ids) - self._most):
            del self._ids[next(iter(self._ids))]

    def to_bytes(self) -> bytes:
        """All ids, oldest first, 16 bytes each."""
        return b"".join(self._ids)

    @classmethod
    def from_bytes(cls, data: bytes) -> "RecentBatches":
        """What `to_bytes` gave; a piece that is no whole id at the end is left out."""
        return cls(data[at : at + _ID_BYTES] for at in range(0, len(data) - _ID_BYTES + 1, _ID_BYTES))
