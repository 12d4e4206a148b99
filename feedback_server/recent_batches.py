"""The ids of the newest batches. With them, a batch that arrives again is stored once, also after a restart.

Sealed logs do not contain batch ids, so the ids are saved before a journal is removed. Their number is bounded: a batch that
arrives again after 65,536 others is stored twice, and readers drop the copies of its messages.
"""

from collections.abc import Iterable

from feedback_wire.frames import NO_BATCH

# A coordinator repeats a batch within minutes. At 500 batches per second, more than one disk can store, this is two minutes.
MOST = 65_536
_ID_BYTES = len(NO_BATCH)


class RecentBatches:
    """A set of batch ids that drops the oldest ones."""

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
        """The ids in the bytes of `to_bytes`; an incomplete id at the end is ignored."""
        return cls(data[at : at + _ID_BYTES] for at in range(0, len(data) - _ID_BYTES + 1, _ID_BYTES))
