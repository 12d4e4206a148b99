"""/api/v1/table: any view as CSV. The parameters are those of the page's address.

A page ignores parameters that make no sense. A script would not notice that, so they are refused here.
"""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

from tornado.web import RequestHandler

from feedback_wire.kinds import RecordKind
from feedback_wire.problem import Problem
from monitor_platform.api.responses import answer_with
from monitor_platform.api.script_request import bad_parameter, time_ms
from monitor_platform.dashboard import disagreements_page, ranking_page, swarm_page
from monitor_platform.dashboard.address_query import FILTERS, VERSUS, AddressQuery
from monitor_platform.dashboard.inferred_beside_reported import disagreements_in
from monitor_platform.dashboard.network_queries import extent_of, is_live, paths_of, span_of_network
from monitor_platform.dashboard.network_words import as_network_table
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.page_queries import PageQueries
from monitor_platform.dashboard.record_queries import RecordQueries
from monitor_platform.dashboard.snapshot import span_of
from monitor_platform.dashboard.tables import BY_VIEW, Table

TABLE = "/api/v1/table"
CSV = "text/csv; charset=utf-8"
RANKING, SWARM, NETWORK, DISAGREEMENTS = "ranking", "swarm", "network", "disagreements"
"""The views of the pages with these names, whose own parameters (`p.by`, `p.sort`, …) apply."""

VIEWS = (*BY_VIEW, RANKING, SWARM, NETWORK, DISAGREEMENTS)

_CHOICES = ("measure", "by", "compare", "minutes", "series", *FILTERS)
_OTHERS = ("view", "from", "to", "table", "zone")


class TableHandler(RequestHandler):
    """GET /api/v1/table?view=timeline&…: `view` and the query part of a page's address."""

    def initialize(self, older: OlderRecords, records_of: Callable[[RecordKind], RecordQueries | None]) -> None:
        """`records_of`: the records of a kind other than feedback."""
        self._older = older
        self._measurements = records_of(RecordKind.MEASUREMENT)
        self._inferences = records_of(RecordKind.INFERENCE)

    async def get(self) -> None:
        await answer_with(self, CSV, self._table())

    async def _table(self) -> str:
        view = self.get_query_argument("view", "")
        if view not in VIEWS:
            raise bad_parameter(f"'view' is {view[:40]!r}; it needs one of {', '.join(VIEWS)}")
        query = query_of(self.request.query)
        query.check_bounds()
        if view == NETWORK:
            return await self._network(query)
        state = await self._older.state_for(query.span)
        snapshot = await state.snapshot(state.newest())
        if snapshot is None:
            raise Problem(404, "nothing_yet", "no record has arrived yet; try again later")
        if view == RANKING:
            _, groups = await ranking_page.ranked_groups(state.answers, snapshot, query)
            table = ranking_page.as_table(query, groups)
        elif view == DISAGREEMENTS:
            span = span_of(query, snapshot)
            found = await disagreements_in(self._inferences, state.answers, snapshot, span, query.where(span), from_logs=True)
            table = disagreements_page.as_table(query, found)
        elif view == SWARM:
            table = swarm_page.as_table(query, await swarm_page.swarm_of(state.answers, snapshot, query))
        else:
            there = await self._older.compared_with(query, state, snapshot)
            queries = PageQueries(state.answers, snapshot, query, views=frozenset({view}), there=there)
            table = BY_VIEW[view](await queries.page_data())
        return self._download(view, table)

    async def _network(self, query: AddressQuery) -> str:
        """All paths; this needs no feedback."""
        known = None if self._measurements is None else await extent_of(self._measurements, query)
        if self._measurements is None or known is None:
            raise Problem(404, "nothing_yet", "no measurement has arrived yet; try again later")
        span = span_of_network(query, known, live=is_live(self._measurements))
        return self._download(NETWORK, as_network_table(await paths_of(self._measurements, query, span)))

    def _download(self, view: str, table: Table) -> str:
        self.set_header("Content-Disposition", f'attachment; filename="swarmscope-{view}.csv"')
        return table.csv()


def query_of(text: str) -> AddressQuery:
    """The query of a script; Problem (400) for anything in `text` that a page would ignore.

    `from` and `to` are Unix milliseconds or ISO 8601 (UTC unless it names a zone). Give both or none.
    """
    given = dict(parse_qsl(text))
    times = {name: time_ms(given, name) for name in ("from", "to")}
    query = AddressQuery.parse(urlencode(given | {name: at for name, at in times.items() if at is not None}))
    if query.span is None and ("from" in given or "to" in given):
        raise bad_parameter("give 'from' and 'to' together, and 'from' before 'to'")
    for name in _CHOICES:
        if name in given and given[name] != _text(getattr(query, name)):
            raise bad_parameter(f"{name!r} is {given[name][:40]!r}, which this view cannot show; /measures lists the measures")
    known = {*_CHOICES, *_OTHERS, *dict(query.others), *dict(query.page_own), *(VERSUS + name for name, _ in query.versus)}
    if unknown := sorted(given.keys() - known):
        raise bad_parameter(f"{unknown[0][:40]!r} is not a parameter, or its value is not valid; see docs/monitor-api.md")
    return query


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)
