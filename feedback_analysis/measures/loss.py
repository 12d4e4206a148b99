"""How many messages of a session are missing, and how many of these the session can have sent.

A sender chooses the numbers of its messages. Two messages with the numbers 0 and 2^53 - 1 would claim 9 * 10^15 lost messages.
Therefore a session loses at most as many messages as it can have sent between its first and its last one. Missing numbers beyond
that are counted as implausible, not as lost.
"""

import duckdb

from feedback_analysis.measures.exact import exact_sum
from feedback_analysis.measures.partials import MERGED_WEIGHT, Partials
from feedback_analysis.measures.statistics import Rows

HIGHEST_RATE_PER_S = 10
"""Messages a second. The SDK sends one in 30 s by default; no player reports ten times a second for long."""

ALLOWANCE = 1_000
"""Messages beyond that rate: what the SDK's buffer holds by default, and sends at once after it has been offline."""

_NUMBERED = (
    *("session", MERGED_WEIGHT, "sum(messages)::BIGINT AS heard", "min(min_seq) AS low", "max(max_seq) AS high"),
    "max(last_ms) - min(first_ms) AS elapsed_ms",
)
"""The numbers of a session from its partial rows: how many messages there are, between which numbers, within how many ms."""


def plausible(missing: str, elapsed_ms: str) -> str:
    """SQL: how many of `missing` messages a session can have sent within `elapsed_ms`; both are SQL of whole numbers."""
    return f"least({missing}, ({elapsed_ms}) * {HIGHEST_RATE_PER_S} // 1000 + {ALLOWANCE})"


def session_losses(cursor: duckdb.DuckDBPyConnection, everything: Partials, sessions: Rows) -> str:
    """SQL: `session`, `weight`, `missing` and `lost` of each session whose numbers have gaps.

    `everything`: all records of a time range, or all records of some sessions; `sessions`: their session rows. Another filter would
    exclude messages, and excluded messages are not lost.
    """
    numbered = Rows(sql=sessions.sql, parameters=sessions.parameters).each("session", *_NUMBERED)
    # Only sessions with gaps are examined; there are few.
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE gaps AS FROM ({numbered.sql}) WHERE high - low + 1 <> heard", numbered.parameters)
    return f"""
        SELECT session, weight, missing, {plausible("missing", "elapsed_ms")} AS lost FROM (
            SELECT session, weight, elapsed_ms, high - low + 1 - heard - coalesce(filled, 0) AS missing
            FROM gaps LEFT JOIN ({everything.filled(cursor)}) AS filled USING (session)
        )
    """


def losses(cursor: duckdb.DuckDBPyConnection, everything: Partials, sessions: Rows) -> tuple[int, int]:
    """The exact weight of the lost messages, and the number of implausible ones; arguments as for `session_losses`."""
    rows = session_losses(cursor, everything, sessions)
    sql = f"SELECT {exact_sum('lost * weight')}, coalesce(sum(missing - lost), 0)::HUGEINT FROM ({rows})"
    [(lost, implausible)] = cursor.execute(sql).fetchall()
    return lost, int(implausible)


def received_weight(cursor: duckdb.DuckDBPyConnection, sessions: Rows) -> int:
    """The exact weight of the messages in `sessions`, each session at its largest weight."""
    numbered = Rows(sql=sessions.sql, parameters=sessions.parameters).each("session", *_NUMBERED)
    [(weight,)] = cursor.execute(f"SELECT {exact_sum('heard * weight')} FROM ({numbered.sql})", numbered.parameters).fetchall()
    return int(weight)
