"""Weighted statistics over any rows, in total and per group in one pass.

The quantile q is the smallest value for which at least the share q of the weight is at or below it (the inverse of the distribution
function). It is always a value that occurs, and weights that are all equal do not change it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import duckdb

from feedback_analysis.measures.exact import ONE

Group = tuple[Any, ...]
"""The values by which the rows of a group are grouped; all None: the total."""

MEDIAN = Fraction(1, 2)
P95 = Fraction(19, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """A SELECT with a column `weight` and the columns `aliases`, by which rows are grouped.

    `total`: aggregate over all rows together as well.
    """

    sql: str
    parameters: dict[str, object]
    aliases: Sequence[str] = ()
    total: bool = True

    def each(self, key: str, *columns: str) -> "Rows":
        """One row per value of `key` in each group, and in the total, with `columns` (SQL aggregates with names)."""
        chosen = ", ".join([*self.aliases, *columns])
        sql = f"SELECT {chosen} FROM ({self.sql}) {self.group_by(key)}"
        # These rows include those of the total, with NULL for each alias.
        return Rows(sql=sql, parameters=self.parameters, aliases=self.aliases, total=False)

    def kept(self, cursor: duckdb.DuckDBPyConnection, name: str) -> "Rows":
        """The same rows, computed once into the temporary table `name`; for few rows that several queries read."""
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {self.sql}", self.parameters)
        return replace(self, sql=f"SELECT * FROM {name}", parameters={})

    def group_by(self, *keys: str) -> str:
        """SQL: GROUP BY `keys` in each group, and in the total."""
        groups = ", ".join([*keys, *self.aliases])
        if self.total and self.aliases:
            return f"GROUP BY GROUPING SETS (({', '.join(keys)}), ({groups}))"
        return f"GROUP BY GROUPING SETS (({groups}))"

    def aggregate(self, cursor: duckdb.DuckDBPyConnection, *columns: str, total: bool = True) -> dict[Group, tuple[Any, ...]]:
        """`columns` (SQL aggregates) of each group, and of the `total`; without any rows, the result has the total."""
        chosen = ", ".join([*self.aliases, *columns])
        groups_only = f"GROUP BY GROUPING SETS (({', '.join(self.aliases)}))"
        grouped = self.group_by() if total else groups_only
        found = cursor.execute(f"SELECT {chosen} FROM ({self.sql}) {grouped}", self.parameters).fetchall()
        groups = {row[: len(self.aliases)]: row[len(self.aliases) :] for row in found}
        return groups or self._nothing(cursor, columns)

    def _nothing(self, cursor: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> dict[Group, tuple[Any, ...]]:
        found = cursor.execute(f"SELECT {', '.join(columns)} FROM ({self.sql}) WHERE false", self.parameters).fetchall()
        return {(None,) * len(self.aliases): found[0]}


Quantiles = dict[Group, dict[str, tuple[float | None, ...]]]


def quantiles(
    cursor: duckdb.DuckDBPyConnection,
    rows: Rows,
    values: Sequence[str],
    shares: Sequence[Fraction] = (MEDIAN, P95),
    *,
    equal: bool | None = None,
) -> Quantiles:
    """For each group and column of `values`: its quantiles at `shares`; None where no row has a value.

    `equal`: the result of `equally_weighted`, if it is known.
    """
    if equally_weighted(cursor, rows) if equal is None else equal:
        return _unweighted(cursor, rows, values, shares)
    found: Quantiles = {}
    for value in values:
        for group, quantile in _weighted(cursor, rows, value, shares).items():
            found.setdefault(group, {})[value] = quantile
    return found


def equally_weighted(cursor: duckdb.DuckDBPyConnection, rows: Rows) -> bool:
    """Whether all rows have the same weight, as without sampling; True if there are no rows."""
    [(equal,)] = cursor.execute(f"SELECT min(weight) = max(weight) FROM ({rows.sql})", rows.parameters).fetchall()
    return equal is not False


def is_sampled(cursor: duckdb.DuckDBPyConnection, rows: Rows) -> bool:
    """Whether any row has a weight other than 1."""
    [(sampled,)] = cursor.execute(f"SELECT bool_or(weight <> 1) FROM ({rows.sql})", rows.parameters).fetchall()
    return sampled is True


def _unweighted(cursor: duckdb.DuckDBPyConnection, rows: Rows, values: Sequence[str], shares: Sequence[Fraction]) -> Quantiles:
    decimals = ", ".join(str(float(share)) for share in shares)
    found = rows.aggregate(cursor, *(f"quantile_disc({value}, [{decimals}])" for value in values))
    nothing = (None,) * len(shares)
    return {
        group: {value: nothing if each is None else tuple(each) for value, each in zip(values, lists, strict=True)}
        for group, lists in found.items()
    }


def _weighted(
    cursor: duckdb.DuckDBPyConnection, rows: Rows, value: str, shares: Sequence[Fraction]
) -> dict[Group, tuple[float | None, ...]]:
    partition = f"PARTITION BY {', '.join(rows.aliases)}" if rows.aliases else ""
    groups = "".join(f"{alias}, " for alias in rows.aliases)
    reached = ", ".join(f"min({value}) FILTER (so_far * {share.denominator} >= all_weight * {share.numerator})" for share in shares)
    found = cursor.execute(
        f"""
        WITH held AS (
            SELECT {groups}{value}, sum(CAST(weight * {ONE}::DOUBLE AS HUGEINT)) AS held FROM ({rows.sql})
            WHERE {value} IS NOT NULL {rows.group_by(value)}
        ), ranked AS (
            SELECT {groups}{value},
                   sum(held) OVER ({partition} ORDER BY {value}) AS so_far,
                   sum(held) OVER ({partition}) AS all_weight
            FROM held
        )
        SELECT {groups}{reached} FROM ranked GROUP BY GROUPING SETS (({", ".join(rows.aliases)}))
        """,
        rows.parameters,
    ).fetchall()
    return {row[: len(rows.aliases)]: row[len(rows.aliases) :] for row in found}
