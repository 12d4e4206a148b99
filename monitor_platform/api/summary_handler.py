"""/api/v1/summary: the measures of the pages as JSON, in the shape of `swarmscope analyze --json`.

Memory answers for the time that it holds. An older time range is read from the logs.
"""

import json
import time
from typing import Any

from tornado.web import RequestHandler

from feedback_analysis.measures.selection import Span, check_dimensions
from feedback_analysis.measures.summary import summarize
from feedback_wire import routes
from monitor_platform.api.responses import answer_with, decoded
from monitor_platform.api.script_request import ScriptRequest, bad_parameter
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.snapshot import Snapshot
from monitor_platform.recorded_logs import UNREAD_LOGS


class SummaryHandler(RequestHandler):
    """GET /api/v1/summary?from=&to=&by=&where.NAME="""

    def initialize(self, state: DashboardState, older: OlderRecords) -> None:
        self._state = state
        self._older = older

    async def get(self) -> None:
        await answer_with(self, routes.JSON, self._text())

    async def _text(self) -> str:
        return json.dumps(await self._summary(), ensure_ascii=False)

    async def _summary(self) -> dict[str, Any]:
        given = self.request.query_arguments
        # Tornado returns values as bytes, but decodes names as Latin-1.
        asked = ScriptRequest.parse({decoded(name.encode("latin-1")): [*map(decoded, values)] for name, values in given.items()})
        try:
            check_dimensions((*asked.by, *asked.where))
            return await self._numbers(asked)
        except ValueError as error:
            raise bad_parameter(str(error)) from error

    async def _numbers(self, asked: ScriptRequest) -> dict[str, Any]:
        snapshot = await self._state.snapshot(self._state.newest())
        memory_ms = self._older.begins_ms()  # it moves on with the clock
        span = asked.span(**self._open_ends(snapshot, memory_ms))
        proved_ms = snapshot.proved_ms if snapshot is not None else None
        if span.from_ms < memory_ms:
            return await self._older.summary(span, asked.where, asked.by, asked.top, proved_ms)
        chosen: dict[str, Any] = {"span": span, "where": asked.where, "by": asked.by, "top": asked.top, "proved_ms": proved_ms}
        summary = await self._state.answers.ask(self._state.newest(), summarize, **chosen)
        return summary | {UNREAD_LOGS: self._state.unread_logs}

    def _open_ends(self, snapshot: Snapshot | None, memory_ms: int) -> dict[str, int]:
        """The time range that is in memory, from `memory_ms` on. A script that gives no begin or end gets this range."""
        if not self._state.live:
            recorded = snapshot.extent if snapshot is not None else Span(memory_ms, memory_ms)
            return {"begin_ms": recorded.from_ms, "end_ms": recorded.to_ms}
        # The newest record may be a little later than this clock, because clocks of servers differ a little.
        now_ms = max(time.time_ns() // 1_000_000, snapshot.until_ms if snapshot is not None else 0)
        # If the messages of the current minute do not fit into memory, `memory_ms` is later than now. Then the logs answer for this
        # minute.
        return {"begin_ms": min(memory_ms, now_ms - 60_000), "end_ms": now_ms}
