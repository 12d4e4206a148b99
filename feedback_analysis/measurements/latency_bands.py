"""Latency over time: percentiles of each agent and technique in steps, from a table of measurements.

Percentiles of steps cannot be merged, so each query computes them from the operations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from feedback_analysis.measurements.measured_paths import DELAY_SQL, LOST_SQL, MATCHES, SENT_SQL, TARGET_SQL, matching
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable

MOST_LINES = 400
"""More pairs of agent and technique than this can neither be drawn nor listed; those with the most operations remain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyBand:
    """The latency of one agent with one technique over time. Steps without a measured latency are left out."""

    agent: str
    technique: str
    at_ms: tuple[int, ...]
    """The middle of each step, Unix ms."""
    low_ms: tuple[float, ...]
    middle_ms: tuple[float, ...]
    high_ms: tuple[float, ...]
    """The 10th, 50th and 90th percentile of its operations."""
    operations: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossSteps:
    """The share of packets that PING lost on one path over time. Steps without PING are left out."""

    at_ms: tuple[int, ...]
    loss: tuple[float, ...]
    packets: tuple[float, ...]


_BANDS = f"""
    WITH measured AS (SELECT *, {DELAY_SQL} AS delay FROM measurement WHERE {MATCHES}),
    kept AS (SELECT agent, technique FROM measured WHERE delay IS NOT NULL GROUP BY ALL
             ORDER BY count(*) DESC, agent, technique LIMIT {MOST_LINES})
    SELECT agent, technique, (started_ms - $begin) // $step AS step, quantile_cont(delay, [0.1, 0.5, 0.9]), count(*)
    FROM measured SEMI JOIN kept USING (agent, technique) WHERE delay IS NOT NULL
    GROUP BY agent, technique, step ORDER BY agent, technique, step
"""
_LOSS = f"""
    SELECT (started_ms - $begin) // $step AS step, sum(lost), sum(sent)
    FROM (SELECT *, {LOST_SQL} AS lost, {SENT_SQL} AS sent FROM measurement
          WHERE {MATCHES} AND agent = $agent AND {TARGET_SQL} = $target)
    WHERE sent > 0 AND lost IS NOT NULL GROUP BY step ORDER BY step
"""


def latency_bands(
    table: RecordTable, *, span: Span, step_s: float, where: Mapping[str, str] | None = None, agent: str = "", target: str = ""
) -> list[LatencyBand]:
    """The bands of `span`, of all paths together, or only of the path of `agent` to the address `target`."""
    matches, parameters = matching(span, where)
    step_ms = round(step_s * 1000)
    parameters |= {"begin": span.from_ms, "step": step_ms}
    if agent:
        matches += f" AND agent = $agent AND {TARGET_SQL} = $target"
        parameters |= {"agent": agent, "target": target}
    lines: dict[tuple[str, str], list[tuple[int, tuple[float, float, float], int]]] = {}
    with table.reading() as cursor:
        for name, technique, step, band, count in cursor.execute(_BANDS.replace(MATCHES, matches), parameters).fetchall():
            lines.setdefault((name, technique), []).append((step, band, count))
    return [
        LatencyBand(
            agent=name,
            technique=technique,
            at_ms=tuple(middle_of(span, step, step_ms) for step, _, _ in steps),
            low_ms=tuple(band[0] for _, band, _ in steps),
            middle_ms=tuple(band[1] for _, band, _ in steps),
            high_ms=tuple(band[2] for _, band, _ in steps),
            operations=tuple(count for _, _, count in steps),
        )
        for (name, technique), steps in lines.items()
    ]


def loss_steps(table: RecordTable, *, span: Span, step_s: float, agent: str, target: str) -> LossSteps:
    """The loss of the path of `agent` to the address `target` in each step of `span`."""
    matches, parameters = matching(span, None)
    step_ms = round(step_s * 1000)
    parameters |= {"begin": span.from_ms, "step": step_ms, "agent": agent, "target": target}
    with table.reading() as cursor:
        rows = cursor.execute(_LOSS.replace(MATCHES, matches), parameters).fetchall()
    return LossSteps(
        at_ms=tuple(middle_of(span, step, step_ms) for step, _, _ in rows),
        loss=tuple(min(max(lost / sent, 0.0), 1.0) for _, lost, sent in rows),
        packets=tuple(sent for _, _, sent in rows),
    )


def middle_of(span: Span, step: int, step_ms: int) -> int:
    """The middle of a step, at most the end of `span`."""
    return min(span.from_ms + step * step_ms + step_ms // 2, span.to_ms)
