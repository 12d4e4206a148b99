"""A page gets its first picture, and the answer to its newest query, without waiting for anything else."""

import asyncio
import json
import threading
from contextlib import ExitStack, closing
from types import SimpleNamespace

import pytest
from bokeh.document import Document

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_document import PageDocument
from monitor_platform.dashboard.page_figures import PageFigures
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.dashboard.shared_answers import THREADS

OVERVIEW = next(page for page in PAGES if page.path == "/")
DEADLINE_S = 30


@pytest.fixture
def page(recorded):
    """The overview's document, without a browser."""
    with ExitStack() as opened:
        table = opened.enter_context(closing(open_logs([recorded], locator=Locator(), mos=MosModel())))
        state = DashboardState(table, None, period_s=30, poll_s=1)
        opened.callback(state.answers.close)
        older = OlderRecords(None, state, begins_ms=lambda: 0, minutes=60)
        yield SimpleNamespace(document=Document(), state=state, older=older, figures=PageFigures(OVERVIEW, state.atlas))


def begin(page) -> PageDocument:
    return PageDocument(page.document, OVERVIEW, page.state, page.older, page.figures)


def exchange(page):
    return page.document.get_model_by_name("exchange")


async def run_callbacks(page, until) -> None:
    """Run what the document has planned, as its session does, until `until()` is true."""
    ends = asyncio.get_running_loop().time() + DEADLINE_S
    while not until():
        assert asyncio.get_running_loop().time() < ends, "the deadline has passed"
        for callback in page.document.session_callbacks:
            await callback.callback()
        await asyncio.sleep(0.005)


def facts(page) -> dict:
    return json.loads(exchange(page).facts or "{}")


def test_the_figures_below_the_first_picture_follow_when_it_is_drawn(page):
    async def open_page() -> tuple[list[str], list[str]]:
        begin(page)
        first = [root.name for root in page.document.roots]
        await run_callbacks(page, lambda: "tiles" in facts(page))
        exchange(page).drawn = True
        return first, [root.name for root in page.document.roots]

    first, all_roots = asyncio.run(open_page())
    assert first == ["timeline", "exchange"]
    assert all_roots == ["timeline", "exchange", "map", "district", "histogram"]
    for name in ("map", "district", "histogram"):
        [source] = {figure.data_source for figure in page.document.get_model_by_name(name).renderers[-1:]}
        assert len(next(iter(source.data.values()))) > 0, f"the {name} has its data when the browser gets it"


def test_a_newer_query_does_not_wait_for_the_answer_to_an_older_one(page):
    released, blocked = threading.Event(), threading.Barrier(THREADS + 1)

    def block(table, *, number):
        blocked.wait(DEADLINE_S)
        assert released.wait(DEADLINE_S)

    async def ask_twice() -> tuple[int, int]:
        shared, moment = page.state.answers, page.state.moment()
        await page.state.snapshot(moment)  # all queries need it
        blocking = [asyncio.ensure_future(shared.ask(moment, block, number=number)) for number in range(THREADS)]
        await asyncio.to_thread(blocked.wait, DEADLINE_S)
        begin(page)
        await run_callbacks(page, lambda: shared.running > THREADS + 1)
        waiting, of_first = shared.running, shared.computed
        exchange(page).asked = "isp=unheard"
        await run_callbacks(page, lambda: shared.computed > 1.5 * of_first)
        both = shared.running
        released.set()
        await run_callbacks(page, lambda: "state" in facts(page))
        await asyncio.gather(*blocking)
        return waiting, both

    waiting, both = asyncio.run(ask_twice())
    assert facts(page)["asked"] == "isp=unheard"
    assert both <= waiting + 1, "the queries of the older one were cancelled before their turn"
