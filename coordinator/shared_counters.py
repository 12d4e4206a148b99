"""The counters of all workers, in memory that outlives each of them, so that a killed worker's counts are not lost.

A worker writes its counts before it acknowledges a message as durable. So every acknowledged message is in some count.

A worker can be killed at any instruction, also while it writes. Each entry therefore has two halves: the new bytes go into the half
that is not valid, then one byte makes it the valid one. A kill in between leaves the former counts.

Messages that a killed worker had in flight were not acknowledged; their senders send them again. They are counted as refused.
"""

import logging
import mmap
import struct
import zlib

import msgspec

from coordinator.worker_counters import KeyCounters, WorkerCounters

WORKER_DIED = "worker_died"
COUNTS_BYTES = 256 * 1024
KEYS_BYTES = 4 * 1024**2
"""Enough for tens of thousands of ingest keys; memory that is never touched costs nothing."""

_HEADER = struct.Struct("<III")
_TRIES = 100
_counters = msgspec.json.Decoder(WorkerCounters)
_keys = msgspec.json.Decoder(dict[str, KeyCounters])
_log = logging.getLogger(__name__)


class MemoryEntry:
    """Bytes of one writer, with the number of the worker process that wrote them. Readers get the last bytes written completely."""

    def __init__(self, memory: mmap.mmap, begin: int, size: int) -> None:
        self._memory = memory
        self._valid = begin
        self._halves = (begin + 1, begin + 1 + size)
        self._room = size - _HEADER.size

    def write(self, process: int, data: bytes) -> None:
        if len(data) > self._room:
            _log.warning("%d bytes of counts do not fit; if this worker is killed, its last counts are older ones", len(data))
            return
        other = 1 - self._memory[self._valid]
        at = self._halves[other]
        self._memory[at : at + _HEADER.size + len(data)] = _HEADER.pack(process, len(data), zlib.crc32(data)) + data
        self._memory[self._valid] = other

    def read(self) -> tuple[int, bytes]:
        """The process number and its bytes; 0 and no bytes if nothing was written yet."""
        for _ in range(_TRIES):  # a live writer may replace both halves during this read
            at = self._halves[self._memory[self._valid]]
            process, size, checksum = _HEADER.unpack(self._memory[at : at + _HEADER.size])
            data = self._memory[at + _HEADER.size : at + _HEADER.size + min(size, self._room)]
            if zlib.crc32(data) == checksum:
                return process, data
        return 0, b""


class CounterPage:
    """The counts of one worker: of the process that runs now, and the sum over its predecessors that ended.

    The processes of a worker are numbered from 1. The sum names the last process that it contains, so its counts are added once.
    """

    SIZE = 3 + 2 * (2 * COUNTS_BYTES + KEYS_BYTES) + 2 * KEYS_BYTES

    def __init__(self, memory: mmap.mmap, begin: int) -> None:
        self._counts = MemoryEntry(memory, begin, COUNTS_BYTES)
        begin += 1 + 2 * COUNTS_BYTES
        self._keys = MemoryEntry(memory, begin, KEYS_BYTES)
        begin += 1 + 2 * KEYS_BYTES
        self._ended = MemoryEntry(memory, begin, COUNTS_BYTES + KEYS_BYTES)
        self._process = 1

    def begin_process(self) -> None:
        """Called by a worker process before it publishes anything."""
        self._process = self._ended.read()[0] + 1

    def publish(self, counters: WorkerCounters) -> None:
        """Without the keys' own counts, because this happens for every batch."""
        self._counts.write(self._process, msgspec.json.encode(counters))

    def publish_keys(self, keys: dict[str, KeyCounters]) -> None:
        self._keys.write(self._process, msgspec.json.encode(keys))

    def read(self) -> WorkerCounters:
        """The sum over all processes of this worker."""
        last_ended, data = self._ended.read()
        total = _counters.decode(data) if data else WorkerCounters()
        process, data = self._counts.read()
        if process > last_ended:
            running = _counters.decode(data)
            process, data = self._keys.read()
            running.keys = _keys.decode(data) if process > last_ended else {}
            total.add(running)
        return total

    def end_process(self) -> None:
        """Add the counts of a process that ended to the sum. Called by the parent before it starts the next process."""
        total = self.read()
        total.in_flight, left = 0, total.in_flight
        if left:
            total.refused[WORKER_DIED] = total.refused.get(WORKER_DIED, 0) + left
        total.reset_gauges()
        self._ended.write(max(self._counts.read()[0], self._ended.read()[0]), msgspec.json.encode(total))


class SharedCounters:
    """One page for each worker. Made before the workers are forked, so that they and their parent share the memory."""

    def __init__(self, workers: int) -> None:
        memory = mmap.mmap(-1, workers * CounterPage.SIZE)
        self.pages = [CounterPage(memory, number * CounterPage.SIZE) for number in range(workers)]

    def total(self) -> WorkerCounters:
        total = WorkerCounters()
        for page in self.pages:
            total.add(page.read())
        return total
