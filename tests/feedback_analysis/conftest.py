"""Tables of records that come out of real log files."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_wire.log_name import Form
from tests.harness.logs import Record, add, write_log


@pytest.fixture(scope="session")
def locator() -> Iterator[Locator]:
    with Locator() as opened:
        yield opened


@pytest.fixture
def table_of(locator: Locator, tmp_path: Path) -> Iterator[Callable[..., FeedbackTable]]:
    """`table_of(records, records, …)`: a table to which each list was added as a log of its own."""
    tables: deque[FeedbackTable] = deque()

    def table_of(*logs: Sequence[Record], form: Form = Form.JOURNAL, mos: MosModel | None = None) -> FeedbackTable:
        table = FeedbackTable(locator, mos or MosModel())
        tables.append(table)
        if len(tables) > 3:  # a test that tries many examples needs at most the latest two
            tables.popleft().close()
        for records in logs:
            add(table, write_log(tmp_path, records, form))
        return table

    yield table_of
    for table in tables:
        table.close()
