"""The answer to the query of a page: what the page shows for it, or the reason why it shows nothing."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from feedback_wire.problem import Problem
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.comparison import shifted
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, PagePart, Show
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_data import PageData
from monitor_platform.dashboard.page_queries import PageQueries, RecordSource
from monitor_platform.dashboard.page_states import failed
from monitor_platform.dashboard.shared_answers import Moment
from monitor_platform.dashboard.snapshot import Snapshot, span_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """`final`: no later moment changes it. `failure`: the facts of a failed query, which has no other results.

    `snapshot`: None if there are no records yet. `data`: None for a page without filters. `show`: None for a page without a part.
    """

    query: AddressQuery
    final: bool = False
    failure: Mapping[str, Any] | None = None
    snapshot: Snapshot | None = None
    data: PageData | None = None
    show: Show | None = None


class PageAnswers:
    """Answers the queries of one open page. A task that awaits an answer may be cancelled."""

    def __init__(self, page: DashboardPage, state: DashboardState, older: OlderRecords, part: PagePart | None) -> None:
        self._page = page
        self._state = state
        self._older = older
        self._part = part

    async def answer(self, moment: Moment, query: AddressQuery, zone: str) -> PageAnswer:
        """The answer to `query` at `moment`. It has the reason if the query fails."""
        answer = PageAnswer(query=query)
        try:
            query.check_bounds()
            far = self._page.reads_back and not self._older.may_read(query.span)
            # Shielded: older logs are read for one page at a time, also if this page has a newer query in the meantime.
            state = await asyncio.shield(self._older.state_for(None if far else query.span))
            past = state is not self._state
            settled = query.span is not None and self._state.has_all(query.span, moment)
            answer = replace(answer, final=past or settled)
            snapshot = await state.snapshot(state.moment() if past else moment)
            there = await self._compared_with(query, state, snapshot)
            context = PageContext(state=self._state, answers=state.answers, snapshot=snapshot, query=query, zone=zone)
            return await self._found(answer, context, there)
        except Problem as refused:
            return replace(answer, failure=failed(query, refused.detail))
        except Exception:
            # Any error of a query goes to its page and to the log, and closes no page.
            log.exception("the page %s could not be made for ?%s", self._page.path, query.text())
            return replace(answer, failure=failed(query))

    async def _found(self, answer: PageAnswer, context: PageContext, there: RecordSource | None) -> PageAnswer:
        snapshot, query = context.snapshot, context.query
        if snapshot is None and not self._page.stands_alone:
            return answer
        show = await self._part.ask(context) if self._part is not None else None
        if snapshot is None or not self._page.filters:
            return replace(answer, snapshot=snapshot, show=show)
        queries = PageQueries(context.answers, snapshot, query, views=self._page.views, there=there)
        return replace(answer, snapshot=snapshot, show=show, data=await queries.page_data())

    async def _compared_with(self, query: AddressQuery, state: DashboardState, snapshot: Snapshot | None) -> RecordSource | None:
        """The records of the other side of a comparison; None if `state` has them, or if it cannot be had."""
        if snapshot is None or not query.compare or not self._page.filters:
            return None
        if not self._older.may_read(shifted(query.compare, span_of(query, snapshot))):
            return None
        return await asyncio.shield(self._older.compared_with(query, state, snapshot))
