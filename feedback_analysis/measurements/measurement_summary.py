"""Sums of groups of measurements: how the operations ended, and the distribution of each measured value."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from feedback_analysis.measures.selection import Span
from feedback_analysis.record_groups import RecordGroup, distributions, groups_of
from feedback_analysis.record_table import RecordTable

DIMENSIONS = ("technique", "destination", "address", "agent", "agent_address", "status", "quality", "request_id", "via")
"""What measurements can be grouped and filtered by, besides `tags.NAME`."""

_NUMBERS = """
    SELECT key, TRY_CAST(json_extract_string("values", '$."' || key || '"') AS DOUBLE) AS number
    FROM (SELECT "values", unnest(json_keys("values")) AS key FROM chosen) WHERE NOT contains(key, '"')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementGroup(RecordGroup):
    """One group of operations: how many there are, how many ended in each status, and the measured values."""

    operations: int
    statuses: Mapping[str, int]

    @property
    def counts(self) -> dict[str, int]:
        return {"operations": self.operations, "ok": self.statuses.get("ok", 0)}

    @property
    def in_words(self) -> str:
        return f"{self.operations} operations ({', '.join(f'{status} {count}' for status, count in self.statuses.items())})"


def summarize_measurements(
    table: RecordTable,
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    *,
    span: Span | None = None,
    top: int | None = None,
) -> list[MeasurementGroup]:
    """A summary of each group of `by`, the largest first, of the operations that match `where`.

    `span`: only those received in it (None: all). `top`: only so many groups.

    ValueError if a name is no dimension (see `measurement_dimension`).
    """
    with table.reading() as db:
        groups = groups_of(db, table.kind, by, where or {}, measurement_dimension, span=span, top=top)
        return [_group(db, found, count) for found, count in groups]


def _group(db: duckdb.DuckDBPyConnection, by: Mapping[str, str | None], operations: int) -> MeasurementGroup:
    statuses = db.execute("SELECT status, count(*) FROM chosen GROUP BY status ORDER BY count(*) DESC, status").fetchall()
    return MeasurementGroup(
        by=by,
        operations=operations,
        statuses={str(status): int(count) for status, count in statuses},
        values=distributions(db, _NUMBERS),
    )


def measurement_dimension(name: str) -> str:
    """SQL: the value of a dimension of `measurement` as text; ValueError if there is no such dimension."""
    if name in DIMENSIONS:
        return name
    if name.startswith("tags.") and len(name) > len("tags."):
        path = "$." + json.dumps(name.removeprefix("tags."), ensure_ascii=False)
        return f"json_extract_string(tags, '{path.replace(chr(39), chr(39) * 2)}')"
    raise ValueError(f"{name!r} is not a dimension of measurements; use one of {', '.join(DIMENSIONS)}, or tags.NAME")
