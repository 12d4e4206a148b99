"""The increases of session counters (stalls, time stalled and played) over the messages that were added before.

A batch has only a part of a session. So the table `counters` keeps the last known values of each session, as one more message in
front of the batch. A message that arrives after a later one of its session adds no increase: the later one has counted it already.
"""

import duckdb

from feedback_analysis.measures.exact import ONE
from feedback_analysis.messages.stalls_and_starts import VALUE_AND_BASE, increased, known_counter, stall_lengths

_COUNTERS = ("stall_count", "stall_ms", "played_ms")
_RUN = ("run_ms", "run_stalls")


def add_increases(db: duckdb.DuckDBPyConnection) -> None:
    """Add the columns of `schema.VIEWED` and the longest stall to the temporary table `incoming`.

    The last values of its sessions are noted in `counters`.
    """
    names = ", ".join(_COUNTERS)
    db.execute("CREATE OR REPLACE TEMP TABLE earlier AS FROM counters SEMI JOIN incoming USING (session)")
    in_order = "incoming LEFT JOIN earlier ON earlier.session = incoming.session"
    arrived = f"""
        SELECT incoming.session AS session_id, incoming.seq, {", ".join(f"incoming.{name}" for name in _COUNTERS)}, false AS noted
        FROM {in_order} WHERE earlier.seq IS NULL OR incoming.seq > earlier.seq
    """
    noted = f"SELECT session AS session_id, seq, {names}, true AS noted FROM earlier"
    runs = "CASE WHEN noted THEN run_ms ELSE more_stalled_ms END AS more_stalled_ms, "
    runs += "CASE WHEN noted THEN run_stalls ELSE new_stalls END AS new_stalls"
    grown = f"""
        SELECT grown.* REPLACE ({runs}) FROM ({increased(f"{arrived} UNION ALL {noted}")}) AS grown
        LEFT JOIN earlier ON earlier.session = session_id AND noted
    """
    db.execute(f"CREATE OR REPLACE TEMP TABLE grown AS {stall_lengths(grown)}")
    _note_last(db)
    sums = ", ".join(
        f"CAST(({side}) * weight * {ONE}::DOUBLE AS HUGEINT) AS {name}_{kind}"
        for name, pair in VALUE_AND_BASE.items()
        for kind, side in zip(("sum", "base"), pair, strict=True)
    )
    increases = (
        "SELECT session_id AS session, seq, new_stalls, more_stalled_ms, more_played_ms, length_ms FROM grown WHERE NOT noted"
    )
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE viewed AS
        SELECT incoming.*, {sums}, length_ms AS longest_stall_ms FROM incoming LEFT JOIN ({increases}) USING (session, seq)
    """)
    db.execute("CREATE OR REPLACE TEMP TABLE incoming AS FROM viewed")
    for table in ("earlier", "grown", "viewed"):
        db.execute(f"DROP TABLE {table}")


def _note_last(db: duckdb.DuckDBPyConnection) -> None:
    """Replace the rows of `counters` by the last values in `grown`, which includes the former values."""
    last = ", ".join(
        f"arg_max({known_counter(name)}, seq) FILTER (WHERE {known_counter(name)} IS NOT NULL) AS {name}" for name in _COUNTERS
    )
    runs = ", ".join(f"arg_max({name}, seq) FILTER (WHERE {name} IS NOT NULL) AS {name}" for name in _RUN)
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE last AS
        SELECT session_id AS session, max(seq) AS seq, {last}, {runs} FROM grown GROUP BY session_id
    """)
    db.execute("DELETE FROM counters WHERE session IN (SELECT session FROM last)")
    rows = "SELECT session, hour FROM incoming UNION ALL SELECT session, hour FROM earlier"
    hours = f"SELECT session, max(hour) AS hour FROM ({rows}) GROUP BY session"
    db.execute(f"INSERT INTO counters BY NAME SELECT last.*, hour FROM last JOIN ({hours}) USING (session)")
    db.execute("DROP TABLE last")
