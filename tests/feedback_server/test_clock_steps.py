"""The wall clock may step by minutes and hours while batches arrive: the test sets the clock, the rest is the real server."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from feedback_server.counters import Counters
from feedback_server.received_batch import ReceivedBatch
from feedback_server.recovery import recover
from feedback_server.sealer import Sealer
from feedback_server.settings import Settings
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.writer import StoreOutcome, Writer
from feedback_wire.log_name import LogName
from tests.harness.waiting import eventually

NOON_MS = 1_344_340_800_000
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
ROLL_S = 1
STEPS = (-MINUTE_MS, +MINUTE_MS, -HOUR_MS, +5 * HOUR_MS, -7 * HOUR_MS, +30, -30, +24 * HOUR_MS, -24 * HOUR_MS)


class Clock:
    """A wall clock that advances by itself and steps when the test says so."""

    def __init__(self) -> None:
        self._offset_ms = NOON_MS - time.monotonic_ns() // 1_000_000
        self._lock = threading.Lock()

    def __call__(self) -> int:
        with self._lock:
            return time.monotonic_ns() // 1_000_000 + self._offset_ms

    def step(self, by_ms: int) -> None:
        with self._lock:
            self._offset_ms += by_ms


class Running:
    """The writing and sealing half of a feedback server, on a folder, with `clock`."""

    def __init__(self, data: Path, clock: Callable[[], int]) -> None:
        settings = Settings(data=data, roll_seconds=ROLL_S, max_log_bytes=4096, insecure=True)
        self.folder, self.counters = DataFolder(data), Counters()
        found = recover(self.folder, self.counters)
        self.offered = OfferedLogs(settings.name, found.entries)
        self.sealer = Sealer(settings, self.folder, offered=self.offered, counters=self.counters)
        self.writer = Writer(
            settings,
            self.folder,
            offered=self.offered,
            recent=found.recent,
            newest=found.newest_name,
            counters=self.counters,
            seal=self.sealer.seal_later,
            clock=clock,
        )
        for journal in found.journals_to_seal:
            self.sealer.seal_later(journal)
        self.sealer.start()
        self.writer.start()

    def stop(self) -> None:
        self.writer.stop()
        self.sealer.stop()
        self.folder.close()

    def stems(self) -> list[str]:
        return [entry.name.stem for entry in self.offered.after()[0].logs]


async def store_while(running: Running, lines: Callable[..., bytes], clock: Clock, session: str) -> list[tuple[str, int]]:
    """Store batches and step the clock between some of them; return all that was acknowledged. New logs always sort last."""
    acknowledged: list[tuple[str, int]] = []
    seen: list[str] = []
    for number, step in enumerate(itertools.chain.from_iterable((step, 0, 0, 0, 0) for step in STEPS)):
        clock.step(step)
        batch = ReceivedBatch(f"{session}-{number}".encode().ljust(16), lines(20, session=session, first=20 * number), 20)
        assert await running.writer.store(batch) is StoreOutcome.STORED
        acknowledged += [(session, 20 * number + each) for each in range(20)]
        stems = running.stems()
        assert stems[: len(seen)] == seen, "a reader that lists all logs after the last one would have missed one"
        seen = stems
    return acknowledged


def test_over_any_clock_steps_log_names_stay_unique_and_ordered_and_nothing_is_lost(tmp_path, lines, stored):
    data, clock = tmp_path / "data", Clock()
    running = Running(data, clock)
    acknowledged = asyncio.run(store_while(running, lines, clock, "first"))
    running.stop()
    clock.step(-48 * HOUR_MS)
    running = Running(data, clock)  # and a restart with a clock that is two days behind the logs
    assert running.counters.recovered_records == 0
    acknowledged += asyncio.run(store_while(running, lines, clock, "second"))
    running.stop()
    assert sorted(stored(data)) == sorted(acknowledged)
    names = [LogName.parse(path.name) for path in data.glob("2*")]
    assert len({name.stem for name in names}) == len(names) >= 6, "the clock's steps made logs"
    assert not list(data.glob("*.journal"))


@pytest.mark.parametrize("step_ms", [-5 * HOUR_MS, +5 * HOUR_MS], ids=["back", "forward"])
def test_a_period_ends_in_time_although_the_clock_has_stepped(tmp_path, lines, step_ms):
    clock = Clock()
    running = Running(tmp_path / "data", clock)
    assert asyncio.run(running.writer.store(ReceivedBatch(bytes(range(16)), lines(3), 3))) is StoreOutcome.STORED
    clock.step(step_ms)
    eventually(lambda: running.offered.sealed(), within_s=20)
    running.stop()


def test_the_first_batch_after_a_step_forward_is_in_a_log_of_its_time(tmp_path, lines):
    """It was in the log of the earlier time, which a platform shows with one correction: these viewers were invisible."""
    clock = Clock()
    running = Running(tmp_path / "data", clock)
    for number in range(2):
        batch = ReceivedBatch(bytes([number] * 16), lines(3, session=f"s{number}"), 3)
        assert asyncio.run(running.writer.store(batch)) is StoreOutcome.STORED
        clock.step(+5 * HOUR_MS)
    running.stop()
    entries = running.offered.after()[0].logs
    assert [entry.records for entry in entries] == [3, 3]
    assert entries[1].name.begins_s - entries[0].name.begins_s >= 5 * 3600 - 1


def test_a_server_states_how_far_the_times_of_its_records_are_ahead_of_a_clock_that_was_set_back(tmp_path, lines):
    clock = Clock()
    running = Running(tmp_path / "data", clock)
    assert running.writer.clock()[1] == 0
    assert asyncio.run(running.writer.store(ReceivedBatch(bytes(range(16)), lines(3), 3))) is StoreOutcome.STORED
    assert running.writer.clock()[1] == 0
    clock.step(-HOUR_MS)
    assert abs(running.writer.clock()[1] - HOUR_MS) < 10_000
    eventually(lambda: running.offered.sealed(), within_s=20)
    assert abs(running.writer.clock()[1] - HOUR_MS) < 30_000
    running.stop()
