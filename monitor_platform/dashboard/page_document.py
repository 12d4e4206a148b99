"""The Bokeh document of one open page: its figures, and a `PageExchange` between the page's scripts and the platform.

The browser sends a query (the query part of its address). The answer goes into the figures' sources and, as JSON, into the
exchange. Documents change only under their lock, and all changes of a refresh are sent together. Queries run without the lock, so
a browser that connects or asks something else meanwhile does not wait for them.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from bokeh.core.properties import Bool, String
from bokeh.document import Document
from bokeh.events import ConnectionLost, DocumentReady
from bokeh.model import DataModel, Model
from bokeh.models import CustomJS
from bokeh.server.contexts import BokehSessionContext

from feedback_analysis.measures.selection import MEAN, Span
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.alerts_page import open_alerts
from monitor_platform.dashboard.controls import choices
from monitor_platform.dashboard.dashboard_page import DashboardPage
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.data_health import health
from monitor_platform.dashboard.facts import facts
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_answer import PageAnswer, PageAnswers
from monitor_platform.dashboard.page_data import distributed
from monitor_platform.dashboard.page_figures import PageFigures
from monitor_platform.dashboard.page_states import OK, failed, nothing_yet, standalone_facts
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.dashboard.shared_answers import Moment
from monitor_platform.dashboard.snapshot import lengths
from monitor_platform.views.region_view import RegionView

log = logging.getLogger(__name__)

TICK_MS = 100
EXCHANGE = "exchange"
NEEDED = frozenset(each.needs for each in PAGES if each.needs)


class PageExchange(DataModel):
    """`asked`: the query part of the browser's address. `zone`: the page's time zone. `drawn`: the first picture is drawn.

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
        self._answers = PageAnswers(page, state, older, figures.part)
        self._query = query_of(document)
        self._asked: tuple[Moment, AddressQuery, int] | None = None
        self._final = False
        self._refreshing: asyncio.Task[None] | None = None
        self._exchange = PageExchange(asked=self._query.text(), pill=json.dumps(state.pill()))
        # A selection that the platform makes on a map or histogram is not the user's choice.
        self._showing = False
        # Coroutines run on the event loop; Bokeh 3.10 runs other callbacks in threads. Its type stubs do not declare coroutines.
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
        """Ask for a new answer if anything is new."""
        pill = json.dumps(self._state.pill())
        if pill != self._exchange.pill:
            self._exchange.update(pill=pill)
        moment = self._state.moment()
        asked = (moment, self._query, self._state.changes)
        follows = self._asked is not None and self._asked[1:] == asked[1:]
        if self._waits(follows=follows) or asked == self._asked or (follows and self._final):
            return
        if self._refreshing is not None and not self._refreshing.done():
            if follows:
                return  # the answer to the former moment comes first
            self._refreshing.cancel()
        self._asked = asked
        self._refreshing = asyncio.create_task(self._refresh(moment, self._query, follows=follows))

    def _waits(self, *, follows: bool) -> bool:
        """Whether an answer has no use now; `follows`: it would follow one to the same query.

        The first answer is prepared before the browser connects, unless it needs the browser's time zone. Until the browser has
        drawn it, the next one would only delay the picture. After that, none is needed while no browser is connected.
        """
        context = self._document.session_context
        session = context.session if isinstance(context, BokehSessionContext) else None
        left = session is not None and session.connection_count == 0
        if self._asked is None:
            return self._page.zoned and not self._exchange.zone
        return left or (follows and not self._exchange.drawn)

    async def _refresh(self, moment: Moment, query: AddressQuery, *, follows: bool) -> None:
        answer = await self._answers.answer(moment, query, str(self._exchange.zone))
        show: Callable[[], Any] = partial(self._show_or_fail, answer, moment if follows else None)
        self._document.add_next_tick_callback(show)

    async def _show_or_fail(self, answer: PageAnswer, followed: Moment | None) -> None:
        """Show `answer`, unless there is a newer query. `followed`: its moment, if the page showed this query before."""
        if answer.query != self._query:
            return
        self._final = answer.final
        try:
            self._show(answer)
        except Exception:
            # An error of a view goes to its page and to the log, as that of a query does.
            log.exception("the page %s could not show ?%s", self._page.path, answer.query.text())
            self._exchange.update(facts=json.dumps(failed(answer.query) | {"asked": self._exchange.asked}))
        if followed is not None:
            self._state.shown(followed)

    def _show(self, answer: PageAnswer) -> None:
        self._document.hold("combine")
        self._showing = True
        try:
            content = self._content(answer)
            if answer.data is not None and answer.snapshot is not None:
                self._state.seen_extras |= NEEDED & {*answer.data.fields}
                content["offered"] = [each.path for each in PAGES if each.has_content(self._state)]
                self._figures.show(answer.data)
                lengths_here = lengths(answer.snapshot, self._older.minutes)
                self._exchange.update(choices=json.dumps(choices(answer.data, lengths_here)))
            self._exchange.update(facts=json.dumps(content))
        finally:
            self._showing = False
            self._document.unhold()

    def _content(self, answer: PageAnswer) -> dict[str, Any]:
        """The facts for the page's scripts. The page's own part shows its figures here."""
        query, data, asked = answer.query, answer.data, {"asked": self._exchange.asked}
        if answer.failure is not None:
            return {**answer.failure, **asked}
        around: dict[str, Any] = {
            "health": health(self._state, data),
            "lasting": open_alerts(self._state.alerts, query.clock_ms, self._state.silences),
        }
        if answer.snapshot is None and not self._page.stands_alone:
            return nothing_yet(query, live=self._state.live) | around
        around |= {"page": dict(answer.show()) if answer.show is not None else {}} | asked
        if data is None or answer.snapshot is None:
            return standalone_facts(query) | around
        # A page that stands alone does not depend on filters.
        return facts(data, answer.snapshot) | around | ({"state": OK} if self._page.stands_alone else {})

    def _listen(self) -> None:
        self._exchange.on_change("asked", self._on_asked)
        self._exchange.on_change("drawn", self._on_drawn)
        if self._figures.histogram is not None:
            self._figures.histogram.source.selected.on_change("indices", self._on_bar)
        if self._figures.timeline is not None:
            self._figures.timeline.on_brush = self._on_brush
        for dimension, view in self._figures.maps.items():
            view.source.selected.on_change("indices", partial(self._on_tap, dimension, view))
        self._document.add_next_tick_callback(self._tick)
        self._document.add_periodic_callback(self._tick, TICK_MS)
        self._document.on_session_destroyed(self._on_gone)
        self._document.js_on_event(DocumentReady, CustomJS(args={"exchange": self._exchange}, code="swarmscope.begin(exchange)"))
        self._document.js_on_event(ConnectionLost, CustomJS(code="swarmscope.lost()"))

    def _on_gone(self, _session: object) -> None:
        self._state.viewers.discard(self)
        if self._refreshing is not None:
            self._refreshing.cancel()

    def _on_asked(self, _attr: str, _old: str, asked: str) -> None:
        query = AddressQuery.parse(asked)
        if query == self._query:
            self._asked = None  # the browser waits for an answer to this address, too
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


def query_of(document: Document) -> AddressQuery:
    """The query of the address that was opened."""
    context = document.session_context
    if not isinstance(context, BokehSessionContext) or context.request is None:
        return AddressQuery.parse("")
    arguments: Mapping[str, list[bytes]] = context.request.arguments
    # Tornado returns values as bytes, but decodes names as Latin-1.
    return AddressQuery.parse(
        urlencode({_text(name.encode("latin-1")): _text(values[-1]) for name, values in arguments.items() if values})
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
