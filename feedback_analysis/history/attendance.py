"""How many peers were present in each minute, counted once for the hours that are folded.

Peers are no sum: one may be heard in two logs, so nothing can be added when a log comes. What is in `attendance` is therefore made
anew from `presence` when an hour is folded, and not believed from when something new comes into it until it is folded again.
"""

from collections.abc import Iterator, Sequence

import duckdb

from feedback_analysis.history.schema import DIMENSIONS, HOUR_MINUTES, UNFOLDED
from feedback_analysis.measures.exact import ONE

# Three minutes are counted in one sum, 20 bits for each: a third of the work. So that no count runs into the next, peers are
# counted in parties of 2^19 numbers.
LANE = 20
LANES = 3
_PARTY_BITS = 19
_MASK = (1 << LANE) - 1
_EVERY_LANE = sum(1 << LANE * lane for lane in range(LANES))
_SUMS = ", ".join(f"sum(((bits >> {at}) & {_EVERY_LANE}::UBIGINT)::BIGINT)::BIGINT AS c{at}" for at in range(LANE))
_COUNTS = ", ".join(f"(c{at % LANE} >> {at // LANE * LANE}) & {_MASK}" for at in range(HOUR_MINUTES))


def counted(rows: str, key: str) -> str:
    """SQL: `key`, `weight` and sums c0, c1, … of the peers in `rows` that have a bit; `unpacked` tells what they mean."""
    return f"SELECT {key}, weight, {_SUMS} FROM {rows} GROUP BY {key}, weight, peer >> {_PARTY_BITS}"


def unpacked(sums: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each bit that somebody has, and how many have it."""
    for at in range(LANE * LANES):
        count = sums[at % LANE] >> at // LANE * LANE & _MASK
        if count:
            yield at, count


def count_unfolded(db: duckdb.DuckDBPyConnection) -> None:
    """Count the hours that are about to count as folded."""
    db.execute(f"DELETE FROM attendance WHERE {UNFOLDED}")
    for dimension in ("", *DIMENSIONS):
        value, joined = (f"slices.{dimension}", "JOIN slices ON slices.id = slice") if dimension else ("''", "")
        peers = f"""(
            SELECT hour, {value} AS value, peer, max(weight) AS weight, bit_or(present) AS bits
            FROM presence SEMI JOIN unfolded USING (hour) {joined} GROUP BY hour, {value}, peer
        )"""
        db.execute(f"""
            INSERT INTO attendance
            SELECT hour, '{dimension}', value, hour * {HOUR_MINUTES} + bit, sum(count * CAST(weight * {ONE}::DOUBLE AS HUGEINT))
            FROM (
                SELECT hour, value, weight, unnest(range({HOUR_MINUTES})) AS bit, unnest([{_COUNTS}]) AS count
                FROM ({counted(peers, "hour, value")})
            ) WHERE count > 0 GROUP BY ALL ORDER BY ALL
        """)
