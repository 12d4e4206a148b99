"""Group commit by one thread: batches that arrive during a disk write form the next group, with one write and one fdatasync.

No delay has to be tuned: a single batch is written at once, and under load the groups grow by themselves. A batch is answered only
after the fdatasync that makes it durable.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from queue import Empty, SimpleQueue

from feedback_server import log_periods
from feedback_server.counters import Counters
from feedback_server.journal import ClosedJournal, Journal
from feedback_server.received_batch import ReceivedBatch
from feedback_server.recent_batches import RecentBatches
from feedback_server.settings import Settings
from feedback_server.stores.data_folder import WRITE_ERRORS, DataFolder, reason_of
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_wire.catalogue import LogEntry
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LogName

log = logging.getLogger(__name__)

# A group of 8 MiB takes about 25 ms to stamp, compress and write. In a larger group, the first batch would wait longer.
_GROUP_BYTES = 8 * 1024 * 1024
_IDLE_S = 1.0
RETRY_S = 1.0
"""The pause after the disk has failed twice in a row; also the `Retry-After` of refusals."""


class StoreOutcome(Enum):
    STORED = auto()
    DUPLICATE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: ReceivedBatch
    answer: asyncio.Future[StoreOutcome]


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class Writer(threading.Thread):
    """Stores batches."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        *,
        offered: OfferedLogs,
        recent: RecentBatches,
        newest: LogName | None,
        counters: Counters,
        seal: Callable[[ClosedJournal], None],
        kind: RecordKind = RecordKind.FEEDBACK,
        clock: Callable[[], int] = wall_ms,
    ) -> None:
        super().__init__(name=f"writer-{kind}", daemon=True)
        self.write_error: str | None = folder.read_only_reason
        """The reason of a write error, until a write succeeds again."""
        self.waiting_bytes = 0
        self._settings = settings
        self._folder = folder
        self._offered = offered
        self._recent = recent
        self._newest = newest
        self._counters = counters
        self._seal = seal
        self._kind = kind
        self._clock = clock
        self._journal: Journal | None = None
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._retry_from_s = 0.0

    async def store(self, batch: ReceivedBatch) -> StoreOutcome:
        """The outcome of the batch, once it is certain."""
        answer: asyncio.Future[StoreOutcome] = asyncio.get_running_loop().create_future()
        self.waiting_bytes += len(batch.lines)
        try:
            self._queue.put(_Waiting(batch, answer))
            return await answer
        finally:
            self.waiting_bytes -= len(batch.lines)

    def stop(self) -> None:
        """Store the waiting batches, close the journal, and end the thread."""
        self._queue.put(None)
        self.join()

    @property
    def ready(self) -> bool:
        return self.write_error is None

    @property
    def journal_age_s(self) -> float:
        journal = self._journal
        return time.monotonic() - journal.opened_s if journal else 0.0

    def clock(self) -> tuple[int, int]:
        """The clock, and how far the time of a new record would be ahead of it, because it was set back; Unix milliseconds."""
        journal, newest, now_ms = self._journal, self._newest, self._clock()
        if journal is not None:
            return now_ms, log_periods.received_ms(now_ms, journal.name, journal.last_ms) - now_ms
        return now_ms, max(0, newest.begins_s * 1000 - now_ms) if newest is not None else 0

    def run(self) -> None:
        running = True
        while running:
            group, running = self._next_group()
            if group:
                self._close_if_over()  # the clock may have been set forward since the last batch
                self._commit(group)
            elif not self.ready:
                self._probe()
            self._close_if_over()
        self._close()

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        """The waiting batches, up to a size limit; none after a pause. The flag is False with the last group."""
        group: list[_Waiting] = []
        size = 0
        try:
            waiting = self._queue.get(timeout=self._longest_wait_s())
            while waiting is not None:
                group.append(waiting)
                size += len(waiting.batch.lines)
                if size >= _GROUP_BYTES:
                    return group, True
                waiting = self._queue.get_nowait()
        except Empty:
            return group, True
        return group, False

    def _longest_wait_s(self) -> float:
        if self._journal is None:
            return _IDLE_S
        return min(_IDLE_S, max(0.0, self._remaining_s(self._journal)))

    def _commit(self, group: Sequence[_Waiting]) -> None:
        fresh = {waiting.batch.id: waiting.batch for waiting in group if waiting.batch.id not in self._recent}
        if fresh and self._store_durably(list(fresh.values())):
            self._recent.remember(fresh)
        answers = [(waiting.answer, self._outcome(waiting.batch.id, fresh)) for waiting in group]
        loop = group[0].answer.get_loop()
        loop.call_soon_threadsafe(_set_outcomes, answers)

    def _outcome(self, batch_id: bytes, fresh: dict[bytes, ReceivedBatch]) -> StoreOutcome:
        """FAILED unless the batch is durable. Of several with one id in the group, the first one was stored."""
        first = fresh.pop(batch_id, None) is not None
        if batch_id not in self._recent:
            return StoreOutcome.FAILED
        return StoreOutcome.STORED if first else StoreOutcome.DUPLICATE

    def _store_durably(self, batches: Sequence[ReceivedBatch]) -> bool:
        """Write and sync; after an error, try once more in a new log."""
        if time.monotonic() < self._retry_from_s:
            return False
        for _ in ("in the open log", "in a new log"):
            try:
                journal = self._journal or self._open()
                self._write(journal, batches)
            except WRITE_ERRORS as error:
                self._abandon(error)
            else:
                self._count(journal, frames=len(batches))
                return True
        self._retry_from_s = time.monotonic() + RETRY_S
        return False

    def _write(self, journal: Journal, batches: Sequence[ReceivedBatch]) -> None:
        now_ms = self._clock()
        stamp_ms = log_periods.received_ms(now_ms, journal.name, journal.last_ms)
        before_bytes = journal.durable_bytes
        journal.write(batches, stamp_ms)
        with self._counters.fsync.timing():
            journal.sync()
        self._counters.written_bytes += journal.durable_bytes - before_bytes
        self._counters.clock_behind_s = (stamp_ms - now_ms) / 1000

    def _count(self, journal: Journal, *, frames: int) -> None:
        self.write_error = None
        self._offered.put(LogEntry(name=journal.name, bytes=journal.durable_bytes, records=journal.durable_records))
        self._counters.frames += frames
        self._counters.last_durable_s = time.time()

    def _open(self) -> Journal:
        now_ms = self._clock()
        name = log_periods.next_log(
            now_ms, self._newest, server=self._settings.name, roll_s=self._settings.roll_seconds, kind=self._kind
        )
        if name.begins_s * 1000 > now_ms:
            log.warning(
                "the clock is %.0f s behind the newest log: records get that log's time until the clock has caught "
                "up. If that log's time is wrong, stop the server, move the log out of %s, and start again",
                name.begins_s - now_ms / 1000,
                self._folder.path,
            )
        try:
            self._journal = Journal(self._folder, name)
        except FileExistsError:
            self._newest = name  # the file of a failed attempt; use the next name
            raise
        return self._journal

    def _probe(self) -> None:
        """Test whether the disk can be written again: senders wait for readiness, so no batch would test it."""
        if self._journal is None and time.monotonic() >= self._retry_from_s:
            try:
                self._open()
            except WRITE_ERRORS as error:
                self._abandon(error)
                self._retry_from_s = time.monotonic() + RETRY_S
            else:
                self.write_error = None

    def _abandon(self, error: OSError | MemoryError) -> None:
        self._counters.write_errors += 1
        why = reason_of(error)
        if why != self.write_error:  # it is tried once per second; log each reason once
            log.warning("writing to %s failed; batches are refused until it works again: %s", self._folder.path, error)
        self.write_error = why
        journal, self._journal = self._journal, None
        if journal is None:
            return
        journal.abandon()
        if journal.durable_records:
            self._hand_over(journal)
        else:
            self._remove_unused(journal)

    def _remove_unused(self, journal: Journal) -> None:
        """Remove a log that was never offered, to reuse its name: a full disk could use up the 10,000 names of a period."""
        with suppress(OSError):  # it has no records, and the next start removes it
            self._folder.remove(str(journal.name))

    def _remaining_s(self, journal: Journal) -> float:
        return log_periods.remaining_s(
            journal.name, self._clock(), open_for_s=time.monotonic() - journal.opened_s, roll_s=self._settings.roll_seconds
        )

    def _close_if_over(self) -> None:
        journal = self._journal
        if journal and (self._remaining_s(journal) <= 0 or journal.durable_bytes >= self._settings.max_log_bytes):
            self._close()

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._hand_over(self._journal)

    def _hand_over(self, journal: Journal) -> None:
        self._journal = None
        self._newest = journal.name
        self._seal(ClosedJournal(name=journal.name, length=journal.durable_bytes, recent=self._recent.to_bytes()))


def _set_outcomes(answers: Sequence[tuple[asyncio.Future[StoreOutcome], StoreOutcome]]) -> None:
    for answer, outcome in answers:
        if not answer.done():  # it is done if the sender has disconnected
            answer.set_result(outcome)
