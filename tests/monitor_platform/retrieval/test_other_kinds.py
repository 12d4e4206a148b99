"""Records of other kinds than feedback come from the same feedback servers, into a mirror and a table of their own."""

import asyncio
import contextlib
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feedback_analysis.live_record_table import LiveRecordTable, RecordBounds
from feedback_wire import routes
from feedback_wire.kinds import RecordKind
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.kind_tables import OtherRecords
from monitor_platform.retrieval.mirror import Mirror
from tests.harness.measurements import measurement
from tests.harness.waiting import eventually

KIND = RecordKind.MEASUREMENT


class MeasurementFeed:
    """A feed of measurements in an event loop and thread of its own."""

    def __init__(self, servers: list[str], mirror: Path) -> None:
        self.table = LiveRecordTable(KIND, RecordBounds(memory_mib=64))
        self._mirror = Mirror(mirror)
        self.feed = Feed(servers, "", self._mirror, OtherRecords(self.table), poll_seconds=0.1, keep_minutes=24 * 60)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self._task = self._loop.create_task(self.feed.run())
        with self._mirror.owned(), contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)

    def operations(self) -> list[str]:
        with self.table.reading() as cursor:
            return [name for (name,) in cursor.execute("SELECT operation_id FROM measurement ORDER BY ALL").fetchall()]


@pytest.fixture
def start_measurements(tmp_path) -> Iterator[Callable[..., MeasurementFeed]]:
    running: list[MeasurementFeed] = []

    def start(*servers: str) -> MeasurementFeed:
        running.append(MeasurementFeed(list(servers), tmp_path / "mirror"))
        return running[-1]

    yield start
    for feed in running:
        feed.stop()
        feed.table.close()


def store(url: str, *operations: str) -> None:
    """Store measurements at a feedback server, as a coordinator does."""
    origin = {"ip": "192.0.2.1", "weight": 1, "via": "c1"}
    lines = [json.dumps(origin | measurement(name, started_ms=time.time_ns() // 1_000_000)) for name in operations]
    headers = {"Content-Type": routes.NDJSON, routes.BATCH_HEADER: uuid.uuid4().hex}
    body = ("\n".join(lines) + "\n").encode()
    with urllib.request.urlopen(urllib.request.Request(url + routes.records_of(KIND), body, headers), timeout=60) as answer:
        assert json.load(answer) == {"stored": len(operations)}


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_measurements_arrive_from_journal_and_sealed_log_once_and_the_mirror_is_identical(
    feedback_server, start_measurements, sender, tmp_path, sha256, form
):
    server = feedback_server(form=form, roll=1)
    feed = start_measurements(server.url)
    sender.send(server.url)
    store(server.url, "op-0", "op-1")
    eventually(lambda: feed.operations() == ["op-0", "op-1"])
    store(server.url, "op-1", "op-2")
    eventually(lambda: feed.operations() == ["op-0", "op-1", "op-2"])
    mirrored = tmp_path / "mirror" / "measurement" / "fs1"
    eventually(lambda: sha256(mirrored) and sha256(mirrored) == sha256(tmp_path / "fs1" / "measurement"))
    # A record is in the table a moment before it is counted.
    eventually(lambda: feed.feed.status().counts.records_taken == 3)
    counts = feed.feed.status().counts
    assert counts.duplicates_dropped == 1
    assert (counts.failures, counts.damaged_frames, counts.refetches, counts.unreadable_records) == (0, 0, 0, 0)


def test_a_restart_reads_measurements_back_and_counts_none_twice(feedback_server, start_measurements):
    server = feedback_server(roll=3600)
    store(server.url, "op-0", "op-1")
    first = start_measurements(server.url)
    eventually(lambda: first.operations() == ["op-0", "op-1"])
    first.stop()
    store(server.url, "op-2")
    second = start_measurements(server.url)
    eventually(lambda: second.operations() == ["op-0", "op-1", "op-2"])
    assert second.feed.status().counts.duplicates_dropped == 0


def test_a_server_without_measurements_has_none_and_nothing_fails(feedback_server, start_measurements, sender):
    server = feedback_server()
    sender.send(server.url)
    feed = start_measurements(server.url)
    eventually(lambda: feed.feed.status().servers and feed.feed.status().servers[0].last_success_ms)
    [status] = feed.feed.status().servers
    assert (status.failures, status.knows_kind, feed.table.rows) == (0, True, 0)
