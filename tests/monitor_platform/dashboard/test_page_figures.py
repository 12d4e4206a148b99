"""Figures are made before a visitor arrives, and no two visitors share them."""

import asyncio

from feedback_analysis.geo.atlas import Atlas
from monitor_platform.dashboard import page_figures as figures
from monitor_platform.dashboard.page_figures import SpareFigures
from monitor_platform.dashboard.pages import PAGES

OVERVIEW = PAGES[0]


def test_two_pages_that_open_at_once_get_separate_figures():
    async def taken():
        spares = SpareFigures(Atlas(), PAGES[:2])
        return spares.take(OVERVIEW), spares.take(OVERVIEW)

    first, second = asyncio.run(taken())
    ours = {model.id for root in {**first.first, **first.later}.values() for model in root.references()}
    theirs = {model.id for root in {**second.first, **second.later}.values() for model in root.references()}
    assert len(ours) > 100
    assert ours.isdisjoint(theirs)


def test_figures_for_the_next_page_are_made_while_no_page_waits(monkeypatch):
    monkeypatch.setattr(figures, "RESTOCKED_AFTER_S", 0.0)

    async def taken():
        spares = SpareFigures(Atlas(), PAGES[:2])
        spares.begin()
        while not spares.ready:  # noqa: ASYNC110 - nothing signals that they are ready
            await asyncio.sleep(0)
        [ready] = spares.ready.values()
        return ready, spares.take(OVERVIEW), dict(spares.ready)

    ready, given, left = asyncio.run(taken())
    assert given is ready
    assert left == {}


def test_prepared_figures_may_be_taken_in_a_thread_without_an_event_loop(monkeypatch):
    """Bokeh 3.10 makes documents in worker threads."""
    monkeypatch.setattr(figures, "RESTOCKED_AFTER_S", 0.0)

    async def taken():
        spares = SpareFigures(Atlas(), [OVERVIEW])
        given = await asyncio.to_thread(spares.take, OVERVIEW)
        while not spares.ready:  # noqa: ASYNC110 - nothing signals that they are ready
            await asyncio.sleep(0)
        return given, spares.take(OVERVIEW)

    first, second = asyncio.run(taken())
    assert first is not second


def test_the_figures_of_the_other_pages_are_made_after_the_first_visit(monkeypatch):
    monkeypatch.setattr(figures, "RESTOCKED_AFTER_S", 0.0)
    monkeypatch.setattr(figures, "BETWEEN_S", 0.0)

    async def made():
        spares = SpareFigures(Atlas(), PAGES[:3])
        spares.begin()
        while not spares.ready:  # noqa: ASYNC110 - nothing signals that they are ready
            await asyncio.sleep(0)
        unvisited = set(spares.ready)
        spares.take(OVERVIEW)
        while len(spares.ready) < 3:  # noqa: ASYNC110 - nothing signals that they are ready
            await asyncio.sleep(0)
        return unvisited

    assert asyncio.run(made()) == {OVERVIEW.name}
