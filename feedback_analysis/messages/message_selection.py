"""The partials of the table of messages: SQL over `feedback`, one row per message."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import duckdb

from feedback_analysis.measures.exact import exact_sum, exact_weight, exact_whole
from feedback_analysis.measures.filters import Range
from feedback_analysis.measures.partials import (
    DECIMALS,
    DOWNLOAD_OF_BOTH,
    ONLINE,
    RATES,
    SESSION_COLUMNS,
    UPLOAD_OF_BOTH,
    Partials,
    Sums,
)
from feedback_analysis.measures.registry import START_FAILURES, Kind, Measure, measure_of
from feedback_analysis.measures.selection import (
    EXTRA,
    MEAN,
    NOT,
    OTHER,
    REPORTING_PERIOD_S,
    UNKNOWN,
    Span,
    UnknownDimension,
    extra_pointer,
    is_dimension,
    left_out_by,
)
from feedback_analysis.measures.statistics import Group, Quantiles, Rows, equally_weighted, is_sampled, quantiles
from feedback_analysis.messages.expressions import LONGEST, SCORES, SUMS, number_of, sums_of, value_and_base
from feedback_analysis.messages.online_time import uptime_steps, with_continuous_uptime
from feedback_analysis.messages.outside import SESSION
from feedback_analysis.messages.session_counters import COUNTERS, continued
from feedback_analysis.messages.stalls_and_starts import (
    LOOK_BACK_MS,
    PATIENCE_PERIODS,
    VALUE_AND_BASE,
    increased,
    stall_lengths,
    starts,
)
from feedback_analysis.quality.model import call

_OF_SESSIONS = ("session_id", "peer_id", "seq", "weight", "startup_ms", "uptime_ms", "received_ms")
"""The columns of messages from which the rows of sessions are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptGroups:
    """The groups by `names` that stay separate: the rows of the temporary `table`, in columns `TABLE_0`, `TABLE_1`, …"""

    table: str
    names: tuple[str, ...]


@dataclass(slots=True)
class MessageSelection(Partials):
    """SQL of the selected messages. If `kept` has the columns of a group, groups that are not in its table are `(other)`."""

    kept: Sequence[KeptGroups] = ()
    period_s: float = REPORTING_PERIOD_S
    """The end hosts' reporting period."""

    def sql(self, *columns: str, totals: Collection[str] = (), increases: bool = False) -> str:
        """SELECT `columns` and the groups' values as by_0, by_1, … of the selected messages.

        `totals`: columns that are read; of the session counters among them, the totals are read (see session_counters.py).
        `increases`: the increases of the session counters can be read, too (see playback.py).
        """
        if increases:
            return self._sql(self._increases(), *columns)
        if COUNTERS.isdisjoint(totals):
            return f"{self._sql('feedback', *columns)} WHERE {self.condition()}"
        return self._sql(f"({continued(f'SELECT * FROM feedback WHERE {self.condition()}', totals)})", *columns)

    def _sql(self, rows: str, *columns: str) -> str:
        """SELECT `columns` and the groups' values of `rows`, a relation of messages."""
        kept = {name: f"{each.table}_{at}" for each in self.kept for at, name in enumerate(each.names)}
        values = (f"coalesce({kept[name]}, '{OTHER}')" if name in kept else self.dimension(name) for name in self.by)
        groups = [f"{value} AS {alias}" for value, alias in zip(values, self.aliases, strict=True)]
        return f"SELECT {', '.join([*groups, *columns])} FROM {rows}{self._joins()}"

    def rows(self, *columns: str, totals: Collection[str] = ()) -> Rows:
        """The same, to be grouped and aggregated."""
        return Rows(sql=self.sql(*columns, totals=totals), parameters=self.parameters, aliases=self.aliases)

    def condition(self) -> str:
        """SQL: whether a message is selected."""
        clauses = []
        if self.span is not None:
            low, high = self.bind(self.span.from_ms), self.bind(self.span.to_ms)
            clauses.append(f"received_ms >= {low} AND received_ms < {high}")
        clauses += [self._clause(name, value) for name, value in self.where.items()]
        return " AND ".join(clauses) or "true"

    def dimension(self, name: str) -> str:
        """SQL: the value of the dimension `name`; ValueError if it is none."""
        if not is_dimension(name):
            raise UnknownDimension(name)
        if name.startswith(EXTRA):
            return f"coalesce(json_extract_string(extra, {self.bind(extra_pointer(name))}), '{UNKNOWN}')"
        return name

    def values(self, measure: Measure, *columns: str, aliases: tuple[str, ...] = ()) -> Rows:
        """A row per message with `weight`, `value`, `base` and `columns`; `aliases`: which of `columns` are groups too.

        The measure is the sum of value·weight over the sum of base·weight.
        """
        if measure.name in SCORES:
            # In two steps, because a score may read the previous message, and that must not be computed twice.
            model = SCORES[measure.name]
            scores = self.sql(*columns, "weight", f"{call(model)} AS value", totals=model.columns)
            sql = f"SELECT *, CASE WHEN value IS NOT NULL THEN 1 END AS base FROM ({scores})"
        elif measure.kind is Kind.LONGEST:
            lengths = stall_lengths(increased(self._whole_sessions(look_back_ms=LOOK_BACK_MS)))
            length = ("length_ms AS value", "CASE WHEN length_ms IS NOT NULL THEN 1 END AS base")
            sql = self._sql(f"(SELECT * FROM ({lengths}) WHERE {self.condition()})", *columns, "weight", *length)
        elif measure.name == START_FAILURES:
            sql = self._sql(self._starts(), *columns, "weight", "start_failed AS value", "1 AS base")
        else:
            value, base = value_and_base(measure, self)
            increases = measure.name in VALUE_AND_BASE
            sql = self.sql(*columns, "weight", f"{value} AS value", f"{base} AS base", increases=increases)
        return Rows(sql=sql, parameters=self.parameters, aliases=(*self.aliases, *aliases), total=False)

    def measured(self, measure: Measure, *columns: str, aliases: tuple[str, ...] = ()) -> Rows:
        """The same; a row per session if the measure has one value per session."""
        rows = self.values(measure, *columns, "session_id", "seq", aliases=aliases)
        if measure.kind is not Kind.SESSION:
            return rows
        last = "arg_max(value, seq) FILTER (WHERE value IS NOT NULL)"
        return rows.each("session_id", "max(weight) AS weight", f"{last} AS value", "max(base) AS base")

    def covered(self, cursor: duckdb.DuckDBPyConnection) -> Span | None:
        if self.span is not None:
            return self.span
        [(first, last)] = cursor.execute("SELECT min(received_ms), max(received_ms) FROM feedback").fetchall()
        return None if first is None else Span(first, last + 1)

    def sessions(self, cursor: duckdb.DuckDBPyConnection) -> Rows:
        return self._sessions(cursor, self._with_online_time(cursor, _OF_SESSIONS))

    def numbered_sessions(self, cursor: duckdb.DuckDBPyConnection) -> Rows:
        return self._sessions(cursor, self.sql(*_OF_SESSIONS))

    def _sessions(self, cursor: duckdb.DuckDBPyConnection, messages: str) -> Rows:
        groups = "".join(f", {alias}" for alias in self.aliases)
        partials = ", ".join(f"{column.of_messages} AS {column.name}" for column in SESSION_COLUMNS)
        sql = f"""
            SELECT session_id AS session, peer_id AS peer{groups}, max(weight) AS weight, count(*) AS messages, {partials}
            FROM ({messages}) GROUP BY session_id, peer_id{groups}
        """
        # Several queries read these few rows, so the rows are computed once.
        return Rows(sql=sql, parameters=self.parameters, aliases=self.aliases).kept(cursor, "session_row")

    def _with_online_time(self, cursor: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        """SQL: `columns` of the selected messages, with the continuous uptime as `uptime_ms` (see online_time.py)."""
        whole = replace(self, parameters={})
        # A restart may lie between messages that are not selected.
        steps = uptime_steps(whole._whole_sessions())
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE uptime_step AS {steps}", whole.parameters)
        if cursor.execute("SELECT count(*) FROM uptime_step").fetchall() == [(0,)]:
            return self.sql(*columns)
        chosen = f"SELECT * FROM feedback WHERE {self.condition()}"
        return self._sql(f"({with_continuous_uptime(chosen, 'uptime_step')})", *columns)

    def online(self, cursor: duckdb.DuckDBPyConnection) -> str:
        """SQL with columns `session_id` and `online_s`: the online time of each selected session, computed once."""
        rows = f"SELECT session AS session_id, {ONLINE} FROM ({replace(self, parameters={}).sessions(cursor).sql}) GROUP BY session"
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE online AS {rows}")
        return "SELECT * FROM online"

    def peers(self) -> Rows:
        return self.rows("peer_id AS peer", "weight")

    def message_count(self) -> Sums:
        return Sums(rows=self.rows("weight"), aggregates=(exact_sum("weight"),))

    def sums(self, measure: Measure) -> Sums:
        return Sums(rows=self.measured(measure), aggregates=sums_of(measure))

    def summary_sums(self, cursor: duckdb.DuckDBPyConnection) -> tuple[Mapping[Group, tuple[int, ...]], Quantiles]:
        rows = self.rows("weight", *RATES)
        equal = equally_weighted(cursor, rows)
        sums = [exact_weight("weight", equal=equal)]
        sums += [exact_sum(f"{side} * weight") for side in (UPLOAD_OF_BOTH, DOWNLOAD_OF_BOTH)]
        for rate in RATES:
            sums += [exact_sum(f"{rate} * weight"), exact_weight(rate, equal=equal)]
        return rows.aggregate(cursor, *sums, total=False), quantiles(cursor, rows, RATES, equal=equal)

    def viewing(self, cursor: duckdb.DuckDBPyConnection) -> Mapping[str, Mapping[Group, tuple[int, ...]]]:
        columns = ("weight", "session_hash", "seq", "stall_count", "new_stalls", "more_stalled_ms", "more_played_ms")
        # A statement must not be given parameters that it does not use, so each has its own.
        grown, joined = (replace(self, parameters={}) for _ in range(2))
        # A stall may begin in a message that is not selected, so the lengths are those in whole sessions.
        whole = f"(SELECT *, {grown.condition()} AS selected FROM ({increased(grown._whole_sessions(look_back_ms=LOOK_BACK_MS))}))"
        sessions = Rows(sql=grown._sql(whole, *columns, "selected"), parameters=grown.parameters, aliases=self.aliases)
        sessions = sessions.kept(cursor, "viewed")
        rows = replace(sessions, sql=f"{sessions.sql} WHERE selected")
        sampled = is_sampled(cursor, rows)
        found = rows.aggregate(cursor, *(exact_whole(side, sampled=sampled) for pair in VALUE_AND_BASE.values() for side in pair))
        lengths = stall_lengths(f"{sessions.sql} WHERE new_stalls > 0 OR more_stalled_ms > 0")
        longest = replace(sessions, sql=f"SELECT *, length_ms AS value FROM ({lengths}) WHERE selected").aggregate(cursor, *LONGEST)
        tried = joined._sql(joined._starts(), "weight", "start_failed AS value", "1 AS base")
        failed = Rows(sql=tried, parameters=joined.parameters, aliases=self.aliases).aggregate(cursor, *SUMS)
        sums = {name: {group: row[2 * at : 2 * at + 2] for group, row in found.items()} for at, name in enumerate(VALUE_AND_BASE)}
        from_peers = self.rows("weight", "p2p_ratio AS value", "CASE WHEN p2p_ratio IS NOT NULL THEN 1 END AS base")
        return sums | {"longest_stall_ms": longest, START_FAILURES: failed, "p2p_ratio": from_peers.aggregate(cursor, *SUMS)}

    def peer_values(self, measure: Measure) -> Rows:
        value = number_of(measure)
        if measure.kind is Kind.SESSION:
            value = "arg_max(value, (received_ms, session_id, seq)) FILTER (WHERE value IS NOT NULL)"
        rows = self.values(measure, "peer_id", "session_id", "seq", "received_ms")
        return rows.each("peer_id", "peer_id", "max(weight) AS weight", f"round({value}, {DECIMALS}) AS value")

    def present(self, period_s: float) -> "MessageSelection":
        if self.span is None:
            raise ValueError("concurrent_peers of a region are those at the end of a time range; choose a time range")
        end_ms = self.span.to_ms
        return replace(self, span=Span(end_ms - round(period_s * 1000) + 1, end_ms + 1), parameters={})

    def largest(self, cursor: duckdb.DuckDBPyConnection, top: int, sessions: Rows | None = None) -> tuple[Self, int]:
        if not self.by:
            return self, 0
        among = sessions or self.rows()
        groups = f"SELECT DISTINCT {', '.join(self.aliases)} FROM ({among.sql}) WHERE NOT ({self._all_other()})"
        [(count,)] = cursor.execute(f"SELECT count(*) FROM ({groups})", among.parameters).fetchall()
        if count <= top:
            return self, 0
        return replace(self, kept=(*self.kept, self.keep_largest(cursor, top, table="largest"))), int(count) - top

    def keep_largest(self, cursor: duckdb.DuckDBPyConnection, top: int, *, table: str) -> KeptGroups:
        """Write the `top` groups with the most messages into the temporary `table`."""
        columns = ", ".join(f"{alias} AS {table}_{at}" for at, alias in enumerate(self.aliases))
        names = ", ".join(self.aliases)
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE {table} AS
            SELECT {columns} FROM ({self.sql("weight")}) WHERE NOT ({self._all_other()}) GROUP BY {names}
            ORDER BY {exact_sum("weight")} DESC, {names} LIMIT {top}
            """,
            self.parameters,
        )
        return KeptGroups(table=table, names=tuple(self.by))

    def left_out(self, cursor: duckdb.DuckDBPyConnection) -> tuple[int, int]:
        sums = "count(*) FILTER (WHERE NOT conflict), count(*) FILTER (WHERE conflict)"
        chosen = MessageSelection(self.span, {})
        sql = f"SELECT {sums} FROM duplicate WHERE {chosen.condition()}"
        [(duplicates, conflicts)] = cursor.execute(sql, chosen.parameters).fetchall()
        return int(duplicates), int(conflicts)

    def filled(self, cursor: duckdb.DuckDBPyConnection) -> str:
        gaps = "SELECT session AS session_id, low, high FROM gaps"
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE hashed AS SELECT *, {SESSION} AS hash FROM ({gaps})")
        overlap = "least(hashed.high, outside.high) - greatest(hashed.low, outside.low) + 1"
        parts = [f"SELECT session_id, greatest(0, {overlap}) AS filled FROM outside JOIN hashed ON hash = outside.session"]
        if self.span is not None:
            beyond = f"received_ms < {self.span.from_ms} OR received_ms >= {self.span.to_ms}"
            parts.append(
                f"SELECT session_id, 1 FROM (SELECT session_id, seq FROM feedback WHERE {beyond}) JOIN hashed USING (session_id) "
                "WHERE seq BETWEEN low AND high"
            )
        return f"SELECT session_id AS session, sum(filled)::BIGINT AS filled FROM ({' UNION ALL '.join(parts)}) GROUP BY session_id"

    def _increases(self) -> str:
        """SQL in parentheses: the selected messages with the increases of their counters.

        The previous message of a session may be outside the selection: it is searched among all messages of the session in the
        time range and just before it.
        """
        reached = self._whole_sessions(look_back_ms=LOOK_BACK_MS)
        return f"(SELECT * FROM ({increased(reached)}) WHERE {self.condition()})"

    def _starts(self) -> str:
        """SQL in parentheses: the first message of each selected session that tried to start (see playback.py)."""
        end_ms = "(SELECT max(received_ms) + 1 FROM feedback)" if self.span is None else str(self.span.to_ms)
        patient_ms = f"{end_ms} - {round(PATIENCE_PERIODS * self.period_s * 1000)}"
        joins = f"SELECT * FROM feedback WHERE event = 'join' AND {self.condition()}"
        return f"({starts(self._whole_sessions(), joins, patient_ms)})"

    def _whole_sessions(self, *, look_back_ms: int = 0) -> str:
        """SQL: all messages in the time range, and `look_back_ms` before it, of the sessions with a selected message."""
        clauses = []
        if self.span is not None:
            low, high = self.bind(self.span.from_ms - look_back_ms), self.bind(self.span.to_ms)
            clauses.append(f"received_ms >= {low} AND received_ms < {high}")
        if self.where:
            clauses.append(f"session_id IN (SELECT session_id FROM feedback WHERE {self.condition()})")
        return f"SELECT * FROM feedback WHERE {' AND '.join(clauses) or 'true'}"

    def _joins(self) -> str:
        return "".join(
            f" LEFT JOIN {each.table} ON "
            + " AND ".join(f"{each.table}_{at} = {self.dimension(name)}" for at, name in enumerate(each.names))
            for each in self.kept
        )

    def _all_other(self) -> str:
        return " AND ".join(f"{alias} = '{OTHER}'" for alias in self.aliases)

    def _clause(self, name: str, value: str) -> str:
        if name.startswith(MEAN):
            return self._within(name, value)
        if name.startswith(NOT):
            left_out = ", ".join(self.bind(each) for each in left_out_by(value))
            return f"{self.dimension(name.removeprefix(NOT))} NOT IN ({left_out})"
        return f"{self.dimension(name)} = {self.bind(value)}"

    def _within(self, name: str, text: str) -> str:
        """SQL: whether a message's peer has its mean in the range `text`, over the messages that the other filters select."""
        measure, wanted = measure_of(name.removeprefix(MEAN), "histogram"), Range.parse(text)
        others = {other: value for other, value in self.where.items() if other != name}
        # The same parameters, so that their names do not collide in the combined SQL.
        inner = MessageSelection(wanted.span or self.span, others, parameters=self.parameters, period_s=self.period_s)
        ends = [f"value >= {inner.bind(wanted.low)}"] if wanted.low is not None else []
        ends += [f"value < {inner.bind(wanted.high)}"] if wanted.high is not None else []
        return f"peer_id IN (SELECT peer_id FROM ({inner.peer_values(measure).sql}) WHERE {' AND '.join(ends)})"
