"""Which rows of a rollup a question speaks of: whole hours, and any filters.

The history keeps no messages, so a span is widened to whole hours; an answer says which it speaks of. What can be filtered by is
what was kept: the dimensions of `schema`, and `peer_id` and `session_id`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import duckdb

from feedback_analysis.history.schema import DIMENSIONS, FOLDED, HOUR_MS, MEANS, UNFOLDED
from feedback_analysis.measures.exact import ONE
from feedback_analysis.measures.registry import COUNTS, Measure, View, measure_of
from feedback_analysis.measures.selection import OTHER, Span
from feedback_analysis.measures.statistics import Rows

MEASURES_KEPT = (*MEANS, "contribution_ratio", "startup_ms")
"""Beside the counts of peers and messages."""

IDENTITIES = {"peer_id": ("peer", "peers"), "session_id": ("session", "sessions")}


def check_kept(names: Sequence[str], *, among: Sequence[str] = (*DIMENSIONS, *IDENTITIES)) -> None:
    """ValueError unless each of `names` was kept."""
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
    """The whole hours that hold `span`."""
    return Span(span.from_ms // HOUR_MS * HOUR_MS, -(-span.to_ms // HOUR_MS) * HOUR_MS)


def weighed(count: str) -> str:
    """SQL: the exact weight of `count` messages, in the units of measures.exact."""
    return f"coalesce(sum({count} * CAST(weight * {ONE}::DOUBLE AS HUGEINT)), 0)"


def mean_sums(measure: str) -> tuple[str, str]:
    """SQL: numerator and denominator of a mean or of the contribution ratio, exact."""
    if measure in MEANS:
        return f"coalesce(sum({measure}_sum), 0)", weighed(f"{measure}_n")
    return "coalesce(sum(both_upload_sum), 0)", "coalesce(sum(both_download_sum), 0)"


@dataclass(slots=True)
class Cut:
    """SQL of the rows in whole hours of `span` (None: all) that match `where`, told apart `by` dimensions, and its parameters."""

    span: Span | None
    where: Mapping[str, str]
    by: Sequence[str] = ()
    parameters: dict[str, object] = field(default_factory=dict)
    slices: str = "slices"
    """The table of the names of slices: all of them, or `shown` with the largest groups and `(other)`."""

    def __post_init__(self) -> None:
        check_kept(tuple(self.where))
        check_kept(self.by, among=DIMENSIONS)

    @property
    def aliases(self) -> list[str]:
        return [f"by_{at}" for at in range(len(self.by))]

    def sql(self, table: str, *columns: str, joined: str = "") -> str:
        """SELECT `columns` and the groups' values as by_0, by_1, … from `table`; `joined`: what else is to be joined."""
        groups = [f"named.{name} AS {alias}" for name, alias in zip(self.by, self.aliases, strict=True)]
        slices = f"JOIN {self.slices} AS named ON named.id = slice" if self.by else ""
        return f"SELECT {', '.join([*groups, *columns])} FROM {table} {slices} {joined} WHERE {self.condition(table)}"

    def rows(self, table: str, *columns: str) -> Rows:
        """The same, to be grouped and summed."""
        return Rows(sql=self.sql(table, *columns), parameters=self.parameters, aliases=self.aliases)

    def condition(self, table: str) -> str:
        clauses = []
        if self.span is not None:
            span = whole_hours(self.span)
            clauses += [f"hour >= {span.from_ms // HOUR_MS}", f"hour < {span.to_ms // HOUR_MS}"]
        if table == "presence" and "session_id" in self.where:
            raise ValueError("who was present is kept by peer; filter by peer_id instead of session_id")
        clauses += [
            f"{column} IN (SELECT id FROM {names} WHERE name = {self._bind(self.where[name])})"
            for name, column, names in self._identities()
        ]
        slices = [f"{name} = {self._bind(value)}" for name, value in self.where.items() if name in DIMENSIONS]
        if slices:
            clauses.append(f"slice IN (SELECT id FROM slices WHERE {' AND '.join(slices)})")
        return " AND ".join(clauses) or "true"

    def _identities(self) -> list[tuple[str, str, str]]:
        return [(name, *IDENTITIES[name]) for name in self.where if name in IDENTITIES]

    def _bind(self, value: str) -> str:
        """The name by which SQL knows `value`, the same for the same value."""
        for name, bound in self.parameters.items():
            if bound == value:
                return f"${name}"
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


@dataclass(slots=True, kw_only=True)
class Minutes:
    """SQL of rows of the tables that are kept for everybody and for each value of one dimension."""

    span: Span | None
    parameters: dict[str, object]

    @classmethod
    def of(cls, cut: Cut) -> "Minutes | None":
        """Those that hold what `cut` does; None under filters that minutes are not kept for."""
        if len(cut.where) > 1 or not set(cut.where) <= set(DIMENSIONS):
            return None
        dimension, value = next(iter(cut.where.items()), ("", ""))
        return cls(span=cut.span, parameters={"dimension": dimension, "value": value})

    def sql(self, *columns: str, joined: str = "", table: str = "minute_sums") -> str:
        return f"{Cut(self.span, {}).sql(table, *columns, joined=joined)} AND dimension = $dimension AND value = $value"

    @property
    def hours(self) -> str:
        """SQL: a relation of the same sums by the hour, as far as that has been made of the minutes: a sixtieth of the rows."""
        return f"({self.sql('*', table='hour_sums')} AND {FOLDED} UNION ALL BY NAME {self.sql('*')} AND {UNFOLDED})"


def summed(cut: Cut, *sums: str, joined: str = "") -> tuple[str, dict[str, object]]:
    """SQL that makes `sums` of the messages that `cut` holds, of as few rows as there are for that, and its parameters."""
    kept = Minutes.of(cut) if not cut.by else None
    if kept is None:
        return cut.sql("session_hour", *sums, joined=joined), cut.parameters
    return f"SELECT {', '.join(sums)} FROM {kept.hours} {joined}", kept.parameters


def with_largest(cursor: duckdb.DuckDBPyConnection, cut: Cut, top: int) -> tuple[Cut, int]:
    """`cut` with its `top` groups of the most messages told apart, the others as `(other)`, and how many these are.

    The names that are shown stand in the temporary table `shown`, like those of `slices`.
    """
    if not cut.by:
        return cut, 0
    names, aliases = ", ".join(cut.by), ", ".join(cut.aliases)
    all_other = " AND ".join(f"{name} = '{OTHER}'" for name in cut.by)
    [(known,)] = cursor.execute(f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM slices WHERE NOT ({all_other}))").fetchall()
    if known <= top:
        return cut, 0
    renamed = ", ".join(f"{alias} AS {name}" for alias, name in zip(cut.aliases, cut.by, strict=True))
    rows = cut.sql("session_hour", "weight", "messages")
    sums = f"SELECT {renamed}, {weighed('messages')} AS held FROM ({rows}) GROUP BY {aliases}"
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE found AS SELECT * FROM ({sums}) WHERE NOT ({all_other})", cut.parameters)
    [(groups,)] = cursor.execute("SELECT count(*) FROM found").fetchall()
    if groups <= top:
        return cut, 0
    others = ", ".join(f"CASE WHEN held IS NULL THEN '{OTHER}' ELSE slices.{name} END AS {name}" for name in cut.by)
    most = f"SELECT * FROM found ORDER BY held DESC, {names} LIMIT {top}"
    same = " AND ".join(f"most.{name} = slices.{name}" for name in cut.by)
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE shown AS SELECT id, {others} FROM slices LEFT JOIN ({most}) AS most ON {same}")
    return replace(cut, slices="shown"), int(groups) - top
