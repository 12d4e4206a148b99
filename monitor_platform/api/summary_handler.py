"""The JSON interface for scripts: the numbers of the pages, in the one shape that `swarmscope analyze --json` has as well.

What lies in memory is answered from there; a range that begins earlier is read from the mirror's files, one at a time.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span, check_columns
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.column_table import columns_for
from feedback_analysis.messages.load import DAY_MS, TooManyMessages, open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.api.responses import answer, refuse
from monitor_platform.api.script_request import ScriptRequest, bad_parameter
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.past import too_many
from monitor_platform.dashboard.turns import Turns

UNREAD_LOGS = "unread_logs"
"""Beside the measures: how many of the log files that the answer comes from could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The logs on disk behind the table: everything before `since_ms()` is only there."""

    paths: Sequence[Path]
    locator: Locator
    mos: MosModel
    since_ms: Callable[[], int]
    most: int
    """Messages that one question may load."""
    turns: Turns = field(default_factory=Turns)

    async def summary(self, span: Span, where: Mapping[str, str], by: Sequence[str], top: int) -> dict[str, Any]:
        """The summary of files; one at a time, for each may take much memory."""
        async with self.turns.turn():
            return await asyncio.to_thread(self._read, span, where, by, top)

    def _read(self, span: Span, where: Mapping[str, str], by: Sequence[str], top: int) -> dict[str, Any]:
        columns = columns_for((*by, *where))
        try:
            table = open_logs(
                self.paths,
                locator=self.locator,
                mos=self.mos,
                span=span,
                columns=columns,
                look_around_ms=DAY_MS,
                most=self.most,
            )
        except TooManyMessages as error:
            raise too_many(error) from None
        try:
            return summarize(table, span=span, where=where, by=by, top=top) | {UNREAD_LOGS: len(table.unread)}
        finally:
            table.close()


class SummaryHandler(RequestHandler):
    """GET /api/v1/summary?from=&to=&by=&where.NAME="""

    def initialize(self, state: DashboardState, archive: Archive | None) -> None:
        self._state = state
        self._archive = archive

    async def get(self) -> None:
        try:
            answer(self, 200, routes.JSON, json.dumps(await self._summary(), ensure_ascii=False))
        except Problem as problem:
            refuse(self, problem)

    async def _summary(self) -> dict[str, Any]:
        given = self.request.query_arguments
        # Tornado gives the bytes of values, but names as if those bytes were Latin-1.
        asked = ScriptRequest.parse({_text(name.encode("latin-1")): [*map(_text, values)] for name, values in given.items()})
        try:
            check_columns((*asked.by, *asked.where))
            return await self._numbers(asked)
        except ValueError as error:
            raise bad_parameter(str(error)) from error

    async def _numbers(self, asked: ScriptRequest) -> dict[str, Any]:
        snapshot = await self._state.snapshot(self._state.newest())
        if self._archive is not None:
            kept_ms = self._archive.since_ms()
            # The newest record may be a little later than the clock, for a server's clock is never quite ours.
            now_ms = max(time.time_ns() // 1_000_000, snapshot.until_ms if snapshot is not None else 0)
            # A minute that is too much by itself is not in memory, up to its end: then the logs answer for it.
            span = asked.span(begin_ms=min(kept_ms, now_ms - 60_000), end_ms=now_ms)
            if span.from_ms < kept_ms:
                return await self._archive.summary(span, asked.where, asked.by, asked.top)
        else:
            recorded = snapshot.extent if snapshot is not None else Span(0, 0)
            span = asked.span(begin_ms=recorded.from_ms, end_ms=recorded.to_ms)
        chosen: dict[str, Any] = {"span": span, "where": asked.where, "by": asked.by, "top": asked.top}
        summary = await self._state.answers.ask(self._state.newest(), summarize, **chosen)
        return summary | {UNREAD_LOGS: self._state.unread_logs}


def _text(said: bytes) -> str:
    return said.decode(errors="replace")
