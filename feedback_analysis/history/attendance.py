"""How many peers were present in each minute, counted once for the hours that are folded.

Distinct peers do not add up: one peer may be heard in two logs. So `attendance` is computed again from `presence` whenever an hour
is folded. From the next addition to the hour until the hour is folded again, it is not used.
"""

from collections.abc import Iterator, Sequence

import duckdb

from feedback_analysis.history.schema import DIMENSIONS, HOUR_MINUTES, UNFOLDED
from feedback_analysis.measures.exact import ONE

# One sum counts three minutes, 20 bits for each: a third of the work. Peers are counted in parts of 2^19 numbers, so that no count
# overflows into the next one.
LANE = 20
LANES = 3
_PART_BITS = 19
_MASK = (1 << LANE) - 1
_EVERY_LANE = sum(1 << LANE * lane for lane in range(LANES))
_SUMS = ", ".join(f"sum(((bits >> {at}) & {_EVERY_LANE}::UBIGINT)::BIGINT)::BIGINT AS c{at}" for at in range(LANE))
_COUNTS = ", ".join(f"(c{at % LANE} >> {at // LANE * LANE}) & {_MASK}" for at in range(HOUR_MINUTES))


def counted(rows: str, key: str) -> str:
    """SQL: `key`, `weight` and sums c0, c1, … of the peers in `rows` that have a bit; `unpacked` decodes them."""
    return f"SELECT {key}, weight, {_SUMS} FROM {rows} GROUP BY {key}, weight, peer >> {_PART_BITS}"


def unpacked(sums: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each bit that some peer has set, and how many peers have it."""
    for at in range(LANE * LANES):
        count = sums[at % LANE] >> at // LANE * LANE & _MASK
        if count:
            yield at, count


def count_unfolded(db: duckdb.DuckDBPyConnection) -> None:
    """Count the unfolded hours again; called while they are folded."""
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
