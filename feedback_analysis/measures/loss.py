"""How many messages of a session are missing, and how many of those one session can have sent.

A sender chooses the numbers of its messages. Two messages with 0 and 2^53 - 1 would claim that 9 * 10^15 were lost. So a session
loses at most what it can have sent between its first and its last message; what is beyond is counted as implausible, not as lost.
"""

import duckdb

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.outside import SESSION

HIGHEST_RATE_PER_S = 10
"""Messages a second. The SDK sends one in 30 s unless told otherwise; no player reports ten times a second for long."""

ALLOWANCE = 1_000
"""Messages beyond that rate: what the SDK's buffer holds by default, and sends at once when it has been offline."""


def plausible(missing: str, elapsed_ms: str) -> str:
    """SQL: how many of `missing` messages a session can have sent within `elapsed_ms`; both are SQL of whole numbers."""
    return f"least({missing}, ({elapsed_ms}) * {HIGHEST_RATE_PER_S} // 1000 + {ALLOWANCE})"


def plausible_number(missing: int, elapsed_ms: int) -> int:
    """The same for numbers."""
    return min(missing, elapsed_ms * HIGHEST_RATE_PER_S // 1000 + ALLOWANCE)


def losses(cursor: duckdb.DuckDBPyConnection, sessions: str, span: Span | None) -> str:
    """SQL: `sessions` with the columns `missing`, and `lost` as far as that is plausible.

    `sessions`: SQL of a row for each session within `span`, whatever the filter: `session_id`, `low` and `high` (its smallest and
    its largest number), `heard` (how many messages there are) and `elapsed_ms`.
    """
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE numbered AS {sessions}")
    return f"""
        SELECT *, {plausible("missing", "elapsed_ms")} AS lost FROM (
            SELECT numbered.*, high - low + 1 - heard - coalesce(filled, 0) AS missing
            FROM numbered LEFT JOIN ({_filled(cursor, span)}) AS filled USING (session_id)
        )
    """


def _filled(cursor: duckdb.DuckDBPyConnection, span: Span | None) -> str:
    """SQL: how many numbers within a session's range were received outside the span, for the sessions where any are missing."""
    numbers = f"SELECT session_id, {SESSION} AS session, low, high FROM numbered WHERE high - low + 1 > heard"
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE broken AS {numbers}")
    overlap = "least(broken.high, outside.high) - greatest(broken.low, outside.low) + 1"
    parts = [f"SELECT session_id, greatest(0, {overlap}) AS filled FROM outside JOIN broken USING (session)"]
    if span is not None:
        beyond = f"received_ms < {span.from_ms} OR received_ms >= {span.to_ms}"
        parts.append(
            f"SELECT session_id, 1 FROM (SELECT session_id, seq FROM feedback WHERE {beyond}) JOIN broken USING (session_id) "
            "WHERE seq BETWEEN low AND high"
        )
    return f"SELECT session_id, sum(filled)::BIGINT AS filled FROM ({' UNION ALL '.join(parts)}) GROUP BY session_id"
