"""Counts of peers: distinct per period, heard or present per minute, and new. Distinct peers are exact under any filter.

Within an hour a peer counts with its largest weight. A peer has only one weight without sampling, and in practice also with
sampling.
"""

from dataclasses import dataclass

import duckdb

from feedback_analysis.history.attendance import LANE, LANES, counted, unpacked
from feedback_analysis.history.history_selection import HourSelection, Minutes
from feedback_analysis.history.periods import JOINED, Periods
from feedback_analysis.history.schema import FOLDED, HOUR_MINUTES, UNFOLDED
from feedback_analysis.measures.exact import ONE, exact_sum
from feedback_analysis.time_units import MINUTE_MS

Weights = dict[int, int]
"""Exact weight by step or minute; a step without peers is not in it."""

_BITS = LANE * LANES


@dataclass(frozen=True, slots=True)
class PeerCounts:
    """`distinct`: the weight of the distinct peers of each period. `first`: the weight of the peers whose first message is in a
    minute."""

    distinct: Weights
    first: Weights


class IspPeers:
    """The peers of `hours` at each ISP, one row per peer and ISP with a bit for each period.

    `known`: whether bits are enough. They are not enough for more than 60 periods, or if a peer has several weights. Then the rows
    of the history have to be queried directly.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, hours: HourSelection, of: Periods) -> None:
        self._cursor = cursor
        self._of = of
        self._slices = hours.slices
        self.known = len(of.names) <= _BITS and self._collect(hours)

    def counts(self) -> PeerCounts:
        """The counts of all peers together."""
        each = "max(weight) AS weight, bit_or(bits) AS bits, min(first) AS first"
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE any_peer AS SELECT peer, {each} FROM isp_peer GROUP BY peer")
        first = self._cursor.execute(f"SELECT first, {exact_sum('weight')} FROM any_peer GROUP BY first").fetchall()
        return PeerCounts({step: weight for (_, step), weight in _by_bit(self._cursor, "any_peer", "false").items()}, dict(first))

    def by_isp(self) -> dict[tuple[str, int], int]:
        """Distinct peers by ISP and period; the number after the last period stands for all periods together."""
        sql = f"SELECT DISTINCT isp FROM {self._slices} ORDER BY isp"
        names = [name for (name,) in self._cursor.execute(sql).fetchall()]
        in_all = self._cursor.execute(f"SELECT isp, {exact_sum('weight')} FROM isp_peer GROUP BY isp").fetchall()
        found = {(names[number - 1], step): weight for (number, step), weight in _by_bit(self._cursor, "isp_peer", "isp").items()}
        return found | {(names[number - 1], len(self._of.names)): weight for number, weight in in_all}

    def _collect(self, hours: HourSelection) -> bool:
        numbers = f"JOIN (SELECT id, dense_rank() OVER (ORDER BY isp) AS isp FROM {self._slices}) AS isps ON isps.id = slice"
        rows = f"{hours.sql('session_hour', 'isp', 'peer', *_ISP_PEER_COLUMNS, joined=f'{numbers} {JOINED}')} GROUP BY isp, peer"
        self._cursor.execute(f"CREATE OR REPLACE TEMP TABLE isp_peer AS {rows}", {**hours.parameters, **self._of.parameters})
        # If each peer has one weight, its largest weight applies to every period.
        each = "SELECT max(weight) AS most, min(least) AS least FROM isp_peer GROUP BY peer"
        return self._cursor.execute(f"SELECT count(*) FROM ({each}) WHERE least <> most").fetchall() == [(0,)]


_ISP_PEER_COLUMNS = (
    *("max(weight) AS weight", "min(weight) AS least", "bit_or(1::UBIGINT << step::UBIGINT) AS bits"),
    f"min(first_ms) // {MINUTE_MS} AS first",
)


def distinct(cursor: duckdb.DuckDBPyConnection, hours: HourSelection, of: Periods) -> Weights:
    """Distinct peers by period."""
    rows = hours.sql("session_hour", "step", "peer", "max(weight) AS weight", joined=JOINED)
    sql = f"SELECT step, {exact_sum('weight')} FROM ({rows} GROUP BY step, peer) GROUP BY step"
    return dict(cursor.execute(sql, hours.parameters | of.parameters).fetchall())


def heard(cursor: duckdb.DuckDBPyConnection, hours: HourSelection) -> Weights:
    """Distinct peers with a message in each minute (since 1970)."""
    return _by_minute(cursor, hours, "session_hour", "heard")


def present(cursor: duckdb.DuckDBPyConnection, hours: HourSelection, *, at_hours: bool = False) -> Weights:
    """Peers present at the end of each minute (since 1970); `at_hours`: only of the last minute of each hour."""
    only = f"present >= {1 << (HOUR_MINUTES - 1)}::UBIGINT" if at_hours else "true"
    kept = Minutes.of(hours)
    if kept is None:
        return _by_minute(cursor, hours, "presence", "present", only=only)
    minute = f"minute % {HOUR_MINUTES} = {HOUR_MINUTES - 1}" if at_hours else "true"
    attendance = kept.sql("minute", "weight", table="attendance")
    folded = dict(cursor.execute(f"{attendance} AND {minute} AND {FOLDED}", kept.parameters).fetchall())
    if cursor.execute(f"SELECT hour FROM unfolded WHERE {HourSelection(hours.span, {}).condition('unfolded')} LIMIT 1").fetchall():
        return folded | _by_minute(cursor, hours, "presence", "present", only=f"{only} AND {UNFOLDED}")
    return folded


def newcomers(cursor: duckdb.DuckDBPyConnection, hours: HourSelection) -> Weights:
    """Peers by the minute (since 1970) of their first message within `hours`."""
    first = f"{hours.sql('session_hour', 'min(first_ms) AS first_ms', 'max(weight) AS weight')} GROUP BY peer"
    sql = f"SELECT first_ms // {MINUTE_MS}, {exact_sum('weight')} FROM ({first}) GROUP BY 1"
    return dict(cursor.execute(sql, hours.parameters).fetchall())


def _by_minute(cursor: duckdb.DuckDBPyConnection, hours: HourSelection, table: str, bits: str, *, only: str = "true") -> Weights:
    rows = f"{hours.sql(table, 'hour', 'max(weight) AS weight', f'bit_or({bits}) AS bits', 'peer')} AND {only} GROUP BY hour, peer"
    counts = _by_bit(cursor, f"({rows})", "hour", hours.parameters)
    return {hour * HOUR_MINUTES + at: weight for (hour, at), weight in counts.items()}


def _by_bit(
    cursor: duckdb.DuckDBPyConnection, rows: str, key: str, parameters: dict[str, object] | None = None
) -> dict[tuple[int, int], int]:
    """The exact weight of the peers in `rows` that have a bit set, by `key` and bit."""
    found: dict[tuple[int, int], int] = {}
    for of, weight, *sums in cursor.execute(counted(rows, key), parameters or {}).fetchall():
        scaled = round(weight * ONE)
        for at, count in unpacked(sums):
            found[of, at] = found.get((of, at), 0) + count * scaled
    return found
