"""A kill cannot tell a synced file from the page cache, so these tests read the kernel's calls: the sync must come before the
answer.

Records count as durable from the return of the fdatasync after them, in a file whose folder was synced after its creation. At every
2xx, no more than that may have been acknowledged. No test here cuts the power: whether a disk keeps what it confirms is the disk's
promise.
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from feedback_wire.frames import Frame, walk
from tests.faults.ledger import Ledger, Load
from tests.faults.oracle import judge
from tests.faults.system_calls import Call, calls, traced
from tests.harness.deployment import Deployment
from tests.harness.waiting import eventually

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
ACKNOWLEDGED = re.compile(rb'\{"(?:stored|accepted)":(\d+)')


@dataclass
class Disk:
    """What would survive a power cut, according to the calls so far."""

    suffix: str
    """Of the files that hold records: journals, or a spool's segments."""
    written: dict[str, int] = field(default_factory=dict)
    synced: dict[str, int] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)

    @property
    def durable(self) -> int:
        return sum(records for path, records in self.synced.items() if path in self.listed)

    def see(self, call: Call) -> None:
        if not call.returned:
            return
        if call.name == "write" and call.target.endswith(self.suffix):
            self.written[call.target] = self.written.get(call.target, 0) + records_in(call.strings[0])
            if call.target not in self.listed:
                self.unlisted.add(call.target)
        elif call.name in ("fdatasync", "fsync") and call.target in self.written:
            self.synced[call.target] = self.written[call.target]
        elif call.name == "fsync":
            now = {path for path in self.unlisted if str(Path(path).parent) == call.target}
            self.listed |= now
            self.unlisted -= now


def records_in(data: bytes) -> int:
    return sum(piece.header.records for piece in walk(data) if isinstance(piece, Frame))


def answers_checked(disk: Disk, trace: Iterable[Call]) -> int:
    """How many messages were acknowledged, none of them too early."""
    acknowledged = answers = 0
    for call in trace:
        disk.see(call)
        found = (
            ACKNOWLEDGED.search(call.strings[0]) if call.strings and call.target.startswith("TCP") and not call.returned else None
        )
        if found:
            answers += 1
            acknowledged += int(found[1])
            assert acknowledged <= disk.durable, f"answer {answers} acknowledges {acknowledged}, on disk are {disk.durable}"
    assert answers >= 50, "too few answers were seen to prove anything"
    return acknowledged


def test_a_feedback_server_answers_after_fdatasync_has_returned(deployment: Deployment, ledger: Ledger, tmp_path: Path):
    server = deployment.feedback_server()
    coordinators = [deployment.coordinator(), deployment.coordinator()]  # two, so that there are groups to commit
    with traced(server.running.process.pid, tmp_path / "calls"), Load(deployment.entries, ledger) as load:
        load.gets_on(300)
        eventually(lambda: server.metrics()["sealed_total"] >= 1)
    forwarded = sum(part.metrics()["messages_forwarded_total"] for part in coordinators)
    assert answers_checked(Disk(".journal"), calls(tmp_path / "calls")) == forwarded, "strace has missed answers"
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_spooling_coordinator_answers_after_fdatasync_has_returned(deployment: Deployment, ledger: Ledger, tmp_path: Path):
    server = deployment.feedback_server()
    coordinator = deployment.coordinator()
    server.kill()
    with traced(coordinator.running.process.pid, tmp_path / "calls"), Load(deployment.entries, ledger) as load:
        load.gets_on(300)
    spooled = coordinator.metrics()["messages_spooled_total"]
    assert answers_checked(Disk(".spool"), calls(tmp_path / "calls")) == spooled == load.acknowledged
    server.start()
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def test_a_journal_is_removed_only_after_its_sealed_log_is_durable(deployment: Deployment, ledger: Ledger, tmp_path: Path):
    server = deployment.feedback_server("--roll-seconds", "1")
    deployment.coordinator()
    with traced(server.running.process.pid, tmp_path / "calls"), Load(deployment.entries, ledger) as load:
        eventually(lambda: server.metrics()["sealed_total"] >= 3)
        assert load.acknowledged
    steps = [step for call in calls(tmp_path / "calls") if call.returned and (step := sealing_step(call)) is not None]
    removed = [index for index, (what, _) in enumerate(steps) if what == "journal removed"]
    assert len(removed) >= 3
    for index in removed:
        stem = steps[index][1]
        made_safe = [what for what, whose in steps[:index] if whose in (stem, "")]
        after_sync = made_safe[made_safe.index("sealed log synced") :]
        assert "folder synced" in after_sync[after_sync.index("sealed log renamed") :]
    deployment.settle()
    judge(ledger, deployment.data).assert_kept()


def sealing_step(call: Call) -> tuple[str, str] | None:
    """What a call contributes to the sealing of which log; for the folder, of all logs."""
    names = [Path(text.decode(errors="replace")).name for text in (call.target.encode(), *call.strings)]
    stem = next((name.lstrip(".").split(".")[0] for name in names[::-1] if re.match(r"\.?\d{8}T", name)), "")
    match call.name:
        case "unlink" | "unlinkat" if names[-1].endswith(".journal"):
            return "journal removed", stem
        case "fsync" if names[0].endswith(".sealing") and stem:
            return "sealed log synced", stem
        case "rename" | "renameat" | "renameat2" if names[-1].endswith(".jsonl.zst"):
            return "sealed log renamed", stem
        case "fsync" if Path(call.target).name.startswith("fs"):
            return "folder synced", ""
    return None
