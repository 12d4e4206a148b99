"""Groups of the records of one kind: which records belong to each group, and how a value is distributed over them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

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


def groups_of(
    db: duckdb.DuckDBPyConnection,
    kind: RecordKind,
    by: Sequence[str],
    where: Mapping[str, str],
    dimension_sql: Callable[[str], str],
) -> Iterator[tuple[Mapping[str, str | None], int]]:
    """The values of the dimensions `by` of each group of the records of `kind`, and its number of records, the largest first.

    While a group is yielded, its records are in the temporary table `chosen`. `dimension_sql`: the SQL of a dimension; it raises a
    ValueError if a name is no dimension.
    """
    matches, parameters = where_sql(where, dimension_sql)
    columns = "".join(f", {dimension_sql(name)} AS d{number}" for number, name in enumerate(by))
    db.execute(f"CREATE OR REPLACE TEMP TABLE matching AS SELECT *{columns} FROM {kind} WHERE {matches}", parameters)
    keys = "".join(f", d{number}" for number in range(len(by)))
    groups = db.execute(f"SELECT count(*){keys} FROM matching GROUP BY ALL ORDER BY ALL DESC").fetchall()
    same = " AND ".join([f"d{number} IS NOT DISTINCT FROM $v{number}" for number in range(len(by))] or ["true"])
    for count, *values in groups:
        if count:
            parameters = {f"v{number}": value for number, value in enumerate(values)}
            db.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS FROM matching WHERE {same}", parameters)
            yield dict(zip(by, values, strict=True)), int(count)


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
