"""What every worker has counted, in memory that outlives it: a worker may be killed at any instant, its counts may not go with it.

A worker notes its counts before it says that something is durable, so that whatever was acknowledged has been counted. Each entry
is written beside the valid one, then made valid by a single byte: a kill in between leaves the former one. What a dead worker
still had under way was acknowledged to nobody; it is counted as refused, and its senders send it again.
"""

import logging
import mmap
import struct
import zlib

import msgspec

from coordinator.counters import Counters, KeyCounters

WORKER_DIED = "worker_died"
COUNTS_BYTES = 256 * 1024
KEYS_BYTES = 4 * 1024**2
"""For tens of thousands of ingest keys; untouched memory costs nothing."""

_HEADER = struct.Struct("<III")
_TRIES = 100
_counters = msgspec.json.Decoder(Counters)
_keys = msgspec.json.Decoder(dict[str, KeyCounters])
_log = logging.getLogger(__name__)


class Entry:
    """Bytes of one writer's and the number of the life that wrote them; readers see the last ones that were written whole."""

    def __init__(self, memory: mmap.mmap, begin: int, size: int) -> None:
        self._memory = memory
        self._valid = begin
        self._halves = (begin + 1, begin + 1 + size)
        self._room = size - _HEADER.size

    def write(self, life: int, data: bytes) -> None:
        if len(data) > self._room:
            _log.warning("%d bytes of counts do not fit; if this worker is killed, others tell older ones", len(data))
            return
        other = 1 - self._memory[self._valid]
        at = self._halves[other]
        self._memory[at : at + _HEADER.size + len(data)] = _HEADER.pack(life, len(data), zlib.crc32(data)) + data
        self._memory[self._valid] = other

    def read(self) -> tuple[int, bytes]:
        """Life 0 and no bytes if nothing was written yet."""
        for _ in range(_TRIES):  # a writer that is alive may turn over twice while this reads
            at = self._halves[self._memory[self._valid]]
            life, size, checksum = _HEADER.unpack(self._memory[at : at + _HEADER.size])
            data = self._memory[at + _HEADER.size : at + _HEADER.size + min(size, self._room)]
            if zlib.crc32(data) == checksum:
                return life, data
        return 0, b""


class Page:
    """One worker's place among the workers: what it counts now, and what its dead predecessors have counted."""

    SIZE = 3 + 2 * (2 * COUNTS_BYTES + KEYS_BYTES) + 2 * KEYS_BYTES

    def __init__(self, memory: mmap.mmap, begin: int) -> None:
        self._counts = Entry(memory, begin, COUNTS_BYTES)
        begin += 1 + 2 * COUNTS_BYTES
        self._keys = Entry(memory, begin, KEYS_BYTES)
        begin += 1 + 2 * KEYS_BYTES
        self._buried = Entry(memory, begin, COUNTS_BYTES + KEYS_BYTES)
        self._life = 1

    def open(self) -> None:
        """A worker begins to write."""
        self._life = self._buried.read()[0] + 1

    def note(self, counters: Counters) -> None:
        """Without the keys' own counts: this happens for every batch."""
        self._counts.write(self._life, msgspec.json.encode(counters))

    def note_keys(self, keys: dict[str, KeyCounters]) -> None:
        self._keys.write(self._life, msgspec.json.encode(keys))

    def read(self) -> Counters:
        """Everything counted here so far, in all lives."""
        buried, data = self._buried.read()
        total = _counters.decode(data) if data else Counters()
        life, data = self._counts.read()
        if life > buried:
            running = _counters.decode(data)
            life, data = self._keys.read()
            running.keys = _keys.decode(data) if life > buried else {}
            total.add(running)
        return total

    def bury(self) -> None:
        """The worker is dead; called before another one takes its place."""
        total = self.read()
        total.in_flight, left = 0, total.in_flight
        if left:
            total.refused[WORKER_DIED] = total.refused.get(WORKER_DIED, 0) + left
        total.forget_states()
        self._buried.write(max(self._counts.read()[0], self._buried.read()[0]), msgspec.json.encode(total))


class SharedCounters:
    """The pages of all workers; made before they are forked, so that all of them and their parent see the same memory."""

    def __init__(self, workers: int) -> None:
        memory = mmap.mmap(-1, workers * Page.SIZE)
        self.pages = [Page(memory, number * Page.SIZE) for number in range(workers)]

    def total(self) -> Counters:
        total = Counters()
        for page in self.pages:
            total.add(page.read())
        return total
