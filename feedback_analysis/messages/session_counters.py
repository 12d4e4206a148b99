"""Counters of a session that begin anew, as when an app starts its player again within the session.

`stall_count`, `stall_ms` and `played_ms` count from the begin of the session. A value below the one before means that the end host
has begun at zero again; so the total is the sum of the increases, where a fall is an increase from zero. Only the order of `seq`
tells what is a fall, and only the messages chosen are looked at.
"""

from collections.abc import Collection, Iterator, Sequence

COUNTERS = frozenset({"stall_count", "stall_ms", "played_ms"})

# Far beyond any real total; sums of what hostile senders claim end there.
_MOST = 2**62


def increases(values: Sequence[int | None], *, before: int | None = 0) -> Iterator[int | None]:
    """By how much each of `values`, in the order of `seq`, is above the last known one; None where there is no value.

    `before`: the value ahead of the first; None if it is not known, and then the first value has no increase.
    """
    for value in values:
        if value is None:
            yield None
            continue
        yield 0 if before is None else value - before if value >= before else value
        before = value


def totals(values: Sequence[int | None]) -> list[int | None]:
    """Each of `values`, in the order of `seq`, as if the counter had never begun anew."""
    so_far, found = 0, []
    for more in increases(values):
        so_far += more or 0
        found.append(None if more is None else so_far)
    return found


def continued(rows: str, names: Collection[str]) -> str:
    """SQL: the relation `rows` (a SELECT with `session_id` and `seq`), the counters among `names` as if they never began anew."""
    counters = sorted(COUNTERS.intersection(names))
    if not counters:
        return rows
    before = ", ".join(
        f"CASE WHEN {name} < lag({name} IGNORE NULLS) OVER session THEN lag({name} IGNORE NULLS) OVER session ELSE 0 END AS {name}"
        for name in counters
    )
    fell = " OR ".join(f"{name} > 0" for name in counters)
    sums = ", ".join(f"sum({name}) OVER session AS {name}_before" for name in counters)
    totals = ", ".join(f"{name} + least(coalesce({name}_before, 0), {_MOST})::BIGINT AS {name}" for name in counters)
    return f"""
        SELECT said.* REPLACE ({totals}) FROM ({rows}) AS said LEFT JOIN (
            SELECT session_id AS session, seq AS since, lead(seq) OVER session AS until, {sums} FROM (
                SELECT session_id, seq, {before} FROM ({rows}) WINDOW session AS (PARTITION BY session_id ORDER BY seq)
            ) WHERE {fell} WINDOW session AS (PARTITION BY session_id ORDER BY seq)
        ) AS again ON session = said.session_id AND said.seq >= since AND (until IS NULL OR said.seq < until)
    """
