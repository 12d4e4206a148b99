"""Who was there: peers per period, per minute and for the first time. Distinct peers are exact under any filter.

Within an hour a peer counts by its largest weight; without sampling, and with it in practice, that is the only one it has.
"""

import duckdb

from monitor_platform.history.cut import Cut
from monitor_platform.history.periods import JOINED, Periods
from monitor_platform.history.schema import HOUR_MINUTES, MINUTE_MS
from monitor_platform.measures.exact import ONE, exact_sum

Weights = dict[int, int]
"""The exact weight in each step or minute that has any."""

# Three minutes are counted in one sum, 20 bits for each: a third of the work. So that no count runs into the next, peers are
# counted in parties of 2^19 numbers.
_LANE = 20
_LANES = 1 | 1 << _LANE | 1 << 2 * _LANE
_PARTY_BITS = 19
_COUNTS = ", ".join(f"sum(((minutes >> {at}) & {_LANES}::UBIGINT)::BIGINT)" for at in range(_LANE))


def distinct(cursor: duckdb.DuckDBPyConnection, cut: Cut, of: Periods) -> Weights:
    """Distinct peers by period."""
    rows = cut.sql("session_hour", "step", "peer", "max(weight) AS weight", joined=JOINED)
    sql = f"SELECT step, {exact_sum('weight')} FROM ({rows} GROUP BY step, peer) GROUP BY step"
    return dict(cursor.execute(sql, cut.parameters | of.parameters).fetchall())


def heard(cursor: duckdb.DuckDBPyConnection, cut: Cut) -> Weights:
    """Distinct peers heard in each minute (since 1970)."""
    return _by_minute(cursor, cut, "session_hour", "heard")


def present(cursor: duckdb.DuckDBPyConnection, cut: Cut, *, at_hours: bool = False) -> Weights:
    """Peers present at the end of each minute (since 1970); `at_hours`: only of those with which an hour ends."""
    return _by_minute(
        cursor, cut, "presence", "present", only=f"present >= {1 << (HOUR_MINUTES - 1)}::UBIGINT" if at_hours else "true"
    )


def newcomers(cursor: duckdb.DuckDBPyConnection, cut: Cut) -> Weights:
    """By the minute in which a peer was heard first of all that `cut` holds."""
    first = f"{cut.sql('session_hour', 'min(first_ms) AS first_ms', 'max(weight) AS weight')} GROUP BY peer"
    sql = f"SELECT first_ms // {MINUTE_MS}, {exact_sum('weight')} FROM ({first}) GROUP BY 1"
    return dict(cursor.execute(sql, cut.parameters).fetchall())


def _by_minute(cursor: duckdb.DuckDBPyConnection, cut: Cut, table: str, bits: str, *, only: str = "true") -> Weights:
    rows = f"{cut.sql(table, 'hour', 'max(weight) AS weight', f'bit_or({bits}) AS minutes', 'peer')} AND {only} GROUP BY hour, peer"
    sql = f"SELECT hour, weight, {_COUNTS} FROM ({rows}) GROUP BY hour, weight, peer >> {_PARTY_BITS}"
    found: Weights = {}
    for hour, weight, *packed in cursor.execute(sql, cut.parameters).fetchall():
        scaled = round(weight * ONE)
        for at in range(HOUR_MINUTES):
            count = packed[at % _LANE] >> at // _LANE * _LANE & (1 << _LANE) - 1
            if count:
                minute = hour * HOUR_MINUTES + at
                found[minute] = found.get(minute, 0) + count * scaled
    return found
