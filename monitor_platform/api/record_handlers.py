"""/api/v1/measurements and /api/v1/inferences: sums of groups of records of other kinds than feedback, as JSON or CSV."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tornado.web import RequestHandler

from feedback_analysis.inferences.inference_summary import inference_dimension, summarize_inferences
from feedback_analysis.measurements.measurement_summary import measurement_dimension, summarize_measurements
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_groups import RecordGroup, count_groups, table_of
from feedback_analysis.spreadsheet import write_csv
from feedback_wire import routes
from feedback_wire.kinds import RecordKind
from monitor_platform.api.responses import answer_with, decoded
from monitor_platform.api.script_request import ScriptRequest, bad_parameter
from monitor_platform.api.table_handler import CSV
from monitor_platform.dashboard.record_queries import RecordQueries

FORMATS = ("json", "csv")
DEFAULT_GROUPS = 100
MOST_GROUPS = 1_000
"""Each group takes some statements."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRoute:
    """The route of one kind, and how its records are summed."""

    path: str
    summarize: Callable[..., Sequence[RecordGroup]]
    dimension_sql: Callable[[str], str]


ROUTES = {
    RecordKind.MEASUREMENT: KindRoute(
        path="/api/v1/measurements", summarize=summarize_measurements, dimension_sql=measurement_dimension
    ),
    RecordKind.INFERENCE: KindRoute(path="/api/v1/inferences", summarize=summarize_inferences, dimension_sql=inference_dimension),
}


class RecordsHandler(RequestHandler):
    """GET /api/v1/measurements?from=&to=&by=&where.NAME=&top=&format="""

    def initialize(self, route: KindRoute, queries: RecordQueries) -> None:
        self._route = route
        self._queries = queries

    async def get(self) -> None:
        given = {decoded(name.encode("latin-1")): [*map(decoded, values)] for name, values in self.request.query_arguments.items()}
        wanted = given.pop("format", ["json"])
        await answer_with(self, CSV if wanted == ["csv"] else routes.JSON, self._text(given, wanted))

    async def _text(self, given: dict[str, list[str]], wanted: Sequence[str]) -> str:
        if len(wanted) != 1 or wanted[0] not in FORMATS:
            raise bad_parameter(f"'format' is {wanted[0][:40]!r}; it needs one of {', '.join(FORMATS)}, once")
        asked = ScriptRequest.parse({"top": [str(DEFAULT_GROUPS)]} | given)
        if asked.top > MOST_GROUPS:
            raise bad_parameter(f"'top' is {asked.top}; it needs a whole number of groups from 1 to {MOST_GROUPS:,}")
        try:
            for name in (*asked.by, *asked.where):
                self._route.dimension_sql(name)
        except ValueError as error:
            raise bad_parameter(str(error)) from error
        span = self._queries.span(asked.from_ms, asked.to_ms)
        if wanted[0] == "csv":
            groups = await self._ask(self._route.summarize, span, asked, top=asked.top)
            return _csv(groups, asked.by)
        return json.dumps(await self._numbers(span, asked), ensure_ascii=False)

    async def _numbers(self, span: Span, asked: ScriptRequest) -> dict[str, Any]:
        groups = await self._ask(self._route.summarize, span, asked, top=asked.top)
        number = len(groups)
        if number == asked.top:
            number = await self._ask(count_groups, span, asked, dimension_sql=self._route.dimension_sql)
        return {
            "from": span.from_ms,
            "to": span.to_ms,
            "groups": [asdict(group) for group in groups],
            "groups_left_out": max(0, number - len(groups)),
        }

    async def _ask(self, query: Callable[..., Any], span: Span, asked: ScriptRequest, **more: object) -> Any:  # noqa: ANN401
        return await self._queries.ask(query, span=span, by=asked.by, where=asked.where, **more)


def _csv(groups: Sequence[RecordGroup], by: Sequence[str]) -> str:
    out = io.StringIO()
    write_csv(out, *table_of(groups, by))
    return out.getvalue()
