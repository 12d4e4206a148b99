"""The n-th call that changes the disk fails, for every n until there is none: nothing acknowledged is lost, and work continues.

An interrupted call is made to fail once, although Python repeats it by itself (PEP 475): a file system may also answer this way.
"""

import asyncio
import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from coordinator.carriers import spool as spool_module
from coordinator.carriers import spool_files
from coordinator.carriers.spool import Spool, SpooledBatch
from coordinator.quarantine import QuarantineFiles, RefusedMessage
from feedback_server.journal import Journal
from feedback_wire.frames import Frame, walk
from feedback_wire.log_name import Form, LogName
from measurement.master.operation_journal import OperationJournal, RecordCursor
from monitor_platform.retrieval.mirror import Mirror, size
from tests.faults.recorded_calls import SHORT, NthCall, RecordedCalls, memory_folder
from tests.faults.simulated_disk import after, lost
from tests.faults.stepped_server import Format, SteppedServer, stored
from tests.faults.test_power_cuts_of_a_spool import batch
from tests.harness.tested_counts import FAILED_CALL

ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EINTR": errno.EINTR, "short": SHORT}
WAYS = [(error, lasting) for error in ERRORS for lasting in (False, True) if (error, lasting) != ("EINTR", True)]
Calls = Counter[str]


def every_n(error: int, once: Callable[[Path, NthCall], None], *, lasting: bool = False, every: int = 1) -> Calls:
    """Call `once` in a new folder for each n, until its fault is no longer reached; return which calls failed how often."""
    failed: Calls = Counter()
    for n in range(1, 10_000, every):
        only = ["write"] if error == SHORT else []
        with memory_folder() as folder:
            once(folder, fault := NthCall(n, error, only, lasting=lasting))
        if not fault.reached:
            return failed
        failed[fault.failed[0]] += 1
    pytest.fail("it never ends")


@pytest.fixture
def logged_problems(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """How many warnings and errors were logged so far."""
    caplog.set_level(logging.WARNING)
    return lambda: sum(record.levelno >= logging.WARNING for record in caplog.records)


class FeedbackServerLife:
    """Starts, stores, seals and starts again, on a disk where a call fails; records what was acknowledged and what was logged."""

    def __init__(self, root: Path, form: Format, fault: NthCall, logged_problems: Callable[[], int]) -> None:
        self._data, self._form, self._fault, self._logged_problems = root / "srv" / "data", form, fault, logged_problems
        self._recorded = RecordedCalls(root, fault=fault)
        self.acknowledged: list[int] = []

    def run(self) -> RecordedCalls:
        with self._recorded:
            for first in (0, 10):
                server = self._started()
                self._counted(server, lambda server=server, first=first: self._store(server, first))  # type: ignore[misc]
                server.die()
            self._fault.over = True
            server = self._started()
            self._store(server, 20)
            server.roll()
            server.seal()
            server.stop()
        return self._recorded

    def _started(self) -> SteppedServer:
        for _ in range(50):
            failed, logged_problems = len(self._fault.failed), self._logged_problems()
            try:
                server = SteppedServer(self._data, self._recorded.note, self._form)
            except OSError:
                if self._fault.lasting:
                    self._fault.over = True
                continue
            is_logged = self._logged_problems() > logged_problems or self._fault.harmless
            assert is_logged or len(self._fault.failed) == failed, f"not logged: {self._fault.failed}"
            return server
        pytest.fail("it no longer starts")

    def _counted(self, server: SteppedServer, work: Callable[[], None]) -> None:
        """Each failure in the work is counted."""
        failed = len(self._fault.failed)
        work()
        errors = server.counters.write_errors + server.counters.seal_errors
        assert errors or len(self._fault.failed) == failed or self._fault.harmless, f"not counted: {self._fault.failed}"

    def _store(self, server: SteppedServer, first: int) -> None:
        for number in range(first, first + 3):
            self._store_once(server, number)
        server.roll()
        self._store_once(server, first + 3)
        for _ in range(2):
            server.seal()

    def _store_once(self, server: SteppedServer, number: int) -> None:
        for _ in range(3):  # as a coordinator does
            if server.store(number):
                self.acknowledged.append(number)
                return


def fail_feedback_server(form: Format, error: int, logged_problems: Callable[[], int], *, lasting: bool, every: int) -> Calls:
    def once(folder: Path, fault: NthCall) -> None:
        life = FeedbackServerLife(folder, form, fault, logged_problems)
        recorded = life.run()
        copies = stored(folder / "srv" / "data")
        assert not set(life.acknowledged) - copies.keys(), (fault.failed, "lost", copies)
        assert {20, 21, 22, 23} <= set(life.acknowledged), "it works as before when the disk does"
        assert max(copies.values()) == 1, (fault.failed, "doubled", copies)
        with memory_folder() as left:  # later syncs do not repair what a failed sync dropped
            after(recorded.calls, lost).write_to(left)
            assert (left / "srv" / "data").is_dir(), (fault.failed, "lost with the power")
            assert not set(life.acknowledged) - stored(left / "srv" / "data").keys(), (fault.failed, "lost with the power")

    return every_n(error, once, lasting=lasting, every=every)


@pytest.mark.parametrize(
    ("form", "error", "lasting", "every"),
    [
        ("jsonl", "EIO", False, 1),
        ("jsonl", "ENOSPC", True, 2),
        ("jsonl", "short", False, 1),
        ("csv", "ENOSPC", False, 9),
        ("parquet", "EIO", False, 9),
    ],
)
def test_any_failing_call_of_a_feedback_server_loses_nothing_acknowledged(
    form, error, lasting, every, logged_problems, record_property
):
    failed = fail_feedback_server(form, ERRORS[error], logged_problems, lasting=lasting, every=every)
    record_property(FAILED_CALL, failed.total())
    assert failed.total() >= 8, failed
    if every == 1 and error == "EIO":
        assert failed.keys() == {"open", "write", "fsync", "fdatasync", "rename", "unlink", "mkdir"}


@pytest.mark.soak
@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize(("error", "lasting"), WAYS)
def test_any_call_failing_in_any_way_loses_nothing_acknowledged(form, error, lasting, logged_problems, record_property):
    failed = fail_feedback_server(form, ERRORS[error], logged_problems, lasting=lasting, every=1)
    record_property(FAILED_CALL, failed.total())
    assert failed.total() >= 8


def started(folder: Path, fault: NthCall) -> Spool:
    for _ in range(50):
        try:
            return Spool(folder, 10**6)
        except OSError:
            if fault.lasting:
                fault.over = True
    pytest.fail("it no longer starts")


def drain(spool: Spool, out: list[int], *, most: int) -> None:
    """Send up to `most` batches to a feedback server, with the retries of the outbox."""
    for _ in range(most):
        with suppress(OSError):
            found = spool.oldest()
            if found is None:
                return
            number = int.from_bytes(found.batch_id) - 1
            assert (found.batch_id, found.lines, found.messages) == batch(number), "altered"
            out.append(number)
            spool.drop(found)


def fail_spool(error: int, *, lasting: bool) -> Calls:
    """A spool fills, is drained in part, is started again and drained completely."""

    def once(root: Path, fault: NthCall) -> None:
        folder, waiting, out = root / "srv" / "spool", set[int](), list[int]()
        with RecordedCalls(root, fault=fault):
            spool = started(folder, fault)
            for number in range(7):
                with suppress(OSError):  # the sender gets an error
                    spool.append(*batch(number))
                    waiting.add(number)
            drain(spool, out, most=2)
            with suppress(OSError):
                spool.close()
            spool = started(folder, fault)
            if (found := read(spool)) is not None:
                with suppress(OSError):
                    spool.set_aside(found)
                    out.append(int.from_bytes(found.batch_id) - 1)
            drain(spool, out, most=3)
            fault.over = True
            drain(spool, out, most=100)
            assert (spool.size_bytes, spool.messages) == (0, 0)
            spool.close()
        assert not waiting - set(out), (fault.failed, "lost", waiting - set(out))
        assert len(set(out)) == len(out) or fault.failed, "no batch arrives twice on a sound disk"

    return every_n(error, once, lasting=lasting)


def read(spool: Spool) -> SpooledBatch | None:
    with suppress(OSError):
        return spool.oldest()
    return None


@pytest.mark.parametrize(("error", "lasting"), WAYS)
def test_any_failing_call_of_a_spool_loses_nothing_acknowledged(error, lasting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 400)
    logging.disable(logging.CRITICAL)
    try:
        failed = fail_spool(ERRORS[error], lasting=lasting)
    finally:
        logging.disable(logging.NOTSET)
    assert failed.total() >= 10, failed
    if error == "EIO":
        assert failed.keys() >= {"open", "write", "fsync", "fdatasync", "rename", "unlink", "mkdir"}


def entry(number: int) -> RefusedMessage:
    return RefusedMessage(
        received_ms=number,
        reason="malformed",
        detail="",
        key="",
        prefix=b'{"ip":"","weight":1.0,"via":"c1",',
        payload=b"%d" % number,
    )


@pytest.mark.parametrize("error", ERRORS)
def test_any_failing_call_of_a_quarantine_leaves_counted_entries_readable_and_counts_the_rest(error):
    def once(folder: Path, fault: NthCall) -> None:
        with RecordedCalls(folder, fault=fault):
            files = QuarantineFiles(folder / "srv" / "q", "c1-0", 10**6)
            for number in range(6):
                files.append([entry(2 * number), entry(2 * number + 1)])
        kept = 0
        for path in (folder / "srv" / "q").glob("*.zst"):
            frames = [frame for frame in walk(path.read_bytes()) if isinstance(frame, Frame)]
            kept += sum(zstandard.decompress(frame.payload).count(b"\n") for frame in frames)
        assert files.kept + files.dropped == 12
        assert files.kept <= kept, "a file whose sync failed may still have been written"
        if fault.failed != ["mkdir"]:  # an existing folder need not be made
            assert files.dropped == 2 * len(fault.failed), "only the entries of the call that failed"

    assert every_n(ERRORS[error], once).total() >= 6


@pytest.mark.parametrize("error", ERRORS)
def test_any_failing_call_of_a_mirror_leaves_named_logs_whole_and_a_new_fetch_repairs_it(error):
    name = LogName.parse("20120807T093000Z-fs1-0000.jsonl.zst")
    journal, sealed = bytes(range(256)) * 3, bytes(range(255, -1, -1)) * 2

    def fetch(mirror: Mirror) -> None:
        for at in range(0, len(journal), 256):
            mirror.write(mirror.path(name.sealed(Form.JOURNAL)), at, journal[at : at + 256])
        mirror.cut(mirror.path(name.sealed(Form.JOURNAL)), 512)
        for at in range(size(mirror.part(name)), len(sealed), 256):
            mirror.write(mirror.part(name), at, sealed[at : at + 256])
        mirror.complete(name)

    def once(folder: Path, fault: NthCall) -> None:
        mirror = Mirror(folder)
        with RecordedCalls(folder, fault=fault) as recorded:
            with suppress(OSError):
                fetch(mirror)
            assert not mirror.path(name).exists() or mirror.path(name).read_bytes() == sealed
            fault.over = True
            fetch(mirror)
        durable = after(recorded.calls, lost)
        assert any(str(name) in files for files in durable.folders.values()), "a completed log survives a power cut"
        assert mirror.overview("fs1", None)[0] == [name]
        assert mirror.path(name).read_bytes() == sealed
        for cut in range(len(recorded.calls)):
            tree = after(recorded.calls[:cut], lost)
            for files in tree.folders.values():
                assert str(name) not in files or tree.files[files[str(name)]] == sealed, "whole or absent after a power cut"

    assert every_n(ERRORS[error], once).total() >= 5


class RecordsLife:
    """The records of a measurement master, on a disk where a call fails: appended, synced, forwarded, and opened again."""

    def __init__(self, folder: Path, fault: NthCall) -> None:
        self.folder, self._fault = folder, fault
        self.recorded = RecordedCalls(folder, fault=fault)
        self.acknowledged: list[bytes] = []
        self.forwarded: list[bytes] = []

    async def run(self) -> None:
        with ThreadPoolExecutor(1) as threads, self.recorded:
            for first in (0, 10):
                await self._lived(range(first, first + 10), threads)
            self._fault.over = True
            await self._lived(range(20, 25), threads)

    async def _lived(self, numbers: Sequence[int], threads: ThreadPoolExecutor) -> None:
        journal = self._opened()
        written: list[bytes] = []
        for number in numbers:
            written.append(b"record %02d" % number)
            journal.append(written[-1])
            with suppress(OSError):
                if number == 8:
                    await self._forward(journal, threads)
                await journal.synced(threads)
                self.acknowledged += written
                written.clear()
        with suppress(OSError):
            journal.close()
            self.acknowledged += written

    async def _forward(self, journal: OperationJournal, threads: ThreadPoolExecutor) -> None:
        lines, behind = journal.read(100)
        with suppress(OSError):
            await journal.synced(threads)
        self.forwarded += lines
        await journal.move(behind, threads)

    def _opened(self) -> OperationJournal:
        try:
            return OperationJournal(self.folder / "records", segment_bytes=40)
        except OSError:
            self._fault.over = True
            return OperationJournal(self.folder / "records", segment_bytes=40)

    def left_by_a_power_cut(self, to: Path) -> list[bytes]:
        """What a master finds that starts after a power cut."""
        to.mkdir()
        after(self.recorded.calls, lost).write_to(to)
        journal = OperationJournal(to / "records", segment_bytes=40)
        lines = list(journal.lines_from(RecordCursor(0, 0)))
        journal.close()
        return lines


@pytest.mark.parametrize(("error", "lasting"), WAYS)
def test_any_failing_call_of_a_measurement_master_costs_no_acknowledged_record_and_repeats_none(error, lasting):
    logging.disable(logging.ERROR)

    def once(folder: Path, fault: NthCall) -> None:
        (folder / "disk").mkdir()
        life = RecordsLife(folder / "disk", fault)
        asyncio.run(life.run())
        found = life.left_by_a_power_cut(folder / "after")
        missing = {*life.acknowledged} - {*found} - {*life.forwarded}
        assert not missing, f"acknowledged and lost with the power: {missing}"
        assert len({*found}) == len(found), f"records twice: {sorted(found)}"

    try:
        failed = every_n(ERRORS[error], once, lasting=lasting)
    finally:
        logging.disable(logging.NOTSET)
    if error == "EIO":
        assert failed.keys() >= {"write", "fsync", "fdatasync", "rename", "unlink"}


def test_the_check_detects_a_server_that_acknowledges_after_a_failed_sync(
    monkeypatch: pytest.MonkeyPatch, logged_problems: Callable[[], int]
):
    def careless(self: Journal) -> None:
        with suppress(OSError):
            os.fdatasync(self._fd)
        self.durable_bytes, self.durable_records = self._written_bytes, self._written_records

    monkeypatch.setattr(Journal, "sync", careless)
    with pytest.raises(AssertionError, match=r"not counted|lost with the power"):
        fail_feedback_server("jsonl", errno.EIO, logged_problems, lasting=False, every=1)


def test_the_check_detects_a_spool_that_continues_after_a_failed_write(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool_files, "write_all", lambda file, data: os.write(file, data))
    with pytest.raises(AssertionError, match="lost"):
        fail_spool(SHORT, lasting=False)
