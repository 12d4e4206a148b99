"""The continuous uptime of sessions (see messages/online_time.py) over the messages that were added before.

A batch has only a part of a session. So the table `uptimes` keeps the last uptime of each session, and what its restarts add to it.
A message that arrives after a later one of its session keeps its own uptime if that lies before the later one's; otherwise, or if
the session has restarted, its run is not known, and it has none.
"""

import duckdb

from feedback_analysis.messages.online_time import MOST_MS, STEP


def continue_uptime(db: duckdb.DuckDBPyConnection) -> None:
    """Replace `uptime_ms` in the temporary table `incoming` by the continuous uptime, and note the last ones in `uptimes`."""
    db.execute("CREATE OR REPLACE TEMP TABLE uptime_before AS FROM uptimes SEMI JOIN incoming USING (session)")
    db.execute(f"CREATE OR REPLACE TEMP TABLE uptime_now AS {_CONTINUED}")
    db.execute("""
        UPDATE incoming SET uptime_ms = (incoming.uptime_ms + added_ms)::BIGINT FROM uptime_now AS now
        WHERE now.session = incoming.session AND now.seq = incoming.seq AND NOT noted AND added_ms <> 0
    """)
    db.execute(f"""
        UPDATE incoming SET uptime_ms = NULL FROM uptime_before AS before
        WHERE before.session = incoming.session AND incoming.seq <= before.seq
              AND (added_ms <> 0 OR before.uptime_ms - incoming.uptime_ms NOT BETWEEN 0 AND {MOST_MS})
    """)
    db.execute("DELETE FROM uptimes WHERE session IN (SELECT session FROM uptime_now)")
    last = ", ".join(f"arg_max({name}, seq) AS {name}" for name in ("uptime_ms", "added_ms"))
    db.execute(
        f"INSERT INTO uptimes BY NAME SELECT session, max(hour) AS hour, max(seq) AS seq, {last} FROM uptime_now GROUP BY session"
    )
    for table in ("uptime_before", "uptime_now"):
        db.execute(f"DROP TABLE {table}")


_ARRIVED = """
    SELECT incoming.session, incoming.hour, incoming.seq, incoming.uptime_ms, 0 AS added_ms, false AS noted
    FROM incoming LEFT JOIN uptime_before AS before ON before.session = incoming.session
    WHERE incoming.uptime_ms IS NOT NULL AND (before.seq IS NULL OR incoming.seq > before.seq)
"""
_SESSION = "OVER (PARTITION BY session ORDER BY seq)"
_CONTINUED = f"""
    SELECT * EXCLUDE (before_ms) REPLACE (
        (sum(CASE WHEN noted THEN added_ms ELSE {STEP} END) {_SESSION})::BIGINT AS added_ms
    ) FROM (
        SELECT *, lag(uptime_ms) {_SESSION} AS before_ms
        FROM ({_ARRIVED} UNION ALL SELECT session, hour, seq, uptime_ms, added_ms, true AS noted FROM uptime_before)
    )
"""
