"""Sealing fails at one call and is tried again: each record, log and damaged part is counted once."""

import errno
import logging
from pathlib import Path

import pytest

from feedback_wire.frames import Frame, walk
from tests.faults.recorded_calls import NthCall, RecordedCalls, memory_folder
from tests.faults.stepped_server import SteppedServer, batch, stored

BATCHES = range(3)
RECORDS = sum(batch(number).records for number in BATCHES)


def damage_first_frame(data: Path) -> int:
    """Flip a bit of the journal's first frame; return the size of the frame."""
    [journal] = data.glob("*.journal")
    content = bytearray(journal.read_bytes())
    frame = next(found for found in walk(bytes(content)) if isinstance(found, Frame))
    content[frame.end - 1] ^= 1
    with journal.open("r+b") as file:
        file.write(content)
    return frame.end - frame.offset


def seal_with_a_fault(root: Path, fault: NthCall, *, damaged: bool = False) -> SteppedServer:
    """A server that seals one journal; `fault` is active in the first try only."""
    recorded = RecordedCalls(root)
    with recorded:
        server = SteppedServer(root / "data", lambda _: None)
        server.store(*BATCHES)
        server.roll()
        if damaged:
            damage_first_frame(root / "data")
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


def test_damage_that_recovery_finds_is_not_counted_again_when_the_journal_is_sealed(caplog: pytest.LogCaptureFixture):
    with memory_folder() as root, RecordedCalls(root):
        server = SteppedServer(root / "data", lambda _: None)
        server.store(*BATCHES)
        server.die()
        size = damage_first_frame(root / "data")
        server = SteppedServer(root / "data", lambda _: None)
        assert server.counters.quarantined == 1
        server.stop()
        assert len(list((root / "data" / "quarantine").iterdir())) == 1
    assert server.counters.sealed == 1
    assert (server.counters.quarantined, server.counters.quarantined_bytes) == (1, size)
    assert caplog.text.count("bytes at offset") + caplog.text.count("kept in quarantine") == 1


def test_damage_is_counted_and_logged_once_whichever_call_of_the_sealing_fails(caplog: pytest.LogCaptureFixture):
    failed: list[str] = []
    for n in range(1, 100):
        caplog.clear()
        with memory_folder() as root:
            fault = NthCall(n, errno.EIO)
            counters = seal_with_a_fault(root, fault, damaged=True).counters
            [kept] = (root / "data" / "quarantine").iterdir()
            size = kept.stat().st_size
        if not fault.reached:
            break
        failed += fault.failed
        assert (counters.seal_errors, counters.sealed) == (1, 1), (n, fault.failed)
        assert (counters.quarantined, counters.quarantined_bytes) == (1, size), (n, fault.failed)
        assert counters.quarantined_records == batch(0).records
        assert caplog.text.count("kept in quarantine") == 1, (n, fault.failed)
    assert "mkdir" in failed
    assert failed.count("rename") == 3, "the damaged bytes, the sealed log, the batch ids"
