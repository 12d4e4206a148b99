"""The online time of a session whose player restarts: its uptime, continued over the restarts.

An end host counts `uptime_ms` from a start of its player. A value below the previous one (in the order of `seq`) means that the
player started again, and the *continuous uptime* continues from the previous value. The time between the two runs is not known and
does not count. An increase of more than MOST_MS in one message is no measurement and does not count either. The online time is the
largest continuous uptime minus the smallest. Without restarts, that is the largest uptime minus the smallest.
"""

MOST_MS = 10**9
"""A session of 11 days. One message of a hostile sender cannot claim more."""

STEP = f"""
    CASE WHEN uptime_ms < before_ms AND uptime_ms <= {MOST_MS} THEN before_ms
         WHEN uptime_ms < before_ms OR uptime_ms - before_ms > {MOST_MS} THEN before_ms - uptime_ms ELSE 0 END
"""
"""SQL: what to add to the uptime of a message, and of all later ones of its session, so that the uptime continues from `before_ms`.
`before_ms` is the uptime of the previous message that has one; NULL if there is none."""

_SESSION = "hash(session_id)"


def uptime_steps(messages: str) -> str:
    """SQL: where the uptime of a session in `messages` (a SELECT) does not continue, and what to add to it.

    Columns: the hash of the session `of_session`, the message numbers `since` and `until`, and what to add in them, `added_ms`.
    """
    session = "OVER (PARTITION BY of_session ORDER BY seq)"
    before = f"""
        SELECT *, lag(uptime_ms) {session} AS before_ms
        FROM (SELECT {_SESSION} AS of_session, seq, uptime_ms FROM ({messages}) WHERE uptime_ms IS NOT NULL)
    """
    return f"""
        SELECT of_session, seq AS since, coalesce(lead(seq) {session} - 1, {2**53}) AS until, sum(step) {session} AS added_ms
        FROM (SELECT of_session, seq, {STEP} AS step FROM ({before})) WHERE step <> 0
    """


def with_continuous_uptime(messages: str, steps: str) -> str:
    """SQL: `messages` (a SELECT) with the continuous uptime as `uptime_ms`; `steps` is a table with the rows of `uptime_steps`."""
    return f"""
        SELECT sent.* REPLACE ((uptime_ms + coalesce(added_ms, 0))::BIGINT AS uptime_ms) FROM ({messages}) AS sent
        LEFT JOIN {steps} ON of_session = {_SESSION} AND seq BETWEEN since AND until
    """
