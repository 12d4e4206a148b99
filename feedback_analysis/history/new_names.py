"""How many names of a dimension a history takes up in a day, as every name has rows of its own for ever.

A name that the history knows keeps its rows. Of a day's new names, beyond the budget, those with the fewest peers are `(other)`.
The logs have them still.
"""

import duckdb

from feedback_analysis.measures.selection import OTHER

NEW_A_DAY = {"channel": 5_000, "isp": 10_000, "app": 1_000, "platform": 1_000}
"""Areas, districts and countries come from the platform's own maps."""

NEW_NAMES = "CREATE TABLE IF NOT EXISTS new_names (day INTEGER, dimension VARCHAR, names BIGINT, left_out BIGINT)"
"""By day of the logs (days since 1970, UTC): names that were taken up, and messages whose name was not."""

_DAY_MS = 86_400_000


def bound_new_names(db: duckdb.DuckDBPyConnection) -> int:
    """Rename in the table `arrived_named`, the slices of the messages `arrived`, what is beyond the budgets; how many messages."""
    renamed = 0
    [(day,)] = db.execute(f"SELECT max(received_ms) // {_DAY_MS} FROM arrived").fetchall()
    for dimension, most in NEW_A_DAY.items():
        strange = f"{dimension} NOT IN (SELECT {dimension} FROM slices) AND {dimension} <> '{OTHER}'"
        [(new,)] = db.execute(f"SELECT count(DISTINCT {dimension}) FROM arrived_named WHERE {strange}").fetchall()
        if not new:
            continue
        taken = "SELECT coalesce(sum(names), 0)::BIGINT FROM new_names WHERE day = $day AND dimension = $dimension"
        [(already,)] = db.execute(taken, {"day": day, "dimension": dimension}).fetchall()
        room = max(0, most - already)
        left_out = 0 if new <= room else _leave_out(db, dimension, strange, room)
        db.execute("INSERT INTO new_names VALUES (?, ?, ?, ?)", [day, dimension, min(new, room), left_out])
        renamed += left_out
    return renamed


def _leave_out(db: duckdb.DuckDBPyConnection, dimension: str, strange: str, room: int) -> int:
    """Rename all but the `room` new names with the most peers; how many messages that concerns."""
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE weak AS
        SELECT {dimension} AS name, count(*) AS messages FROM arrived JOIN arrived_named USING (slice) WHERE {strange}
        GROUP BY {dimension} ORDER BY count(DISTINCT peer_id) DESC, {dimension} OFFSET {room}
    """)
    [(messages,)] = db.execute("SELECT coalesce(sum(messages), 0)::BIGINT FROM weak").fetchall()
    db.execute(f"UPDATE arrived_named SET {dimension} = '{OTHER}' WHERE {dimension} IN (SELECT name FROM weak)")
    db.execute("DROP TABLE weak")
    return int(messages)
