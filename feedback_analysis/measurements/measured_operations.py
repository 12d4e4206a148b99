"""The operations of a table of measurements as values, for a diagnosis."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedback_analysis.measurements.measured_paths import TARGET_SQL, matching, tags_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable

MOST_OPERATIONS = 50_000
"""The latest ones are read: an hour of 800 operations a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredHop:
    """A router on the path. A silent one has no address."""

    ttl: int
    address: str | None = None
    rtt_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredOperation:
    """One operation that has ended."""

    operation_id: str
    technique: str
    agent: str
    address: str
    """To which the agent sent."""
    status: str
    started_ms: int
    values: Mapping[str, float | None]
    """None: the technique reached this phase, and the value is not known."""
    hops: tuple[MeasuredHop, ...] = ()
    tags: Mapping[str, str]
    """Of the agent."""


_OPERATIONS = f"""
    SELECT operation_id, technique, agent, {TARGET_SQL}, status, started_ms, "values"::VARCHAR, hops::VARCHAR, tags::VARCHAR
    FROM measurement WHERE $matches ORDER BY started_ms DESC, operation_id DESC LIMIT {MOST_OPERATIONS}
"""


def operations_of(
    table: RecordTable, *, span: Span | None = None, where: Mapping[str, str] | None = None
) -> list[MeasuredOperation]:
    """The operations that started in `span` (None: all) and match `where`, the oldest first; the latest MOST_OPERATIONS of them."""
    matches, parameters = matching(span, where)
    with table.reading() as cursor:
        rows = cursor.execute(_OPERATIONS.replace("$matches", matches), parameters).fetchall()
    return [_operation(row) for row in reversed(rows)]


def _operation(row: tuple[Any, ...]) -> MeasuredOperation:
    operation_id, technique, agent, address, status, started_ms, values, hops, tags = row
    return MeasuredOperation(
        operation_id=operation_id,
        technique=technique,
        agent=agent,
        address=address,
        status=status,
        started_ms=started_ms,
        values=_numbers(values),
        hops=_hops(hops),
        tags=tags_of(tags),
    )


def _numbers(text: str | None) -> dict[str, float | None]:
    found = json.loads(text) if text else {}
    items = found.items() if isinstance(found, dict) else ()
    return {name: _number(value) for name, value in items}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _hops(text: str | None) -> tuple[MeasuredHop, ...]:
    found = json.loads(text) if text else []
    return tuple(_hop(each) for each in found if _is_hop(each)) if isinstance(found, list) else ()


def _is_hop(hop: object) -> bool:
    ttl = hop.get("ttl") if isinstance(hop, dict) else None
    return isinstance(ttl, int) and not isinstance(ttl, bool) and 1 <= ttl <= 255


def _hop(hop: Mapping[str, Any]) -> MeasuredHop:
    address = hop.get("address")
    known = address if isinstance(address, str) and address else None
    return MeasuredHop(ttl=hop["ttl"], address=known, rtt_ms=_number(hop.get("rtt_ms")))
