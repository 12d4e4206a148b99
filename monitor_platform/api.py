"""The JSON interface for scripts: the numbers of the pages, in the one shape that `swarmscope analyze --json` has as well.

What lies in memory is answered from there; a range that begins earlier is read from the mirror's files, one at a time.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from tornado.web import RequestHandler

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.gathering import columns_for
from feedback_analysis.measures.largest import DEFAULT, MOST
from feedback_analysis.measures.open import DAY_MS, TooManyMessages, open_logs
from feedback_analysis.measures.selection import Span, check_columns
from feedback_analysis.measures.summary import summarize
from feedback_analysis.moments import unix_ms
from feedback_analysis.quality.mos import MosModel
from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.bounds import check_bounds
from monitor_platform.dashboard.past import too_many
from monitor_platform.dashboard.turns import Turns
from monitor_platform.dashboard.watch import Watch

PARAMETERS = ("from", "to", "by", "top")
WHERE = "where."
"""Begins the name of each filter: `where.channel=…`, `where.extra.codec=…`."""

RETRY_AFTER_S = "5"
"""With 503: about as long as the queries take that wait before one more."""

UNREAD_LOGS = "unread_logs"
"""Beside the measures: how many of the log files that the answer comes from could not be read."""

MOST_NAMES = 16
"""A query with hundreds of them takes one of two threads for seconds, and nobody can read its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a script asks for; an end that it leaves open is None."""

    from_ms: int | None
    to_ms: int | None
    by: tuple[str, ...]
    where: Mapping[str, str]
    top: int = DEFAULT

    @classmethod
    def parse(cls, given: Mapping[str, Sequence[str]], zone: tzinfo = UTC) -> "Request":
        """The request in query parameters, each with all its values; Problem (400) says what is wrong with them.

        `zone`: of times that name none.
        """
        unknown = sorted(name for name in given if name not in PARAMETERS and not name.startswith(WHERE))
        if unknown:
            raise bad_parameter(f"{unknown[0]!r} is no parameter; there are {', '.join(PARAMETERS)} and {WHERE}NAME")
        twice = sorted(name for name, values in given.items() if len(values) > 1)
        if twice:
            raise bad_parameter(f"{twice[0]!r} is given twice; give each parameter once")
        said = {name: values[0] for name, values in given.items()}
        by = tuple(dict.fromkeys(name.strip() for name in said.get("by", "").split(",") if name.strip()))
        where = {name.removeprefix(WHERE): value for name, value in said.items() if name.startswith(WHERE)}
        if len(by) > MOST_NAMES:
            raise bad_parameter(f"{len(by)} names to group by are too many; at most {MOST_NAMES} can be asked for at once")
        check_bounds(where)
        from_ms, to_ms = time_ms(said, "from", zone), time_ms(said, "to", zone)
        return cls(from_ms=from_ms, to_ms=to_ms, by=by, where=where, top=_top(said.get("top", "")))

    def span(self, *, begin_ms: int, end_ms: int) -> Span:
        """The span, with open ends at `begin_ms` and `end_ms`."""
        from_ms = begin_ms if self.from_ms is None else self.from_ms
        to_ms = end_ms if self.to_ms is None else self.to_ms
        if from_ms > to_ms:
            raise bad_parameter("'from' lies behind 'to'")
        return Span(from_ms, to_ms)


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

    def initialize(self, watch: Watch, archive: Archive | None) -> None:
        self._watch = watch
        self._archive = archive

    async def get(self) -> None:
        try:
            answer(self, 200, routes.JSON, json.dumps(await self._summary(), ensure_ascii=False))
        except Problem as problem:
            refuse(self, problem)

    async def _summary(self) -> dict[str, Any]:
        given = self.request.query_arguments
        # Tornado gives the bytes of values, but names as if those bytes were Latin-1.
        asked = Request.parse({_text(name.encode("latin-1")): [*map(_text, values)] for name, values in given.items()})
        try:
            check_columns((*asked.by, *asked.where))
            return await self._numbers(asked)
        except ValueError as error:
            raise bad_parameter(str(error)) from error

    async def _numbers(self, asked: Request) -> dict[str, Any]:
        scene = await self._watch.scene(self._watch.newest())
        if self._archive is not None:
            kept_ms = self._archive.since_ms()
            # The newest record may be a little later than the clock, for a server's clock is never quite ours.
            now_ms = max(time.time_ns() // 1_000_000, scene.until_ms if scene is not None else 0)
            # A minute that is too much by itself is not in memory, up to its end: then the logs answer for it.
            span = asked.span(begin_ms=min(kept_ms, now_ms - 60_000), end_ms=now_ms)
            if span.from_ms < kept_ms:
                return await self._archive.summary(span, asked.where, asked.by, asked.top)
        else:
            recorded = scene.extent if scene is not None else Span(0, 0)
            span = asked.span(begin_ms=recorded.from_ms, end_ms=recorded.to_ms)
        chosen: dict[str, Any] = {"span": span, "where": asked.where, "by": asked.by, "top": asked.top}
        summary = await self._watch.answers.ask(self._watch.newest(), summarize, **chosen)
        return summary | {UNREAD_LOGS: self._watch.unread_logs}


class TextHandler(RequestHandler):
    """Health and metrics: plain text that is made on demand, or the Problem that making it raises."""

    def initialize(self, text: Callable[[], bytes], content_type: str = "text/plain; charset=utf-8") -> None:
        self._text = text
        self._content_type = content_type

    def get(self) -> None:
        try:
            answer(self, 200, self._content_type, self._text())
        except Problem as problem:
            refuse(self, problem)


def answer(handler: RequestHandler, status: int, content_type: str, body: str | bytes) -> None:
    handler.set_status(status)
    handler.set_header("Content-Type", content_type)
    handler.finish(body)


def refuse(handler: RequestHandler, problem: Problem) -> None:
    """Say why not, and, if that passes, when to ask again."""
    if problem.status == 503:
        handler.set_header("Retry-After", RETRY_AFTER_S)
    answer(handler, problem.status, routes.PROBLEM, problem.body())


def _top(text: str) -> int:
    if not text.strip():
        return DEFAULT
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MOST):
        raise bad_parameter(f"'top' is {text[:40]!r}; it needs a whole number of groups from 1 to {MOST:,}")
    return int(text)


def _text(said: bytes) -> str:
    return said.decode(errors="replace")


def bad_parameter(detail: str) -> Problem:
    return Problem(400, "bad_parameter", detail)


def time_ms(said: Mapping[str, str], name: str, zone: tzinfo = UTC) -> int | None:
    """The parameter `name` in Unix milliseconds, given so or as ISO 8601 (in `zone` unless it names one); None if absent."""
    text = said.get(name, "").strip()
    if not text:
        return None
    try:
        # A plus sign in a query means a space; that is how a time zone's loses its meaning.
        return unix_ms(text.replace(" ", "+") if "T" in text else text, zone)
    except ValueError as error:
        raise bad_parameter(f"{name!r}: {error}") from error
