"""Groups of the records of one kind: which records belong to each group, and how a value is distributed over them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable
from feedback_wire.kinds import RecordKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSummary:
    """The distribution of one value over the records that have it, in the unit that its name states."""

    n: int
    mean: float
    min: float
    p50: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordGroup:
    """One group of records: its dimensions, and the distribution of each value."""

    by: Mapping[str, str | None]
    values: Mapping[str, ValueSummary]

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of records, as columns of a table."""
        raise NotImplementedError


def groups_of(
    db: duckdb.DuckDBPyConnection,
    kind: RecordKind,
    by: Sequence[str],
    where: Mapping[str, str],
    dimension_sql: Callable[[str], str],
    *,
    span: Span | None = None,
    top: int | None = None,
) -> Iterator[tuple[Mapping[str, str | None], int]]:
    """The values of the dimensions `by` of each group of the records of `kind`, and its number of records, the largest first.

    While a group is yielded, its records are in the temporary table `chosen`. `dimension_sql`: the SQL of a dimension; it raises a
    ValueError if a name is no dimension. `span`: only records that were received in it. `top`: the most groups.
    """
    matching, parameters = _matching(kind, by, where, dimension_sql, span)
    db.execute(f"CREATE OR REPLACE TEMP TABLE matching AS {matching}", parameters)
    keys = "".join(f", d{number}" for number in range(len(by)))
    limit = "" if top is None else f"LIMIT {int(top)}"
    groups = db.execute(f"SELECT count(*){keys} FROM matching GROUP BY ALL ORDER BY ALL DESC {limit}").fetchall()
    same = " AND ".join([f"d{number} IS NOT DISTINCT FROM $v{number}" for number in range(len(by))] or ["true"])
    for count, *values in groups:
        if count:
            parameters = {f"v{number}": value for number, value in enumerate(values)}
            db.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS FROM matching WHERE {same}", parameters)
            yield dict(zip(by, values, strict=True)), int(count)


def count_groups(
    table: RecordTable, *, span: Span, by: Sequence[str], where: Mapping[str, str], dimension_sql: Callable[[str], str]
) -> int:
    """The number of groups of `by` among the records that match `where`."""
    matching, parameters = _matching(table.kind, by, where, dimension_sql, span)
    keys = ", ".join([f"d{number}" for number in range(len(by))] or ["1"])
    with table.reading() as db:
        [(number,)] = db.execute(f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM ({matching}))", parameters).fetchall()
    return int(number)


def _matching(
    kind: RecordKind, by: Sequence[str], where: Mapping[str, str], dimension_sql: Callable[[str], str], span: Span | None
) -> tuple[str, dict[str, Any]]:
    matches, parameters = where_sql(where, dimension_sql)
    columns = "".join(f", {dimension_sql(name)} AS d{number}" for number, name in enumerate(by))
    within = "" if span is None else f" AND received_ms >= {int(span.from_ms)} AND received_ms < {int(span.to_ms)}"
    return f"SELECT *{columns} FROM {kind} WHERE {matches}{within}", dict(parameters)


STATISTICS = ("n", "mean", "min", "p50", "p95", "max")
"""The columns of the distribution of a value."""


def table_of(groups: Sequence[RecordGroup], by: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """The names and rows of a table: one row for each value of each group. A group without values has one row without a value."""
    counts = groups[0].counts if groups else {}
    rows: list[list[Any]] = []
    for group in groups:
        begin = [*group.by.values(), *group.counts.values()]
        rows += [[*begin, name, *(getattr(value, each) for each in STATISTICS)] for name, value in group.values.items()]
        if not group.values:
            rows.append([*begin, *[None] * (1 + len(STATISTICS))])
    return [*by, *counts, "value", *STATISTICS], rows


def where_sql(where: Mapping[str, str], dimension_sql: Callable[[str], str]) -> tuple[str, dict[str, str]]:
    """SQL: whether a record has these values of these dimensions; and its parameters."""
    conditions = [f"{dimension_sql(name)} = $w{number}" for number, name in enumerate(where)]
    return " AND ".join(conditions or ["true"]), {f"w{number}": value for number, value in enumerate(where.values())}


def distributions(db: duckdb.DuckDBPyConnection, numbers: str) -> dict[str, ValueSummary]:
    """The distribution of each value. `numbers`: SQL of rows with the columns `key` and `number`."""
    rows: list[tuple[Any, ...]] = db.execute(f"""
        SELECT key, count(number), avg(number), min(number), quantile_cont(number, 0.5), quantile_cont(number, 0.95), max(number)
        FROM ({numbers}) WHERE isfinite(number) GROUP BY key ORDER BY key
    """).fetchall()
    return {
        str(key): ValueSummary(n=n, mean=mean, min=least, p50=p50, p95=p95, max=most)
        for key, n, mean, least, p50, p95, most in rows
    }
