"""The logs on disk: the files of static mode, or the mirror. Each call reads them again, and blocks until it is done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.column_table import columns_for
from feedback_analysis.messages.load import LOOK_AROUND_MS, logs_for, open_logs
from feedback_analysis.messages.reporting_period import reporting_period_s
from feedback_analysis.messages.stalls_and_starts import LOOK_BACK_MS
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import Models, mos_of
from feedback_analysis.reading.log_files import Begins, find_logs
from feedback_wire.kinds import RecordKind

_SUMMED = 2
"""A summary loads few columns, so it may load more messages: they take less than half the memory."""

_MARGIN_MS = 60_000
"""A server may write a last batch into a log when the next log has begun, but not for longer."""

Versions = frozenset[tuple[Path, int, int]]
"""Logs, each with its size in bytes and the time of its last change in ns; both are 0 for a log that was just removed."""

UNREAD_LOGS = "unread_logs"
"""Key of a summary, in addition to the measures: the number of logs that could not be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedLogs:
    """Logs in `paths`. `most` is the limit of messages that one query may load; None: no limit.

    The methods raise TooManyMessages beyond that limit, and errors of the paths as `open_logs` does.
    """

    paths: Sequence[Path]
    locator: Locator
    models: Models
    period_s: float | None
    most: int | None = None

    def versions(self, span: Span) -> Versions:
        """The logs that can have records of `span`. The result changes when such a log arrives, grows or is replaced."""
        return versions_of(self.paths, span)

    def table(self, span: Span | None) -> FeedbackTable:
        """All records of `span` (None: of all logs), and the records that show which peers are present when it begins."""
        table = open_logs(
            self.paths,
            locator=self.locator,
            mos=mos_of(self.models),
            models=self.models,
            span=span,
            look_around_ms=LOOK_AROUND_MS,
            most=self.most,
        )
        table.period_s = self.period_s or reporting_period_s(table)
        if span is not None:
            # The records just before the span show which peers are present when it begins, and the counters before it.
            table.drop_before(span.from_ms - max(LOOK_BACK_MS, round(table.period_s * 1000)))
        table.prepare_for_reading()
        return table

    def summary(self, span: Span, where: Mapping[str, str], by: Sequence[str], top: int, proved_ms: int | None) -> dict[str, Any]:
        """The summary of `span`, as /api/v1/summary returns it."""
        table = open_logs(
            self.paths,
            locator=self.locator,
            mos=mos_of(self.models),
            span=span,
            columns=columns_for((*by, *where)),
            look_around_ms=LOOK_AROUND_MS,
            most=None if self.most is None else _SUMMED * self.most,
        )
        table.period_s = self.period_s or reporting_period_s(table)
        try:
            found = summarize(table, span=span, where=where, by=by, top=top, proved_ms=proved_ms)
            return found | {UNREAD_LOGS: len(table.unread)}
        finally:
            table.close()


def versions_of(paths: Iterable[Path], span: Span, kind: RecordKind = RecordKind.FEEDBACK) -> Versions:
    """The logs of `kind` in `paths` that can have records of `span`."""
    found = find_logs(paths, Begins.between(span.from_ms - _MARGIN_MS, span.to_ms), kind=kind)
    return frozenset(map(_version, logs_for(found.logs, span)))


def _version(path: Path) -> tuple[Path, int, int]:
    try:
        status = path.stat()
    except OSError:
        return path, 0, 0
    return path, status.st_size, status.st_mtime_ns
