"""The partials of the history: SQL over its rows per hour, session, peer and slice.

The history keeps no messages. Therefore a time range is widened to whole hours, and an answer states the time range that it covers.
Filters are possible by what was kept: the dimensions of `schema`, `peer_id` and `session_id`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import duckdb

from feedback_analysis.history.schema import BLOCK, DIMENSIONS, FOLDED, LONGEST_STALL, MEANS, UNFOLDED, VIEWED
from feedback_analysis.measures.exact import ONE
from feedback_analysis.measures.partials import (
    DECIMALS,
    MERGED_WEIGHT,
    RATES,
    SESSION_NAMES,
    STARTUP,
    STARTUP_SUMS,
    Partials,
    Sums,
)
from feedback_analysis.measures.registry import COUNTS, START_FAILURES, Kind, Measure, View, measure_of
from feedback_analysis.measures.selection import OTHER, REPORTING_PERIOD_S, Span
from feedback_analysis.measures.statistics import Group, Quantiles, Rows
from feedback_analysis.messages.expressions import SUMS, largest
from feedback_analysis.messages.stalls_and_starts import PATIENCE_PERIODS
from feedback_analysis.time_units import HOUR_MS

MEASURES_KEPT = (*MEANS, "contribution_ratio", "startup_ms", *VIEWED, "longest_stall_ms", START_FAILURES)
"""The means, ratios and session measures that a history keeps; it keeps the counts of peers and messages as well."""

IDENTITIES = {"peer_id": ("peer", "peers"), "session_id": ("session", "sessions")}


def check_kept(names: Sequence[str], *, among: Sequence[str] = (*DIMENSIONS, *IDENTITIES)) -> None:
    """ValueError unless the history keeps each of `names`."""
    for name in names:
        if name not in among:
            raise ValueError(f"{name!r} is not kept in the history; choose from {', '.join(among)}, or measure the logs themselves")


def kept_measure(name: str, view: View) -> Measure:
    """The measure called `name`; ValueError if there is none, `view` cannot show it, or it was not kept."""
    measure = measure_of(name, view)
    if measure.kind not in COUNTS and name not in MEASURES_KEPT:
        raise ValueError(
            f"{name} is not kept in the history; choose from {', '.join(MEASURES_KEPT)}, or measure the logs themselves"
        )
    return measure


def whole_hours(span: Span) -> Span:
    """The whole hours that cover `span`."""
    return Span(span.from_ms // HOUR_MS * HOUR_MS, -(-span.to_ms // HOUR_MS) * HOUR_MS)


def weighed(count: str) -> str:
    """SQL: the exact weight of `count` messages, in the units of measures.exact."""
    return f"coalesce(sum({count} * CAST(weight * {ONE}::DOUBLE AS HUGEINT)), 0)"


def mean_sums(measure: str) -> tuple[str, str]:
    """SQL: numerator and denominator of a measure that is kept by the minute, exact."""
    if measure in MEANS:
        return f"coalesce(sum({measure}_sum), 0)", weighed(f"{measure}_n")
    if measure in VIEWED:
        return f"coalesce(sum({measure}_sum), 0)", f"coalesce(sum({measure}_base), 0)"
    if measure == LONGEST_STALL.name:
        return largest(measure)
    return "coalesce(sum(both_upload_sum), 0)", "coalesce(sum(both_download_sum), 0)"


@dataclass(slots=True)
class HourSelection(Partials):
    """SQL of the rows in the whole hours of `span` that match `where`; `by` names dimensions."""

    slices: str = "slices"
    """The table of the names of slices: all of them, or `shown` with the largest groups and `(other)`."""
    period_s: float = REPORTING_PERIOD_S
    """The end hosts' reporting period."""

    def __post_init__(self) -> None:
        check_kept(tuple(self.where))
        check_kept(self.by, among=DIMENSIONS)

    def sql(self, table: str, *columns: str, joined: str = "") -> str:
        """SELECT `columns` and the groups' values as by_0, by_1, … from `table`; `joined`: SQL of further joins."""
        groups = [f"named.{name} AS {alias}" for name, alias in zip(self.by, self.aliases, strict=True)]
        slices = f"JOIN {self.slices} AS named ON named.id = slice" if self.by else ""
        return f"SELECT {', '.join([*groups, *columns])} FROM {table} {slices} {joined} WHERE {self.condition(table)}"

    def rows(self, table: str, *columns: str) -> Rows:
        """The same, to be grouped and aggregated."""
        return Rows(sql=self.sql(table, *columns), parameters=self.parameters, aliases=self.aliases)

    def condition(self, table: str) -> str:
        """SQL: whether a row of `table` is selected."""
        clauses = []
        if self.span is not None:
            span = whole_hours(self.span)
            clauses += [f"hour >= {span.from_ms // HOUR_MS}", f"hour < {span.to_ms // HOUR_MS}"]
        if table == "presence" and "session_id" in self.where:
            raise ValueError("presence is kept by peer; filter by peer_id instead of session_id")
        clauses += [
            f"{column} IN (SELECT id FROM {names} WHERE name = {self.bind(self.where[name])})"
            for name, column, names in self._identities()
        ]
        slices = [f"{name} = {self.bind(value)}" for name, value in self.where.items() if name in DIMENSIONS]
        if slices:
            clauses.append(f"slice IN (SELECT id FROM slices WHERE {' AND '.join(slices)})")
        return " AND ".join(clauses) or "true"

    def covered(self, cursor: duckdb.DuckDBPyConnection) -> Span | None:
        if self.span is not None:
            return whole_hours(self.span)
        [(first, last)] = cursor.execute("SELECT min(first_ms), max(last_ms) FROM session_hour").fetchall()
        return None if first is None else Span(first, last + 1)

    def sessions(self, cursor: duckdb.DuckDBPyConnection) -> Rows:
        return self.rows("session_hour", *SESSION_NAMES)

    def peers(self) -> Rows:
        return self.rows("session_hour", "peer", "weight")

    def message_count(self) -> Sums:
        return Sums(rows=self.rows("session_hour", "weight", "messages"), aggregates=(weighed("messages"),))

    def sums(self, measure: Measure) -> Sums:
        if measure.kind is not Kind.SESSION:
            return Sums(rows=self.rows("session_hour", "*"), aggregates=mean_sums(measure.name))
        if measure.name == START_FAILURES:
            return Sums(rows=self.starts(), aggregates=SUMS)
        rows = self.rows("session_hour", "session", "weight", "startup_ms", "startup_seq")
        return Sums(rows=rows.each("session", MERGED_WEIGHT, STARTUP), aggregates=STARTUP_SUMS)

    def summary_sums(self, cursor: duckdb.DuckDBPyConnection) -> tuple[Mapping[Group, tuple[int, ...]], Quantiles]:
        rows = self.rows("session_hour", "*")
        sums = [weighed("messages"), *mean_sums("contribution_ratio"), *(each for rate in RATES for each in mean_sums(rate))]
        return rows.aggregate(cursor, *sums, total=False), {}

    def viewing(self, cursor: duckdb.DuckDBPyConnection) -> Mapping[str, Mapping[Group, tuple[int, ...]]]:
        kept = (*VIEWED, LONGEST_STALL.name, "p2p_ratio")
        found = self.rows("session_hour", "*").aggregate(cursor, *(side for name in kept for side in mean_sums(name)))
        sums = {name: {group: row[2 * at : 2 * at + 2] for group, row in found.items()} for at, name in enumerate(kept)}
        return sums | {START_FAILURES: self.starts().aggregate(cursor, *SUMS)}

    def starts(self, *columns: str, joined: str = "", step: str = "") -> Rows:
        """A row for each session that tried to start, with `value` (1: it failed), `base` (1), `weight`, `session` and `columns`.

        As `stalls_and_starts.starts`, from the rows of hours. `joined`: SQL of further joins. `step`: a column that they add; the
        result of a session is then that within the step, and the steps' ends are the parameter `ends`.
        """
        joins = replace(self, parameters=dict(self.parameters))
        chosen = joins.sql("session_hour", "session", "weight", "joined_seq", *filter(None, (step, *columns)), joined=joined)
        hours = HourSelection(self.span, {}).sql("session_hour", "session_hour.*", *filter(None, (step,)), joined=joined)
        last_ms = "(SELECT max(last_ms) + 1 FROM session_hour)"
        end_ms = f"$ends[any_value({step}) + 1]" if step else last_ms if self.span is None else str(whole_hours(self.span).to_ms)
        patient_ms = f"least({end_ms}, {last_ms}) - {round(PATIENCE_PERIODS * self.period_s * 1000)}"
        outcomes = f"""
            SELECT session, min(joined_seq) AS joined_seq, max(weight) AS session_weight, {f"{step}," if step else ""}
                   coalesce(bool_or(has_played), false) AS played, bool_or(has_left) AS gone, min(joined_ms) AS first_ms
            FROM ({hours}) GROUP BY session{f", {step}" if step else ""}
            HAVING min(joined_seq) IS NOT NULL AND (played OR gone OR first_ms < {patient_ms})
        """
        sql = f"""
            SELECT sent.* REPLACE (session_weight AS weight), CASE WHEN played THEN 0 ELSE 1 END AS value, 1 AS base
            FROM ({chosen}) AS sent JOIN ({outcomes}) USING (session, joined_seq{f", {step}" if step else ""})
        """
        return Rows(sql=sql, parameters=joins.parameters, aliases=self.aliases)

    def peer_values(self, measure: Measure) -> Rows:
        if measure.name == START_FAILURES:
            last = f"round(arg_max(value, (joined_ms, session)), {DECIMALS}) AS value"
            return self.starts("peer", "joined_ms").each("peer", MERGED_WEIGHT, last)
        if measure.kind is Kind.SESSION:
            # The last value that the peer sent. If two sessions sent in one millisecond, the session with the larger number counts.
            value = "arg_max(heard_startup_ms, heard_rank) FILTER (WHERE heard_rank IS NOT NULL)"
        else:
            above, below = mean_sums(measure.name)
            value = f"CASE WHEN {below} > 0 THEN {above} / {below} END"
        rows = self.rows("session_hour", "*")
        return rows.each("peer", MERGED_WEIGHT, f"round({value}, {DECIMALS}) AS value")

    def present(self, period_s: float) -> "HourSelection":
        raise ValueError("concurrent_peers of a region has a moment, not a time range; choose total_peers or a timeline")

    def largest(self, cursor: duckdb.DuckDBPyConnection, top: int, sessions: Rows | None = None) -> tuple[Self, int]:
        if not self.by:
            return self, 0
        names, aliases = ", ".join(self.by), ", ".join(self.aliases)
        all_other = " AND ".join(f"{name} = '{OTHER}'" for name in self.by)
        # Usually there are few names. Counting them costs less than counting the groups of the selected rows.
        known = f"SELECT DISTINCT {names} FROM slices WHERE NOT ({all_other})"
        if cursor.execute(f"SELECT count(*) FROM ({known})").fetchall()[0][0] <= top:
            return self, 0
        renamed = ", ".join(f"{alias} AS {name}" for alias, name in zip(self.aliases, self.by, strict=True))
        rows = self.sql("session_hour", "weight", "messages")
        sums = f"SELECT {renamed}, {weighed('messages')} AS held FROM ({rows}) GROUP BY {aliases}"
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE found AS SELECT * FROM ({sums}) WHERE NOT ({all_other})", self.parameters)
        [(groups,)] = cursor.execute("SELECT count(*) FROM found").fetchall()
        if groups <= top:
            return self, 0
        others = ", ".join(f"CASE WHEN held IS NULL THEN '{OTHER}' ELSE slices.{name} END AS {name}" for name in self.by)
        most = f"SELECT * FROM found ORDER BY held DESC, {names} LIMIT {top}"
        same = " AND ".join(f"most.{name} = slices.{name}" for name in self.by)
        shown = f"SELECT id, {others} FROM slices LEFT JOIN ({most}) AS most ON {same}"
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE shown AS {shown}")
        return replace(self, slices="shown"), int(groups) - top

    def left_out(self, cursor: duckdb.DuckDBPyConnection) -> tuple[int, int]:
        duplicates, conflicts = (
            cursor.execute(f"SELECT coalesce(sum({table}), 0) FROM {table} WHERE {self._hours(table)}").fetchall()[0][0]
            for table in ("copies", "conflicts")
        )
        return int(duplicates), int(conflicts)

    def filled(self, cursor: duckdb.DuckDBPyConnection) -> str:
        if self.span is None:
            return "SELECT NULL::INTEGER AS session, NULL::BIGINT AS filled WHERE false"
        bits = f"bit_count(bit_or(numbers) & {_mask('low', 'high')})"
        return f"""
            SELECT session, sum(received)::BIGINT - any_value(heard) AS filled FROM (
                SELECT session, block, heard, {bits} AS received FROM seen JOIN gaps USING (session)
                WHERE block BETWEEN low // {BLOCK} AND high // {BLOCK} GROUP BY session, block, low, high, heard
            ) GROUP BY session
        """

    def _hours(self, table: str) -> str:
        return HourSelection(self.span, {}).condition(table)

    def _identities(self) -> list[tuple[str, str, str]]:
        return [(name, *IDENTITIES[name]) for name in self.where if name in IDENTITIES]


@dataclass(slots=True, kw_only=True)
class Minutes:
    """SQL of the rows of a minute, from tables that are kept in total and for each value of one dimension."""

    span: Span | None
    parameters: dict[str, object]

    @classmethod
    def of(cls, selection: HourSelection) -> "Minutes | None":
        """The minutes of `selection`; None under filters for which minutes are not kept."""
        if len(selection.where) > 1 or not set(selection.where) <= set(DIMENSIONS):
            return None
        dimension, value = next(iter(selection.where.items()), ("", ""))
        return cls(span=selection.span, parameters={"dimension": dimension, "value": value})

    def sql(self, *columns: str, joined: str = "", table: str = "minute_sums") -> str:
        return f"{HourSelection(self.span, {}).sql(table, *columns, joined=joined)} AND dimension = $dimension AND value = $value"

    @property
    def hours(self) -> str:
        """SQL: the same sums per hour where an hour is folded (a sixtieth of the rows), else per minute."""
        return f"({self.sql('*', table='hour_sums')} AND {FOLDED} UNION ALL BY NAME {self.sql('*')} AND {UNFOLDED})"


def summed(selection: HourSelection, *sums: str, joined: str = "") -> tuple[str, dict[str, object]]:
    """SQL of `sums` over the selected messages, from the table with the fewest rows that can answer it, and its parameters."""
    kept = Minutes.of(selection) if not selection.by else None
    if kept is None:
        return selection.sql("session_hour", *sums, joined=joined), selection.parameters
    return f"SELECT {', '.join(sums)} FROM {kept.hours} {joined}", kept.parameters


def _mask(low: str, high: str) -> str:
    """SQL: the bits of the numbers of a block from `low` to `high`. At least one number of the block is in this range."""
    first = f"greatest(0, {low} - block * {BLOCK})"
    last = f"least({BLOCK - 1}, {high} - block * {BLOCK})"
    return f"(({2**BLOCK - 1}::UBIGINT >> ({BLOCK - 1} - {last} + {first})::UBIGINT) << {first}::UBIGINT)"
