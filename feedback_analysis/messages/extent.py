"""Whether a table has messages, and from which time range."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.table import FeedbackTable

MOST_PARTS = 10
"""A time range is divided into at most so many parts to find gaps in its records."""

# 1973-03-03 in milliseconds; read as seconds, the same number is the year 5138.
_SECONDS_BELOW_MS = 10**11


def extent(table: FeedbackTable) -> Span | None:
    """From the first to the last message of the table; None while it is empty."""
    with table.reading() as cursor:
        return table.select(None, {}).covered(cursor)


def warning_of_seconds(recorded: Span | None) -> str:
    """A warning if the first record is from 1970, which nearly always means a time in seconds; else empty."""
    if recorded is None or recorded.from_ms >= _SECONDS_BELOW_MS:
        return ""
    moment = datetime.fromtimestamp(recorded.from_ms / 1000, UTC)
    return (
        f"according to its received_ms, the first record is from {moment:%Y-%m-%d}. received_ms is in milliseconds since 1970; "
        "if these are seconds, multiply them by 1000"
    )


def has_any(table: FeedbackTable, *, span: Span, where: Mapping[str, str]) -> bool:
    """Whether there is a message in `span` that matches `where`."""
    chosen = table.select(span, where)
    with table.reading() as cursor:
        return cursor.execute(f"{chosen.sql('seq')} LIMIT 1", chosen.parameters).fetchall() != []


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTime:
    """The share of a time range that has records of anybody, and whether its end has."""

    share: float
    at_end: bool


def recorded_time(table: FeedbackTable, *, span: Span, period_s: float) -> RecordedTime:
    """How much of `span` has messages. End hosts report once in each period, so a shorter part may have none without a gap."""
    length_ms, period_ms = max(1, span.to_ms - span.from_ms), max(1, round(period_s * 1000))
    parts = max(1, min(MOST_PARTS, length_ms // period_ms))
    chosen = table.select(span, {})
    part = f"(received_ms - {span.from_ms}) * {parts} // {length_ms}"
    with table.reading() as cursor:
        sql = f"SELECT count(DISTINCT {part}), max(received_ms) FROM ({chosen.sql('received_ms')})"
        [(found, last_ms)] = cursor.execute(sql, chosen.parameters).fetchall()
    return RecordedTime(share=found / parts, at_end=last_ms is not None and last_ms >= span.to_ms - period_ms)
