"""A row for each day (or hour, month, year): the paper's Figures 4(a) to (d) and 5(a) as one table, and peers by ISP (Table 1).

The means and peers of a day equal those of `measures.summary` for only that day. A peer is new if no earlier hour of the whole
history has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import duckdb

from feedback_analysis.history.history_selection import HourSelection, mean_sums, summed, weighed
from feedback_analysis.history.history_timeline import in_steps
from feedback_analysis.history.peers import IspPeers, PeerCounts, Weights, distinct, newcomers, present
from feedback_analysis.history.periods import JOINED, Periods, Unit, periods
from feedback_analysis.history.schema import HOUR_MINUTES
from feedback_analysis.history.store import HistoryStore, extent
from feedback_analysis.measures.exact import exact_sum, number, quotient
from feedback_analysis.measures.partials import ONLINE, STARTUP, STARTUP_SUMS
from feedback_analysis.measures.registry import START_FAILURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import DEFAULT_GROUPS
from feedback_analysis.messages.expressions import SUMS

MEANS = (
    *("mos", "continuity", "upload_kbps", "download_kbps", "playback_kbps", "contribution_ratio"),
    *("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms"),
)
"""The columns that are computed from sums over messages."""

COLUMNS = (
    *("period", "from", "to", "messages", "sessions", "new_peers", "total_peers", "cumulative_peers", "peak_concurrent_peers"),
    *("online_s_per_view", "online_s_per_peer", *MEANS, "startup_ms", START_FAILURES),
)

DailyRow = dict[str, Any]


def daily(
    store: HistoryStore,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    unit: Unit = "day",
    zone: str = "UTC",
) -> list[DailyRow]:
    """A row of COLUMNS for each period that `span` touches (None: for all that is kept)."""
    recorded = extent(store)
    if recorded is None:
        return []
    steps = periods(span or recorded, unit, zone)
    with store.reading() as cursor:
        isp_peers = IspPeers(cursor, HourSelection(steps.span, where or {}), steps)
        return _rows(cursor, where or {}, steps, recorded, isp_peers, period_s=store.basis.period_s)


def daily_and_coverage(
    store: HistoryStore, *, where: Mapping[str, str], unit: Unit, zone: str
) -> "tuple[list[DailyRow], list[Coverage]]":
    """Both tables over the whole history; the peers are read once for both."""
    recorded = extent(store)
    if recorded is None:
        return [], []
    steps = periods(recorded, unit, zone)
    with store.reading() as cursor:
        hours, _ = HourSelection(steps.span, where, ("isp",)).largest(cursor, DEFAULT_GROUPS)
        isp_peers = IspPeers(cursor, replace(hours, by=()), steps)
        rows = _rows(cursor, where, steps, recorded, isp_peers, period_s=store.basis.period_s)
        return rows, _covered(cursor, hours, steps, isp_peers, each=True)


def _rows(
    cursor: duckdb.DuckDBPyConnection,
    where: Mapping[str, str],
    steps: Periods,
    recorded: Span,
    isp_peers: IspPeers,
    *,
    period_s: float,
) -> list[DailyRow]:
    hours = HourSelection(steps.span, where)
    people = isp_peers.counts() if isp_peers.known else PeerCounts(distinct(cursor, hours, steps), newcomers(cursor, hours))
    columns = _people(cursor, where, steps, recorded, people.first) | _means(cursor, where, steps)
    columns |= _sessions(cursor, where, steps, people.distinct)
    columns[START_FAILURES] = _failures(cursor, HourSelection(steps.span, where, period_s=period_s), steps)
    return [
        {"period": name, "from": steps.begins_ms[at], "to": steps.begins_ms[at + 1]}
        | {column: columns[column][at] for column in COLUMNS[3:]}
        for at, name in enumerate(steps.names)
    ]


Columns = dict[str, Sequence[Any]]


def _people(
    cursor: duckdb.DuckDBPyConnection, where: Mapping[str, str], steps: Periods, recorded: Span, heard_first: Weights
) -> Columns:
    first = in_steps(heard_first, steps)
    all_kept = steps.span.from_ms <= recorded.from_ms and steps.span.to_ms >= recorded.to_ms
    new = first if all_kept else in_steps(newcomers(cursor, HourSelection(None, where)), steps)
    count = range(len(steps.names))
    return {
        "new_peers": [number(new.get(at, 0)) for at in count],
        "cumulative_peers": [number(each) for each in accumulate(first.get(at, 0) for at in count)],
        "peak_concurrent_peers": _peaks(cursor, where, steps),
    }


def _peaks(cursor: duckdb.DuckDBPyConnection, where: Mapping[str, str], steps: Periods) -> Sequence[float | None]:
    """The most peers present at the end of a minute; None under a filter by session, because presence is kept by peer."""
    if "session_id" in where:
        return [None] * len(steps.names)
    peaks, by_hour = [0] * len(steps.names), steps.by_hour
    for minute, peers in present(cursor, HourSelection(steps.span, where)).items():
        at = by_hour[minute // HOUR_MINUTES]
        peaks[at] = max(peaks[at], peers)
    return [number(peak) for peak in peaks]


def _sessions(cursor: duckdb.DuckDBPyConnection, where: Mapping[str, str], steps: Periods, total: Weights) -> Columns:
    hours = HourSelection(steps.span, where)
    columns = ("step", "max(weight) AS weight", STARTUP, ONLINE)
    sessions = f"{hours.sql('session_hour', *columns, joined=JOINED)} GROUP BY step, session"
    sums = (exact_sum("weight"), exact_sum("online_s * weight"), *STARTUP_SUMS)
    sql = f"SELECT step, {', '.join(sums)} FROM ({sessions}) GROUP BY step"
    found = {row[0]: row[1:] for row in cursor.execute(sql, {**hours.parameters, **steps.parameters}).fetchall()}
    each = [(*found.get(at, (0, 0, 0, 0)), total.get(at, 0)) for at in range(len(steps.names))]
    return {
        "total_peers": [number(peers) for *_, peers in each],
        "sessions": [number(weight) for weight, *_ in each],
        "online_s_per_view": [quotient(online, weight) for weight, online, *_ in each],
        "online_s_per_peer": [quotient(online, peers) for _, online, *_, peers in each],
        "startup_ms": [quotient(startup, started) for _, _, startup, started, _ in each],
    }


def _failures(cursor: duckdb.DuckDBPyConnection, hours: HourSelection, steps: Periods) -> Sequence[float | None]:
    """The share of the sessions that failed to start, of those that joined in each period, by what is known at its end."""
    starts = hours.starts(joined=JOINED, step="step")
    ends = {"ends": list(steps.begins_ms[1:])}
    sql = f"SELECT step, {', '.join(SUMS)} FROM ({starts.sql}) GROUP BY step"
    found = {step: sums for step, *sums in cursor.execute(sql, {**starts.parameters, **steps.parameters, **ends}).fetchall()}
    return [quotient(*found.get(at, (0, 0))) for at in range(len(steps.names))]


def _means(cursor: duckdb.DuckDBPyConnection, where: Mapping[str, str], steps: Periods) -> Columns:
    sums = [part for name in MEANS for part in mean_sums(name)]
    rows, parameters = summed(HourSelection(steps.span, where), "step", weighed("messages"), *sums, joined=JOINED)
    found = {row[0]: row[1:] for row in cursor.execute(f"{rows} GROUP BY step", {**parameters, **steps.parameters}).fetchall()}
    each = [found.get(at, (0,) * (1 + len(sums))) for at in range(len(steps.names))]
    means = {name: [quotient(*row[1 + 2 * at : 3 + 2 * at]) for row in each] for at, name in enumerate(MEANS)}
    return {"messages": [number(row[0]) for row in each], **means}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The peers of a period by ISP, and the shares of the ISPs. A peer that used two ISPs counts at both."""

    period: str
    peers: dict[str, float]

    @property
    def shares(self) -> dict[str, float]:
        overall = sum(self.peers.values())
        return {isp: peers / overall for isp, peers in self.peers.items()}


def coverage(
    store: HistoryStore,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    unit: Unit | None = None,
    zone: str = "UTC",
    top: int = DEFAULT_GROUPS,
) -> list[Coverage]:
    """The peers of each ISP, most first, per `unit` of time and then over all of them; the paper's Table 1.

    If there are more than `top` ISPs, those with the most messages stay separate; the others become one, `(other)`.
    """
    span = span or extent(store)
    if span is None:
        return []
    steps = periods(span, unit or "day", zone)
    with store.reading() as cursor:
        hours, _ = HourSelection(steps.span, where or {}, ("isp",)).largest(cursor, top)
        isp_peers = IspPeers(cursor, replace(hours, by=()), steps)
        return _covered(cursor, hours, steps, isp_peers, each=unit is not None)


def _covered(
    cursor: duckdb.DuckDBPyConnection, hours: HourSelection, steps: Periods, isp_peers: IspPeers, *, each: bool
) -> list[Coverage]:
    found: dict[int, dict[str, float]] = {}
    rows = _by_isp(isp_peers, steps, each=each) if isp_peers.known else _by_isp_from_rows(cursor, hours, steps, each=each)
    for step, isp, weight in rows:
        found.setdefault(step, {})[isp] = number(weight)
    names = [*steps.names, "all"]
    return [Coverage(names[step], found[step]) for step in sorted(found)]


def _by_isp(isp_peers: IspPeers, steps: Periods, *, each: bool) -> list[tuple[int, str, int]]:
    """Period, ISP and weight, by period and then most first; without `each`, only the row of all periods together."""
    rows = [(step, isp, weight) for (isp, step), weight in isp_peers.by_isp().items() if each or step == len(steps.names)]
    return sorted(rows, key=lambda row: (row[0], -row[2], row[1]))


def _by_isp_from_rows(
    cursor: duckdb.DuckDBPyConnection, hours: HourSelection, steps: Periods, *, each: bool
) -> list[tuple[int, str, int]]:
    rows = hours.sql("session_hour", "step", "peer", "weight", joined=JOINED)
    sets = "GROUPING SETS ((by_0, peer), (by_0, peer, step))" if each else "GROUPING SETS ((by_0, peer))"
    step = f"coalesce(step, {len(steps.names)})" if each else str(len(steps.names))
    peers = f"SELECT {step} AS period, by_0 AS isp, max(weight) AS weight FROM ({rows}) GROUP BY {sets}"
    sql = f"SELECT period, isp, {exact_sum('weight')} AS held FROM ({peers}) GROUP BY ALL ORDER BY period, held DESC, isp"
    return cursor.execute(sql, {**hours.parameters, **steps.parameters}).fetchall()
