"""Sums of groups of measurements: how the operations ended, and the distribution of each measured value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback_analysis.measurements.measurement_table import MeasurementTable, dimension_sql

_VALUES = """
    SELECT key, count(number), avg(number), min(number), quantile_cont(number, 0.5), quantile_cont(number, 0.95), max(number)
    FROM (SELECT key, TRY_CAST(json_extract_string("values", '$."' || key || '"') AS DOUBLE) AS number
          FROM (SELECT "values", unnest(json_keys("values")) AS key FROM chosen) WHERE NOT contains(key, '"'))
    WHERE isfinite(number) GROUP BY key ORDER BY key
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueSummary:
    """The distribution of one value over the operations that measured it, in the unit that its name states."""

    n: int
    mean: float
    min: float
    p50: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementGroup:
    """One group of operations: its dimensions, how many operations ended in each status, and the measured values."""

    by: Mapping[str, str | None]
    operations: int
    statuses: Mapping[str, int]
    values: Mapping[str, ValueSummary]


def summarize_measurements(
    table: MeasurementTable, by: Sequence[str] = (), where: Mapping[str, str] | None = None
) -> list[MeasurementGroup]:
    """A summary of each group of `by`, the largest first, of the operations that match `where`.

    ValueError if a name is no dimension (see `dimension_sql`).
    """
    filters = {f"v{number}": (dimension_sql(name), value) for number, (name, value) in enumerate((where or {}).items())}
    matches = " AND ".join([f"{sql} = ${name}" for name, (sql, _) in filters.items()] or ["true"])
    names = [f"{dimension_sql(name)} AS d{number}" for number, name in enumerate(by)]
    columns = "".join(f", {name}" for name in names)
    parameters = {name: value for name, (_, value) in filters.items()}
    chosen = f'SELECT status, "values"{columns} FROM measurement WHERE {matches}'
    table.db.execute(f"CREATE OR REPLACE TEMP TABLE matching AS {chosen}", parameters)
    keys = ", ".join(f"d{number}" for number in range(len(by)))
    groups = table.db.execute(
        f"SELECT count(*){', ' + keys if keys else ''} FROM matching GROUP BY ALL ORDER BY ALL DESC"
    ).fetchall()
    return [_group(table, dict(zip(by, values, strict=True)), int(count)) for count, *values in groups if count]


def _group(table: MeasurementTable, by: Mapping[str, str | None], operations: int) -> MeasurementGroup:
    same = " AND ".join([f"d{number} IS NOT DISTINCT FROM $v{number}" for number in range(len(by))] or ["true"])
    parameters = {f"v{number}": value for number, value in enumerate(by.values())}
    table.db.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS FROM matching WHERE {same}", parameters)
    statuses = table.db.execute("SELECT status, count(*) FROM chosen GROUP BY status ORDER BY count(*) DESC, status").fetchall()
    values = table.db.execute(_VALUES).fetchall()
    return MeasurementGroup(
        by=by,
        operations=operations,
        statuses={str(status): int(count) for status, count in statuses},
        values={
            str(name): ValueSummary(n=n, mean=mean, min=least, p50=p50, p95=p95, max=most)
            for name, n, mean, least, p50, p95, most in values
        },
    )
