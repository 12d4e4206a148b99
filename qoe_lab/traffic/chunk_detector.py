"""Finds the chunks of a flow: a request goes up, and a burst of data comes down. One chunk is about one media segment.

Only sizes and times are used, so it works for encrypted flows and for QUIC. A request is a packet from the client with enough
payload, the first after data from the server. Its chunk is the data that follows until the next request, or until a silence.
"""

from typing import NamedTuple

LEAST_REQUEST_BYTES = 64
"""Of TCP payload. Control frames of HTTP/2 within TLS are smaller."""

LEAST_UDP_REQUEST_BYTES = 110
"""Of UDP payload. Packets of QUIC that only acknowledge are smaller."""

LEAST_CHUNK_BYTES = 10_000
"""Shorter answers are playlists, handshakes and the like."""

SILENCE_NS = 1_000_000_000
"""A chunk is over when no data has come for this long, and the last packet was smaller than others: the rest of an answer."""

OUTAGE_NS = 30_000_000_000
"""A full packet shows that the answer goes on when the network recovers. After this long, the chunk is over all the same."""


class Chunk(NamedTuple):
    """An answer of at least LEAST_CHUNK_BYTES."""

    begin_ns: int
    """When the request was sent."""
    end_ns: int
    """When the last data came."""
    bytes: int
    """Payload of TCP or UDP, with retransmissions."""


class ChunkDetector:
    """The chunks of one flow. `bytes` and `begin_ns` are of the open chunk, whose answer may not have begun yet."""

    __slots__ = ("_fullest", "_last_bytes", "begin_ns", "bytes", "last_ns")

    def __init__(self) -> None:
        self.begin_ns: int | None = None
        self.bytes = 0
        self.last_ns = 0
        self._fullest = self._last_bytes = 0

    def is_request(self, payload: int, *, tcp: bool) -> bool:
        """Whether a packet from the client begins a request, and does not continue one."""
        enough = payload >= (LEAST_REQUEST_BYTES if tcp else LEAST_UDP_REQUEST_BYTES)
        return enough and (self.begin_ns is None or self.bytes > 0)

    def request(self, now_ns: int) -> Chunk | None:
        """See a request. The chunk that it ends, if there is one."""
        chunk = self.close()
        self.begin_ns = self.last_ns = now_ns
        return chunk

    def data(self, size: int, now_ns: int) -> None:
        """See payload from the server. Data before the first request belongs to no chunk."""
        if self.begin_ns is not None:
            self.bytes += size
            self.last_ns = now_ns
            self._last_bytes = size
            if size > self._fullest:
                self._fullest = size

    def is_silent(self, now_ns: int) -> bool:
        """Whether an answer has begun, and its data has ended."""
        silent_ns = now_ns - self.last_ns
        return self.bytes > 0 and silent_ns >= (SILENCE_NS if self._last_bytes < self._fullest else OUTAGE_NS)

    def close(self) -> Chunk | None:
        """End the open chunk. None if there is none, or a shorter answer."""
        chunk = None
        if self.begin_ns is not None and self.bytes >= LEAST_CHUNK_BYTES:
            chunk = Chunk(self.begin_ns, self.last_ns, self.bytes)
        self.begin_ns, self.bytes, self._fullest = None, 0, 0
        return chunk
