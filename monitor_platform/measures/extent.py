"""Whether a table of feedback holds anything, and of what time."""

from collections.abc import Mapping

from monitor_platform.measures.selection import Selection, Span
from monitor_platform.measures.table import FeedbackTable


def extent(table: FeedbackTable) -> Span | None:
    """From the first to the last message of the table; None while there is none."""
    with table.reading() as cursor:
        [(first, last)] = cursor.execute("SELECT min(received_ms), max(received_ms) FROM feedback").fetchall()
    return None if first is None else Span(first, last + 1)


def has_any(table: FeedbackTable, *, span: Span, where: Mapping[str, str]) -> bool:
    """Whether there is a message in `span` that matches `where`."""
    chosen = Selection(span, where)
    with table.reading() as cursor:
        return cursor.execute(f"{chosen.sql('seq')} LIMIT 1", chosen.parameters).fetchall() != []
