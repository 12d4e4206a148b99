"""Fault tests run real feedback servers and coordinators under load, make them fail, and compare the ledger with the disks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.harness.deployment import deployment
from tests.harness.tested_counts import ACKNOWLEDGED, RecordProperty

__all__ = ["deployment"]


@pytest.fixture
def ledger(tmp_path: Path, record_property: RecordProperty) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    record_property(ACKNOWLEDGED, len(ledger.read("acknowledged")))
    ledger.close()
