"""Sealing fails at one call and is tried again: each record, log and damaged part is counted once."""

import errno
import logging
from pathlib import Path

import pytest

from tests.faults.recorded_calls import NthCall, RecordedCalls, memory_folder
from tests.faults.stepped_server import SteppedServer, batch, stored

BATCHES = range(3)
RECORDS = sum(batch(number).records for number in BATCHES)


def seal_with_a_fault(root: Path, fault: NthCall) -> SteppedServer:
    """A server that seals one journal; `fault` is active in the first try only."""
    recorded = RecordedCalls(root)
    with recorded:
        server = SteppedServer(root / "data", lambda _: None)
        server.store(*BATCHES)
        server.roll()
        recorded.fault = fault
        server.seal()
        fault.over = True
        server.seal()
        server.die()
    return server


def test_a_log_is_offered_and_counted_once_whichever_call_of_its_sealing_fails(caplog: pytest.LogCaptureFixture):
    failed: list[str] = []
    for n in range(1, 100):
        caplog.clear()
        with memory_folder() as root, caplog.at_level(logging.WARNING):
            fault = NthCall(n, errno.EIO)
            server = seal_with_a_fault(root, fault)
            assert set(stored(root / "data").values()) == {1}
            offered = [(log.records, log.sealed) for log in server.offered.after()[0].logs]
        if not fault.reached:
            break
        failed += fault.failed
        counters = server.counters
        assert counters.seal_errors == 1, fault.failed
        assert offered == [(RECORDS, True)], (n, fault.failed)
        assert (counters.sealed, counters.sealed_records, counters.quarantined_records) == (1, RECORDS, 0), (n, fault.failed)
        assert "removed by another process" not in caplog.text
    assert failed[-2:] == ["unlink", "fsync"], failed


def test_a_journal_that_another_process_removed_is_counted_as_lost(caplog: pytest.LogCaptureFixture):
    with memory_folder() as root, RecordedCalls(root):
        server = SteppedServer(root / "data", lambda _: None)
        server.store(*BATCHES)
        server.roll()
        [journal] = (root / "data").glob("*.journal")
        journal.unlink()
        server.seal()
        server.die()
    assert not server.offered.after()[0].logs
    assert (server.counters.sealed, server.counters.quarantined_records) == (0, RECORDS)
    assert f"removed by another process before it was sealed: {RECORDS} acknowledged records are lost" in caplog.text
