"""The span that a table of feedback covers."""

from monitor_platform.measures.selection import Span
from monitor_platform.measures.table import FeedbackTable


def extent(table: FeedbackTable) -> Span | None:
    """From the first to the last message of the table; None while there is none."""
    with table.reading() as cursor:
        [(first, last)] = cursor.execute("SELECT min(received_ms), max(received_ms) FROM feedback").fetchall()
    return None if first is None else Span(first, last + 1)
