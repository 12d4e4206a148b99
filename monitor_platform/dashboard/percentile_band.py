"""The band behind a line of the timeline: the 10th to the 90th percentile of the values in each step.

Quantiles of minutes cannot be added up as sums can. So a step of the band is as long as the window of a point of the line, and
steps do not overlap. Sorting is expensive, so there is no band above MOST_MESSAGES. The page states this.
"""

from collections.abc import Mapping
from fractions import Fraction

import duckdb

from feedback_analysis.measures.registry import START_FAILURES, Kind, measure_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.statistics import quantiles
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.message_timeline import Steps
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.views.timeline_view import PercentileBand

SHARES = (Fraction(1, 10), Fraction(9, 10))

MOST_MESSAGES = 500_000


def has_band(measure: str) -> bool:
    """Whether each message or session has its own value; ratios and counts have none, and a start either fails or not."""
    return measure_of(measure, "timeline").kind in (Kind.MEAN, Kind.SESSION) and measure != START_FAILURES


def band(table: FeedbackTable, *, measure: str, span: Span, step_s: float, where: Mapping[str, str]) -> PercentileBand | None:
    """The 10th and the 90th percentile of `measure` in each step of `span`; None for too many messages."""
    steps = Steps.over(span, step_s=step_s, window_s=0)
    step = f"{steps.sql('received_ms')} AS step"
    rows = table.select(span, where).measured(measure_of(measure, "timeline"), step, aliases=("step",))
    with table.reading() as cursor:
        # Another selection: the first one also has the parameters of the measure, which this statement does not use.
        if _messages(cursor, table.select(span, where)) > MOST_MESSAGES:
            return None
        found = {group[0]: values["value"] for group, values in quantiles(cursor, rows, ("value",), SHARES).items()}
    bounds = [found.get(at, (None, None)) for at in range(steps.count)]
    return PercentileBand(
        at_ms=tuple(map(steps.end_ms, range(steps.count))),
        low=tuple(low for low, _ in bounds),
        high=tuple(high for _, high in bounds),
    )


def _messages(cursor: duckdb.DuckDBPyConnection, selection: MessageSelection) -> int:
    [(messages,)] = cursor.execute(f"SELECT count(*) FROM ({selection.sql('seq')})", selection.parameters).fetchall()
    return int(messages)
