"""The end hosts' reporting period, as the records of a table show it."""

from feedback_analysis.measures.selection import REPORTING_PERIOD_S
from feedback_analysis.messages.table import FeedbackTable

_MESSAGES = 20_000
"""About how many messages are looked at. The period of an audience is one setting, so more of them do not change the median."""


def reporting_period_s(table: FeedbackTable) -> float:
    """The median time between messages with adjacent numbers, in whole seconds, at least 1; 30 without such messages."""
    with table.reading() as cursor:
        [(messages,)] = cursor.execute("SELECT count(*) FROM feedback").fetchall()
        [(gap_ms,)] = cursor.execute(f"""
            SELECT median(received_ms - before_ms) FROM (
                SELECT received_ms, lag(received_ms) OVER session AS before_ms, seq - lag(seq) OVER session AS step
                FROM feedback WHERE hash(session_id) % {messages // _MESSAGES + 1} = 0
                WINDOW session AS (PARTITION BY session_id ORDER BY seq)
            ) WHERE step = 1 AND received_ms > before_ms
        """).fetchall()
    return REPORTING_PERIOD_S if gap_ms is None else float(max(1, round(gap_ms / 1000)))
