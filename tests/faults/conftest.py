"""Fault tests run real feedback servers and coordinators under load, hurt them, and ask the ledger and the disks what is left."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.asked import ACKNOWLEDGED, HURT, Record
from tests.faults.deployment import Deployment
from tests.faults.ledger import Ledger
from tests.processes import Server


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
