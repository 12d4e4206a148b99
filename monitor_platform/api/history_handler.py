"""/api/v1/history/FIGURE: the history as JSON. Time range and filters are those of the summary.

Equal queries of the same state of the history share the answer.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tornado.web import RequestHandler

from feedback_analysis.history.daily import coverage, daily
from feedback_analysis.history.history_timeline import minutes, timeline
from feedback_analysis.history.periods import DAYS, UNITS, zone_of
from feedback_analysis.measures.histogram import histogram
from feedback_analysis.measures.regions import by_region
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.api.responses import answer_with, decoded
from monitor_platform.api.script_request import ScriptRequest, bad_parameter
from monitor_platform.dashboard.history_queries import HistoryQueries

HISTORY = r"/api/v1/history/([a-z]+)"
OWN = {"unit": "day", "timezone": "UTC", "measure": "mos", "region": "district"}
"""Parameters that the summary does not have, with their defaults. A timeline takes several measures."""

Arguments = dict[str, Any]


class HistoryHandler(RequestHandler):
    """GET /api/v1/history/FIGURE?from=&to=&by=&where.NAME=&unit=&timezone=&measure=&region="""

    def initialize(self, history: HistoryQueries) -> None:
        self._history = history

    async def get(self, figure: str) -> None:
        await answer_with(self, routes.JSON, self._text(figure))

    async def _text(self, figure: str) -> str:
        return json.dumps(await self._numbers(figure), ensure_ascii=False)

    async def _numbers(self, figure: str) -> Any:  # noqa: ANN401 - JSON of any shape
        if figure == "status":
            return self._history.status()
        if figure not in FIGURES:
            raise Problem(404, "unknown_figure", f"there is no figure {figure!r}; there are {', '.join((*FIGURES, 'status'))}")
        given = {decoded(name.encode("latin-1")): [*map(decoded, values)] for name, values in self.request.query_arguments.items()}
        own = {name: given.pop(name, [default])[-1] for name, default in OWN.items()}
        kept = await self._history.extent() or Span(0, 0)
        try:
            asked = ScriptRequest.parse(given, zone_of(own["timezone"]))
            return await FIGURES[figure](self._history, asked, asked.span(begin_ms=kept.from_ms, end_ms=kept.to_ms), own)
        except ValueError as error:
            raise bad_parameter(str(error)) from error


async def _summary(history: HistoryQueries, asked: ScriptRequest, span: Span, _own: Mapping[str, str]) -> Any:  # noqa: ANN401
    return await history.ask(summarize, span=span, where=asked.where, by=asked.by, top=asked.top)


async def _daily(history: HistoryQueries, asked: ScriptRequest, span: Span, own: Mapping[str, str]) -> Any:  # noqa: ANN401
    return await history.ask(daily, span=span, where=asked.where, unit=_unit(own, DAYS), zone=own["timezone"])


async def _isps(history: HistoryQueries, asked: ScriptRequest, span: Span, own: Mapping[str, str]) -> Any:  # noqa: ANN401
    found = await history.ask(coverage, span=span, where=asked.where, unit=_unit(own, DAYS), zone=own["timezone"], top=asked.top)
    return [{"period": each.period, "peers": each.peers, "shares": each.shares} for each in found]


async def _minutes(history: HistoryQueries, asked: ScriptRequest, span: Span, own: Mapping[str, str]) -> Any:  # noqa: ANN401
    return asdict(await history.ask(minutes, span=span, where=asked.where, measures=tuple(own["measure"].split(","))))


async def _timeline(history: HistoryQueries, asked: ScriptRequest, span: Span, own: Mapping[str, str]) -> Any:  # noqa: ANN401
    measures, zone = tuple(own["measure"].split(",")), own["timezone"]
    return asdict(await history.ask(timeline, span=span, where=asked.where, measures=measures, unit=_unit(own, UNITS), zone=zone))


async def _regions(history: HistoryQueries, asked: ScriptRequest, span: Span, own: Mapping[str, str]) -> Any:  # noqa: ANN401
    chosen = {"region": own["region"], "measure": own["measure"], "top": asked.top}
    found = await history.ask(by_region, span=span, where=asked.where, **chosen)
    return [asdict(each) for each in found]


async def _histogram(history: HistoryQueries, asked: ScriptRequest, span: Span, own: Mapping[str, str]) -> Any:  # noqa: ANN401
    return asdict(await history.ask(histogram, span=span, where=asked.where, measure=own["measure"]))


FIGURES: dict[str, Callable[..., Any]] = {
    "summary": _summary,
    "daily": _daily,
    "isps": _isps,
    "minutes": _minutes,
    "timeline": _timeline,
    "regions": _regions,
    "histogram": _histogram,
}


def _unit(own: Mapping[str, str], units: Sequence[str]) -> str:
    if own["unit"] not in units:
        raise ValueError(f"'unit' is {own['unit'][:40]!r}; this figure has the units {', '.join(units)}")
    return own["unit"]
