"""Histories that were built from real log files, and the tables of the same files."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel

BASIS = Basis(mos=MosModel())


@pytest.fixture(scope="session")
def locator() -> Iterator[Locator]:
    with Locator() as opened:
        yield opened


@pytest.fixture
def built(locator: Locator, tmp_path: Path) -> Iterator[Callable[..., tuple[HistoryStore, FeedbackTable]]]:
    """`built(folder)`: the history of the logs in a folder, and the table of them."""
    with ExitStack() as opened:

        def built(logs: Path, *, basis: Basis = BASIS) -> tuple[HistoryStore, FeedbackTable]:
            store = opened.enter_context(HistoryStore(tmp_path / f"history-{logs.name}", basis))
            catch_up(store, [logs], locator)
            table = open_logs([logs], locator=locator, mos=basis.mos)
            opened.callback(table.close)
            return store, table

        yield built
