"""The Bokeh figures of a page. Each open page has its own, and one spare set of each page is ready for the next visitor.

Making figures is the slowest part of opening a page, so it is done in advance.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from bokeh.models import LayoutDOM

from feedback_analysis.geo.atlas import Atlas
from feedback_analysis.measures.registry import MEASURES, measure_of
from feedback_analysis.measures.selection import MEAN
from monitor_platform.dashboard.alert_marks import marks
from monitor_platform.dashboard.annotations import marks_of
from monitor_platform.dashboard.dashboard_page import DashboardPage
from monitor_platform.dashboard.map_legends import shadings
from monitor_platform.dashboard.page_data import AUDIENCE, PageData, distributed, series_of
from monitor_platform.dashboard.timeline_curves import curves_of, parts_of
from monitor_platform.views.histogram_view import HistogramView
from monitor_platform.views.region_view import RegionView, district_view, map_view
from monitor_platform.views.timeline_view import TimelineView

# After this time the browser has loaded the page.
RESTOCKED_AFTER_S = 2.0
BETWEEN_S = 0.1

REGIONS = {"area": "map", "district": "district"}
"""The view of each kind of region."""


class PageFigures:
    """The figures of `page`: its views and its own part."""

    def __init__(self, page: DashboardPage, atlas: Atlas) -> None:
        views = page.views
        self.maps: dict[str, RegionView] = {}
        if "map" in views:
            self.maps["area"] = map_view(atlas)
        if "district" in views:
            self.maps["district"] = district_view(atlas)
        self.histogram = HistogramView() if "histogram" in views else None
        self.timeline = TimelineView(page.panels, brush=True) if "timeline" in views else None
        self.part = page.part() if page.part is not None else None

        own: Mapping[str, LayoutDOM] = self.part.figures if self.part is not None else {}
        in_cards = self._in_cards(page)
        first = page.cards[0][0] if page.cards else ""
        self.first = {name: figure for name, figure in in_cards.items() if name == first} | dict(own)
        """The figures of the page's first picture, by the name of their place on the page."""
        self.later = {name: figure for name, figure in in_cards.items() if name != first}
        """The figures that the browser gets after it has drawn the first picture. Most windows show them only after a scroll."""

    def _in_cards(self, page: DashboardPage) -> dict[str, LayoutDOM]:
        """The figures of the cards, in the order of the cards."""
        figures: dict[str, LayoutDOM] = {REGIONS[region]: view.figure for region, view in self.maps.items()}
        if self.histogram is not None:
            figures["histogram"] = self.histogram.figure
        if self.timeline is not None:
            figures["timeline"] = self.timeline.figure
        return {name: figures[name] for name, _, _ in page.cards if name in figures}

    def show(self, shown: PageData) -> None:
        """Put the data of `shown` into the figures."""
        query, comparison = shown.query, shown.comparison
        regions, shaded = {"area": query.area, "district": query.district}, shadings(shown)
        for dimension, view in REGIONS.items():
            if view in shaded:
                self.maps[dimension].show(shaded[view][0], regions[dimension])
        if self.histogram is not None and shown.histogram is not None:
            drawn = distributed(query.measure)
            chosen = dict(query.others).get(MEAN + drawn.name, "")
            there = None if comparison is None else comparison.histogram
            self.histogram.show(drawn, shown.histogram, against=there, parts=parts_of(shown), chosen=chosen)
        if self.timeline is not None and shown.audience is not None and shown.timeline is not None:
            series = [measure_of(name, "timeline") for name in series_of(query)]
            self.timeline.show(
                *(MEASURES[AUDIENCE], shown.audience, series, shown.timeline, shown.span, curves_of(shown)),
                band=shown.band,
                marks=[*marks_of(shown.annotations, shown.span), *marks(shown.alerts)],
            )


class SpareFigures:
    """Spare figures of each of `pages`. Bokeh 3.10 takes them in a worker thread; they are made on the event loop.

    A platform without visitors has spares of the first page only. The first visitor makes it stock all others.
    """

    def __init__(self, atlas: Atlas, pages: Sequence[DashboardPage]) -> None:
        self._atlas = atlas
        self._pages = pages
        self._planned: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self.ready: dict[str, PageFigures] = {}

    def take(self, page: DashboardPage) -> PageFigures:
        """The spare figures of `page`, or new ones. The missing spares of all pages are made later."""
        taken = self.ready.pop(page.name, None) or PageFigures(page, self._atlas)
        self._loop.call_soon_threadsafe(self._restock, self._pages)
        return taken

    def begin(self) -> None:
        """Make spares of the first page soon."""
        self._restock(self._pages[:1])

    def _restock(self, pages: Iterable[DashboardPage]) -> None:
        """Make the missing spares of `pages` later, with pauses for other work between them."""
        missing = [page for page in pages if page.name not in self._planned and page.name not in self.ready]
        for at, page in enumerate(missing):
            self._planned.add(page.name)
            self._loop.call_later(RESTOCKED_AFTER_S + at * BETWEEN_S, self._make, page)

    def _make(self, page: DashboardPage) -> None:
        self._planned.remove(page.name)
        self.ready[page.name] = PageFigures(page, self._atlas)
