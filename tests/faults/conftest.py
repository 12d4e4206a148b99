"""Fault tests run real feedback servers and coordinators under load, hurt them, and ask the ledger and the disks what is left.

At the end they say how much was asked of the promises: messages acknowledged, processes hurt. What was lost is in no summary: a
test that finds one lost message fails.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.processes import Server

ACKNOWLEDGED = "messages acknowledged"
HURT = "times a process was killed, frozen or stopped"
Record = Callable[[str, object], None]


@pytest.fixture
def deployment(serve: Callable[..., Server], tmp_path: Path, record_property: Record) -> Iterator[Deployment]:
    deployment = Deployment(serve, tmp_path)
    yield deployment
    for part in deployment.parts:
        part.thaw()  # or it would not hear that it shall end
    record_property(HURT, sum(part.hurt for part in deployment.parts))


@pytest.fixture
def ledger(tmp_path: Path, record_property: Record) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    record_property(ACKNOWLEDGED, len(ledger.read("acknowledged")))
    ledger.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group if getattr(report, "when", "") == "teardown"]
    for what in (ACKNOWLEDGED, HURT):
        total = sum(value for report in reports for name, value in report.user_properties if name == what)
        if total:
            terminalreporter.write_line(f"fault tests: {total:,} {what}")
