"""Messages that are counted but are not in the table: those that a live table dropped, and those in logs outside a time range.

Only their identities are kept, as intervals of `seq` for each session. With them, a copy of such a message is recognised, and its
number does not count as missing.
"""

from collections.abc import Sequence

import duckdb

from feedback_analysis.reading.rows import readable_rows_sql
from feedback_analysis.reading.verified_log import VerifiedLog

OUTSIDE = "CREATE TABLE outside (session UHUGEINT, low BIGINT, high BIGINT, last_ms BIGINT)"
"""SQL of the table: from `low` to `high`, both included; `last_ms` is when the last of them was received."""

SESSION = "md5_number(session_id)"
"""SQL: the session in `outside`, of constant size for any length of session_id."""

# An interval takes 40 bytes: 20 MB. A session without losses needs one, so this is three days of 7,000 viewers at a time.
MOST_INTERVALS = 500_000

_IDENTITY = ("session_id", "seq", "received_ms")
_NO_IDENTITY = "SELECT NULL::VARCHAR AS session_id, NULL::BIGINT AS seq, NULL::BIGINT AS received_ms LIMIT 0"


def merge(db: duckdb.DuckDBPyConnection, messages: str) -> None:
    """Add `messages` (SQL of `session_id`, `seq`, `received_ms`); adjacent numbers of one session become one interval."""
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE coming AS
        SELECT {SESSION} AS session, seq AS low, seq AS high, received_ms AS last_ms FROM ({messages})
    """)
    db.execute("INSERT INTO coming FROM outside SEMI JOIN coming USING (session)")
    db.execute("DELETE FROM outside WHERE session IN (SELECT session FROM coming)")
    db.execute("""
        INSERT INTO outside
        SELECT session, min(low), max(high), max(last_ms) FROM (
            SELECT *, count(*) FILTER (WHERE apart) OVER (PARTITION BY session ORDER BY low, high) AS island
            FROM (
                SELECT *, low > 1 + max(high) OVER (
                    PARTITION BY session ORDER BY low, high ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS apart FROM coming
            )
        ) GROUP BY session, island
    """)
    db.execute("DROP TABLE coming")


def read_identities(db: duckdb.DuckDBPyConnection, rows: str, logs: Sequence[VerifiedLog]) -> bool:
    """Read the identities of the messages in `logs` (one form, same columns) into the table `ids`.

    Returns whether the table `wanted` has rows: the messages among them that are also in the table `rows`.
    """
    logs = [log for log in logs if log.records != 0]
    identities, parameters = readable_rows_sql(logs, _IDENTITY) if logs else (_NO_IDENTITY, {})
    db.execute(f"CREATE OR REPLACE TEMP TABLE ids AS {identities}", parameters)
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT DISTINCT session_id, seq FROM ids SEMI JOIN {rows} USING (session_id, seq)"
    )
    return db.execute("SELECT count(*) FROM wanted").fetchall() != [(0,)]


def add_read_identities(db: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Add the identities in `ids` that are not in the table `rows`."""
    merge(db, f"SELECT session_id, seq, received_ms FROM ids ANTI JOIN {rows} USING (session_id, seq)")
    for table in ("ids", "wanted"):
        db.execute(f"DROP TABLE {table}")


def drop_oldest(db: duckdb.DuckDBPyConnection, *, most: int = MOST_INTERVALS) -> int:
    """If there are more than `most` intervals, drop the oldest ones; returns how many were dropped."""
    [(held,)] = db.execute("SELECT count(*) FROM outside").fetchall()
    if held <= most:
        return 0
    oldest = "SELECT rowid FROM outside ORDER BY last_ms, session, low LIMIT $gone"
    return int(db.execute(f"DELETE FROM outside WHERE rowid IN ({oldest})", {"gone": held - most * 9 // 10}).fetchall()[0][0])


def begin_search(db: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Begin to look for messages of the sessions in the table `rows`."""
    db.execute(f"CREATE OR REPLACE TEMP TABLE asked AS SELECT session_id, min(seq) AS low FROM {rows} GROUP BY session_id")
    db.execute("CREATE OR REPLACE TEMP TABLE found (session_id VARCHAR, seq BIGINT, received_ms BIGINT)")


def search(db: duckdb.DuckDBPyConnection, rows: str, logs: Sequence[VerifiedLog], *, before: bool) -> bool:
    """Note the messages of the searched sessions in `logs` (one form, same columns); returns whether the table `wanted` has rows.

    Wanted are copies of the messages in `rows`. With `before`, also each session's last message before those in `rows`: its
    counters continue from there.
    """
    logs = [log for log in logs if log.records != 0]
    if not logs:
        return False
    identities, parameters = readable_rows_sql(logs, _IDENTITY)
    db.execute(f"CREATE OR REPLACE TEMP TABLE ids AS SELECT * FROM ({identities}) SEMI JOIN asked USING (session_id)", parameters)
    last = "SELECT session_id, max(seq) AS seq FROM ids JOIN asked USING (session_id) WHERE seq < low GROUP BY session_id"
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE wanted AS
        SELECT DISTINCT session_id, seq FROM ids SEMI JOIN {rows} USING (session_id, seq) {f"UNION {last}" if before else ""}
    """)
    db.execute("INSERT INTO found SELECT session_id, seq, received_ms FROM ids")
    db.execute("DROP TABLE ids")
    return db.execute("SELECT count(*) FROM wanted").fetchall() != [(0,)]


def narrow_search(db: duckdb.DuckDBPyConnection, rows: str) -> bool:
    """Continue with only the sessions in which numbers are missing; returns whether there are any."""
    db.execute(f"""
        CREATE OR REPLACE TEMP TABLE asked AS
        SELECT session_id, any_value(low) AS low
        FROM (SELECT session_id, min(seq) AS low, max(seq) AS high FROM {rows} GROUP BY session_id) AS ends
        JOIN (SELECT session_id, seq FROM {rows} UNION SELECT session_id, seq FROM found) AS known USING (session_id)
        WHERE seq BETWEEN low AND high GROUP BY session_id HAVING count(*) <= any_value(high - low)
    """)
    return db.execute("SELECT count(*) FROM asked").fetchall() != [(0,)]


def end_search(db: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Add the found messages that are not in `rows` to `outside`."""
    merge(db, f"SELECT session_id, seq, received_ms FROM found ANTI JOIN {rows} USING (session_id, seq)")
    for table in ("asked", "found", "wanted"):
        db.execute(f"DROP TABLE IF EXISTS {table}")
