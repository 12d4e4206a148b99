"""Whether a table has messages, and from which time range."""

from collections.abc import Mapping
from datetime import UTC, datetime

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.table import FeedbackTable

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
