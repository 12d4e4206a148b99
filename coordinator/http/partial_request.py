"""A request that arrives in several pieces: its bytes count among what the worker holds, for the key that sends it."""

from coordinator.http.feedback_handler import FeedbackHandler, overloaded
from coordinator.http.feedback_head import HEAD_BYTES, FeedbackHead, body_too_large, head_too_large
from coordinator.ingest_keys import IngestKey
from feedback_wire.limits import BATCH_WIRE_BYTES

# A chunked body has an overhead of its own, which need not exceed the body itself.
_REQUEST_BYTES = HEAD_BYTES + 2 * BATCH_WIRE_BYTES


class PartialRequest:
    """The bytes of one unfinished request; `release` must be called when it ends."""

    __slots__ = ("_handler", "_key", "_size_bytes", "began_s")

    def __init__(self, handler: FeedbackHandler) -> None:
        self._handler = handler
        self._key = handler.keys.anyone
        self._size_bytes = 0
        self.began_s = handler.seconds

    def grow(self, size: int, head: FeedbackHead | None) -> None:
        """Count `size` more bytes, for the key in `head` as soon as it is known. Problem (413, 431, 503) if they are too many."""
        self._hold(self._size_bytes + size, head.key if head is not None else self._handler.keys.anyone)
        if head is None and self._size_bytes > HEAD_BYTES:
            raise head_too_large()
        if self._size_bytes > _REQUEST_BYTES:
            raise body_too_large()
        if self._handler.is_crowded(self._key):
            raise overloaded()

    def release(self) -> None:
        """Stop counting the bytes of the request."""
        self._hold(0, self._key)

    def _hold(self, size_bytes: int, key: IngestKey) -> None:
        self._handler.hold(-self._size_bytes, self._key)
        self._size_bytes, self._key = size_bytes, key
        self._handler.hold(size_bytes, key)
