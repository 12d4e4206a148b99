"""Counters of a session that are reset, for example because an app restarts its player within the session.

`stall_count`, `stall_ms` and `played_ms` count from the start of the session. A value below the previous one means that the end
host began at zero again. So the total is the sum of the increases, and a decrease counts as an increase from zero. The order is
that of `seq`, and only selected messages are read.
"""

from collections.abc import Collection, Iterator, Sequence

COUNTERS = frozenset({"stall_count", "stall_ms", "played_ms"})

# Far beyond any real total; it bounds the sums of false values.
_MOST = 2**62


def increases(values: Sequence[int | None], *, before: int | None = 0) -> Iterator[int | None]:
    """The increase of each of `values`, in the order of `seq`, over the last known value; None where there is no value.

    `before`: the value before the first one; None if it is not known, and then the first value has no increase.
    """
    for value in values:
        if value is None:
            yield None
            continue
        yield 0 if before is None else value - before if value >= before else value
        before = value


def totals(values: Sequence[int | None]) -> list[int | None]:
    """Each of `values`, in the order of `seq`, as if the counter had never been reset."""
    so_far, found = 0, []
    for more in increases(values):
        so_far += more or 0
        found.append(None if more is None else so_far)
    return found


def continued(rows: str, names: Collection[str]) -> str:
    """SQL: the relation `rows` (a SELECT with `session_id` and `seq`), the counters among `names` as if they were never reset."""
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
        SELECT sent.* REPLACE ({totals}) FROM ({rows}) AS sent LEFT JOIN (
            SELECT session_id AS session, seq AS since, lead(seq) OVER session AS until, {sums} FROM (
                SELECT session_id, seq, {before} FROM ({rows}) WINDOW session AS (PARTITION BY session_id ORDER BY seq)
            ) WHERE {fell} WINDOW session AS (PARTITION BY session_id ORDER BY seq)
        ) AS resets ON session = sent.session_id AND sent.seq >= since AND (until IS NULL OR sent.seq < until)
    """
