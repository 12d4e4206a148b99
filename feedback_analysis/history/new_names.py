"""How many new names of a dimension a history accepts per day. Every name has its own rows, which are kept as long as the history.

A known name keeps its rows. If a day has more new names than the budget, those with the fewest peers are counted as `(other)`. The
logs still have them.
"""

import duckdb

from feedback_analysis.measures.selection import OTHER
from feedback_analysis.time_units import DAY_MS

NEW_A_DAY = {"channel": 5_000, "isp": 10_000, "app": 1_000, "platform": 1_000}
"""Areas, districts and countries come from the platform's own maps."""

NEW_NAMES = "CREATE TABLE IF NOT EXISTS new_names (day INTEGER, dimension VARCHAR, names BIGINT, left_out BIGINT)"
"""By day of the logs (days since 1970, UTC): new names that were accepted, and messages with names that were not accepted."""


def bound_new_names(db: duckdb.DuckDBPyConnection) -> int:
    """Replace names beyond the budgets by `(other)` in `arrived_named`, the slices of `arrived`; returns how many messages."""
    renamed = 0
    [(day,)] = db.execute(f"SELECT max(received_ms) // {DAY_MS} FROM arrived").fetchall()
    for dimension, most in NEW_A_DAY.items():
        unknown = f"{dimension} NOT IN (SELECT {dimension} FROM slices) AND {dimension} <> '{OTHER}'"
        [(new,)] = db.execute(f"SELECT count(DISTINCT {dimension}) FROM arrived_named WHERE {unknown}").fetchall()
        if not new:
            continue
        taken = "SELECT coalesce(sum(names), 0)::BIGINT FROM new_names WHERE day = $day AND dimension = $dimension"
        [(already,)] = db.execute(taken, {"day": day, "dimension": dimension}).fetchall()
        room = max(0, most - already)
        left_out = 0 if new <= room else _leave_out(db, dimension, unknown, room)
        db.execute("INSERT INTO new_names VALUES (?, ?, ?, ?)", [day, dimension, min(new, room), left_out])
        renamed += left_out
    return renamed


def _leave_out(db: duckdb.DuckDBPyConnection, dimension: str, unknown: str, room: int) -> int:
    """Replace all new names but the `room` ones with the most peers by `(other)`; returns how many messages have them."""
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE weak AS
        SELECT {dimension} AS name, count(*) AS messages FROM arrived JOIN arrived_named USING (slice) WHERE {unknown}
        GROUP BY {dimension} ORDER BY count(DISTINCT peer_id) DESC, {dimension} OFFSET {room}
    """)
    [(messages,)] = db.execute("SELECT coalesce(sum(messages), 0)::BIGINT FROM weak").fetchall()
    db.execute(f"UPDATE arrived_named SET {dimension} = '{OTHER}' WHERE {dimension} IN (SELECT name FROM weak)")
    db.execute("DROP TABLE weak")
    return int(messages)
