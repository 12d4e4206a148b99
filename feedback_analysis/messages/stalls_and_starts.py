"""Stalls and failed starts, which one message alone does not show: SQL that compares the messages of a session.

`stall_count`, `stall_ms` and `played_ms` count from the start of a session. The increase over the previous message belongs to the
message that reports it, and to the time at which that was received. docs/measures.md defines both measures.
"""

LOOK_BACK_MS = 300_000
"""How long before a time range the previous message of a session may lie."""

PATIENCE_PERIODS = 2
"""An end host that plays reports it in its next message; one message may be late."""

# A session of 11 days. A larger increase in one message is no measurement; the bounds keep exact sums within 128 bits.
_MOST_MS = 10**9
_MOST_STALLS = 10**6

_INCREASES = {
    "new_stalls": ("stall_count", _MOST_STALLS),
    "more_stalled_ms": ("stall_ms", _MOST_MS),
    "more_played_ms": ("played_ms", _MOST_MS),
}

_BEFORE = tuple(f"{counter}_before" for counter, _ in _INCREASES.values())

_WATCHED_MS = "more_stalled_ms + more_played_ms"

PLAYED = "startup_ms IS NOT NULL OR coalesce(played_ms, 0) > 0 OR coalesce(continuity, 0) > 0"
"""SQL: whether a message shows that its session played."""

VALUE_AND_BASE = {
    "rebuffering_ratio": (f"CASE WHEN {_WATCHED_MS} IS NOT NULL THEN more_stalled_ms END", _WATCHED_MS),
    "stalls_per_hour": (
        f"CASE WHEN {_WATCHED_MS} IS NOT NULL THEN new_stalls * 3600000 END",
        f"CASE WHEN new_stalls IS NOT NULL THEN {_WATCHED_MS} END",
    ),
    "stall_ms": (
        "CASE WHEN new_stalls IS NOT NULL THEN more_stalled_ms END",
        "CASE WHEN more_stalled_ms IS NOT NULL THEN new_stalls END",
    ),
}
"""SQL over the rows of `increased`: numerator and denominator in one message; a message counts in both or in neither."""


def increased(rows: str) -> str:
    """SQL: `rows` (a SELECT of messages) with the increases `new_stalls`, `more_stalled_ms`, `more_played_ms`, and `session_hash`.

    A value below the previous one is an increase from zero. The first message with a counter has an increase only if the first
    message of the session (`seq` 0) is among `rows`: otherwise the counter's value before is not known.
    """
    before = ", ".join(_before(counter) for counter, _ in _INCREASES.values())
    columns = ", ".join(_limited(name, counter, most) for name, (counter, most) in _INCREASES.items())
    hashed = f"SELECT *, hash(session_id) AS session_hash FROM ({rows})"
    window = "WINDOW session AS (PARTITION BY session_hash ORDER BY seq)"
    return f"SELECT * EXCLUDE ({', '.join(_BEFORE)}), {columns} FROM (SELECT *, {before} FROM ({hashed}) {window})"


def _before(counter: str) -> str:
    """SQL: the last value of `counter` in the messages before; 0 before message 0, and after it if it has no value."""
    return f"CASE WHEN seq = 0 THEN 0 ELSE lag({known_counter(counter)} IGNORE NULLS) OVER session END AS {counter}_before"


def known_counter(counter: str) -> str:
    """SQL: the value of `counter` in a message; 0 in message 0 without one."""
    return f"CASE WHEN seq = 0 THEN coalesce({counter}, 0) ELSE {counter} END"


def _limited(name: str, counter: str, most: int) -> str:
    before = f"{counter}_before"
    more = f"{counter} - CASE WHEN {counter} >= {before} THEN {before} WHEN {before} IS NOT NULL THEN 0 END"
    return f"CASE WHEN {more} <= {most} THEN {more} END AS {name}"


def stall_lengths(increases: str) -> str:
    """SQL: the rows of `increased` with `length_ms`, how long the stall of the message has lasted; NULL where no stall went on.

    A stall lasts until the next message in which a stall begins. `run_ms` and `run_stalls` are the sums of the increases so far in
    the messages of one stall. Stalls that begin in one message have their mean length. Rows without an increase may be left out of
    `increases`.
    """
    begun = "count(*) FILTER (WHERE new_stalls > 0) OVER (PARTITION BY session_hash ORDER BY seq) AS begun"
    same = "OVER (PARTITION BY session_hash, begun ORDER BY seq)"
    sums = f"sum(more_stalled_ms) {same} AS run_ms, sum(new_stalls) {same} AS run_stalls"
    runs = f"SELECT * EXCLUDE (begun), {sums} FROM (SELECT *, {begun} FROM ({increases}))"
    return f"SELECT *, CASE WHEN more_stalled_ms > 0 THEN run_ms / greatest(1, run_stalls) END AS length_ms FROM ({runs})"


def starts(messages: str, joins: str, patient_ms: str) -> str:
    """SQL: the first `join` of each session that tried to start, from `joins`, with `start_failed`, 1 or 0.

    `messages`: all messages of these sessions in the time range; `joins`: the `join` messages that the filters select. A session
    tried if its result is known: it played, it left, or it joined before `patient_ms` (SQL, Unix ms). It failed if it never played.
    The row has the largest weight of the session.
    """
    outcomes = f"""
        SELECT session_id AS joined, min(seq) FILTER (WHERE event = 'join') AS joined_seq, max(weight) AS session_weight,
               coalesce(bool_or({PLAYED}), false) AS played, bool_or(event = 'leave') AS gone,
               min(received_ms) FILTER (WHERE event = 'join') AS joined_ms
        FROM ({messages}) GROUP BY session_id HAVING joined_seq IS NOT NULL AND (played OR gone OR joined_ms < {patient_ms})
    """
    return f"""
        SELECT sent.* REPLACE (session_weight AS weight), CASE WHEN played THEN 0 ELSE 1 END AS start_failed
        FROM ({joins}) AS sent JOIN ({outcomes}) ON session_id = joined AND seq = joined_seq
    """
