"""The Bokeh document of one open page: its figures, and a `PageExchange` between the page's scripts and the platform.

The browser sends a query (the query part of its address). The answer goes into the figures' sources and, as JSON, into the
exchange. Documents change only under their lock, and all changes of a refresh are sent together.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bokeh.core.properties import Bool, String
from bokeh.document import Document
from bokeh.events import ConnectionLost, DocumentReady
from bokeh.model import DataModel, Model
from bokeh.models import CustomJS
from bokeh.server.contexts import BokehSessionContext
from bokeh.settings import settings
from jinja2 import Environment, FileSystemLoader

from feedback_analysis.geo.maps import CREDIT_HTML
from feedback_analysis.measures.selection import MEAN, Span
from feedback_wire.problem import Problem
from monitor_platform.access import plain_page
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.alerts_page import RULE_DIMENSIONS, RULE_MEASURES, open_alerts
from monitor_platform.dashboard.comparison import shifted
from monitor_platform.dashboard.controls import choices, first_texts
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.data_health import health
from monitor_platform.dashboard.facts import facts
from monitor_platform.dashboard.joined_files import joined
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_data import distributed, series_of
from monitor_platform.dashboard.page_figures import PageFigures, SpareFigures
from monitor_platform.dashboard.page_queries import PageQueries, RecordSource
from monitor_platform.dashboard.page_states import OK, failed, nothing_yet, standalone_facts
from monitor_platform.dashboard.pages import NAVIGATION, PAGES
from monitor_platform.dashboard.shared_answers import Moment
from monitor_platform.dashboard.snapshot import Snapshot, lengths, span_of
from monitor_platform.dashboard.tiles import TILE_COUNT
from monitor_platform.dashboard.trainings_page import TRAINING_CHOICES
from monitor_platform.views.region_view import RegionView

log = logging.getLogger(__name__)

TICK_MS = 100
EXCHANGE = "exchange"
NEEDED = frozenset(each.needs for each in PAGES if each.needs)
TEMPLATES_FOLDER = Path(__file__).with_name("templates")
ASSETS_FOLDER = Path(__file__).with_name("assets")
TEMPLATES = Environment(
    loader=FileSystemLoader([TEMPLATES_FOLDER, plain_page.TEMPLATES_FOLDER]),
    autoescape=False,  # noqa: S701 - see page.html
)


_BASE_SCRIPTS = ("times", "dashboard", "controls", "time_range", "tiles", "lists", "tables", "pictures", "plots", "maps", "keys")


def scripts(*names: str) -> str:
    """The address of the scripts of these names, joined in this order."""
    return joined(tuple(ASSETS_FOLDER / f"{name}.js" for name in names))


class PageExchange(DataModel):
    """`asked`: the query part of the browser's address. `zone`: the page's time zone. `drawn`: the browser has drawn the first picture.
    The others are JSON for its scripts.
    """

    asked = String("")
    zone = String("")
    drawn = Bool(False)
    facts = String("")
    choices = String("")
    pill = String("")


class PageDocument:
    """A document and the query of its page."""

    def __init__(
        self, document: Document, page: DashboardPage, state: DashboardState, older: OlderRecords, figures: PageFigures
    ) -> None:
        self._document = document
        self._page = page
        self._state = state
        self._older = older
        self._figures = figures
        self._query = AddressQuery.parse(_query_of(document))
        self._shown: tuple[Moment, AddressQuery, int] | None = None
        self._past = False  # an older time range never changes
        self._settled = False  # nor does a fixed one whose last records have arrived
        self._exchange = PageExchange(asked=self._query.text(), pill=json.dumps(state.pill()))
        # A selection that the platform makes on a map or histogram is not the user's choice.
        self._showing = False
        # Bokeh awaits coroutines, but its type stubs do not declare it.
        self._tick: Callable[[], Any] = self.tick
        self._add(figures.first | {EXCHANGE: self._exchange})
        self._listen()
        state.viewers.add(self)

    def _add(self, roots: Mapping[str, Model]) -> None:
        with self._document.models.freeze():  # or each added figure counts all others again
            for name, root in roots.items():
                root.name = name
                self._document.add_root(root)

    async def tick(self) -> None:
        """Refresh the page if anything is new."""
        pill = json.dumps(self._state.pill())
        if pill != self._exchange.pill:
            self._exchange.update(pill=pill)
        if self._waits():
            return
        moment = self._state.moment()
        follows = self._shown is not None and self._shown[1:] == (self._query, self._state.changes)
        if self._shown != (moment, self._query, self._state.changes) and not (follows and (self._past or self._settled)):
            self._shown = (moment, self._query, self._state.changes)
            await self._refresh_or_show_error(moment, self._query)
            if follows:
                self._state.shown(moment)

    def _waits(self) -> bool:
        """Whether no browser is connected. The first answer is prepared before that, unless it needs the browser's time zone."""
        context = self._document.session_context
        session = context.session if isinstance(context, BokehSessionContext) else None
        left = session is not None and session.connection_count == 0
        return (left and self._shown is not None) or (self._page.zoned and not self._exchange.zone)

    async def _refresh_or_show_error(self, moment: Moment, query: AddressQuery) -> None:
        """Refresh, or show the error. A failed query is not repeated before the next moment."""
        try:
            query.check_bounds()
            far = self._page.reads_back and not self._older.may_read(query.span)
            state = await self._older.state_for(None if far else query.span)
            self._past = state is not self._state
            snapshot = await state.snapshot(state.moment() if self._past else moment)
            self._settled = query.span is not None and self._state.has_all(query.span, moment)
            context = PageContext(
                state=self._state, answers=state.answers, snapshot=snapshot, query=query, zone=str(self._exchange.zone)
            )
            await self._refresh(context, await self._compared_with(query, state, snapshot))
        except Problem as refused:
            self._exchange.update(facts=json.dumps(failed(query, refused.detail) | {"asked": self._exchange.asked}))
        except Exception:
            # Any error of a query goes to its page and to the log, and closes no page.
            log.exception("the page %s could not be made for ?%s", self._page.path, query.text())
            self._exchange.update(facts=json.dumps(failed(query) | {"asked": self._exchange.asked}))

    async def _compared_with(self, query: AddressQuery, state: DashboardState, snapshot: Snapshot | None) -> RecordSource | None:
        """The records of the other side of a comparison; None if `state` has them, or if it cannot be had."""
        if snapshot is None or not query.compare or not self._page.filters:
            return None
        if not self._older.may_read(shifted(query.compare, span_of(query, snapshot))):
            return None
        return await self._older.compared_with(query, state, snapshot)

    async def _refresh(self, context: PageContext, there: RecordSource | None) -> None:
        snapshot, query = context.snapshot, context.query
        if snapshot is None and not self._page.stands_alone:
            self._exchange.update(
                facts=json.dumps(
                    nothing_yet(query, live=self._state.live)
                    | {"health": health(self._state, None), "lasting": self._open_alerts(query)}
                )
            )
            return
        part = self._figures.part
        show = await part.ask(context) if part is not None else None
        filtered = snapshot is not None and self._page.filters
        shown = (
            await PageQueries(context.answers, snapshot, query, views=self._page.views, there=there).page_data()
            if snapshot is not None and filtered
            else None
        )
        if query != self._query:
            return  # there is a newer query, which another refresh answers
        self._document.hold("combine")
        self._showing = True
        try:
            content = {"page": dict(show()) if show is not None else {}, "asked": self._exchange.asked}
            content |= {"health": health(self._state, shown), "lasting": self._open_alerts(query)}
            if shown is not None and snapshot is not None:
                self._state.seen_extras |= NEEDED & {*shown.fields}
                content["offered"] = [each.path for each in PAGES if each.has_content(self._state)]
                self._figures.show(shown)
                self._exchange.update(choices=json.dumps(choices(shown, lengths(snapshot, self._older.minutes))))
                # A page that stands alone does not depend on filters.
                content = facts(shown, snapshot) | content | ({"state": OK} if self._page.stands_alone else {})
            else:
                content = standalone_facts(query) | content
            self._exchange.update(facts=json.dumps(content))
        finally:
            self._showing = False
            self._document.unhold()

    def _open_alerts(self, query: AddressQuery) -> dict[str, Any]:
        return open_alerts(self._state.alerts, query.clock_ms, self._state.silences)

    def _listen(self) -> None:
        self._exchange.on_change("asked", self._on_asked)
        self._exchange.on_change("drawn", self._on_drawn)
        if self._figures.histogram is not None:
            self._figures.histogram.source.selected.on_change("indices", self._on_bar)
        if self._figures.timeline is not None:
            self._figures.timeline.on_brush = self._on_brush
        for dimension, view in self._figures.maps.items():
            view.source.selected.on_change("indices", partial(self._on_tap, dimension, view))
        self._document.add_periodic_callback(self._tick, TICK_MS)
        self._document.on_session_destroyed(self._on_gone)
        self._document.js_on_event(DocumentReady, CustomJS(args={"exchange": self._exchange}, code="swarmscope.begin(exchange)"))
        self._document.js_on_event(ConnectionLost, CustomJS(code="swarmscope.lost()"))

    def _on_gone(self, _session: object) -> None:
        self._state.viewers.discard(self)

    def _on_asked(self, _attr: str, _old: str, asked: str) -> None:
        query = AddressQuery.parse(asked)
        if query == self._query:
            self._shown = None  # the browser waits for an answer to this address, too
        self._query = query
        self._document.add_next_tick_callback(self._tick)

    def _on_drawn(self, _attr: str, _old: bool, _drawn: bool) -> None:
        later, self._figures.later = self._figures.later, {}
        self._add(later)

    def _choose(self, query: AddressQuery) -> None:
        if query != self._query:
            self._query = query
            # The browser needs the new query, too. Otherwise a user who removes the choice would send the old query, which is
            # no change.
            self._exchange.update(asked=query.text())
            self._document.add_next_tick_callback(self._tick)

    def _on_bar(self, _attr: str, _old: list[int], indices: list[int]) -> None:
        histogram = self._figures.histogram
        if histogram is None or self._showing:
            return
        name = MEAN + distributed(self._query.measure).name
        self._choose(self._query.with_filter(name, histogram.range_at(indices[0]) if indices else ""))

    def _on_brush(self, span: Span) -> None:
        self._choose(replace(self._query, span=span))

    def _on_tap(self, dimension: str, view: RegionView, _attr: str, _old: list[int], indices: list[int]) -> None:
        tapped = view.region_at(indices[0]) if indices else ""
        if not self._showing and tapped != getattr(self._query, dimension):
            self._choose(self._query.placed(dimension, tapped))


def build(document: Document, *, page: DashboardPage, state: DashboardState, older: OlderRecords, spares: SpareFigures) -> None:
    """Fill the document of a newly opened `page`."""
    query, figures = AddressQuery.parse(_query_of(document)), spares.take(page)
    document.title = f"{page.title} · Swarmscope"
    document.template = TEMPLATES.get_template("page.html")
    document.template_variables.update(
        page=page.name,
        heading=page.title,
        first=first_texts(query, live=state.live),
        panels=len(series_of(query)),
        here=page.path,
        pages=[(each.path, each.title, each is not page and not each.has_content(state)) for each in NAVIGATION],
        cards=page.cards,
        content=page.template,
        styles=_styles(page, live=state.live),
        base_scripts=scripts(*_BASE_SCRIPTS, *_optional_scripts(state)),
        own_scripts=_own_scripts(page, state),
        filters=page.filters,
        ranged=page.ranged,
        timed=page.timed,
        tiles=TILE_COUNT if page.tiles else 0,
        live=state.live,
        annotating=state.annotations is not None and any(name == "timeline" for name, _, _ in page.cards),
        saving=state.views is not None and page.timed,
        silencing=state.silences is not None,
        lab=state.has_lab,
        **TRAINING_CHOICES,
        rule_measures=RULE_MEASURES,
        rule_dimensions=RULE_DIMENSIONS,
        credit=CREDIT_HTML,
        scripts=scripts,
        # Without Bokeh's widgets, tables and MathJax: three megabytes that no page uses.
        bokehjs=joined((settings.bokehjs_path() / "js/bokeh.min.js",)),
    )
    PageDocument(document, page, state, older, figures)
    document.template_variables["places"] = _places(document, figures)


def _places(document: Document, figures: PageFigures) -> dict[str, str]:
    """The ids of the models with a place on the page, by name, in the order in which the document gets them as roots.

    Bokeh's own list has the roots that the document has now, so without the later figures.
    """
    return {str(root.name): root.id for root in document.roots} | {name: figure.id for name, figure in figures.later.items()}


def _styles(page: DashboardPage, *, live: bool) -> str:
    """The address of the styles of `page`; those of narrow windows override all others."""
    own = [page.name] if (ASSETS_FOLDER / f"{page.name}.css").exists() else []
    names = ("dashboard", *own, *(() if live else ("replay",)), "narrow")
    return joined(tuple(ASSETS_FOLDER / f"{name}.css" for name in names))


def _optional_scripts(state: DashboardState) -> list[str]:
    """The scripts of what this platform lets users change."""
    changes = {"views": state.views, "annotations": state.annotations, "silence": state.silences}
    names = [name for name, changed in changes.items() if changed is not None]
    return ["changes", *names] if names or state.has_lab else []


def _own_scripts(page: DashboardPage, state: DashboardState) -> str:
    """The address of the scripts of `page` alone; empty if there are none."""
    names = ["rules"] if page.name == "alerts" and state.silences is not None else []
    names += [page.name] if page.script else []
    return scripts(*names) if names else ""


def _query_of(document: Document) -> str:
    """The query part of the address that was opened."""
    context = document.session_context
    if not isinstance(context, BokehSessionContext) or context.request is None:
        return ""
    arguments: Mapping[str, list[bytes]] = context.request.arguments
    # Tornado returns values as bytes, but decodes names as Latin-1.
    return urlencode({_text(name.encode("latin-1")): _text(values[-1]) for name, values in arguments.items() if values})


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
