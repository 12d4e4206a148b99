"""What models inferred about sessions: a row per session and model, and the slots of one session."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable

SERIES = (
    *("slot_ms", "slot_s", "stalled_probability", "height", "height_probability", "download_kbps"),
    *("mos", "mos_low", "mos_high"),
)
"""The values of a slot."""

MOST_SLOTS = 100_000
"""A day of slots of a second. If there are more, the latest are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandedValue:
    """An inferred value with its band; both ends of the band are None if the model has none."""

    value: float
    low: float | None = None
    high: float | None = None

    def exceeded_by(self, reported: float, tolerance: float) -> float:
        """How far `reported` is above the band; negative below it, 0 inside. Without a band, `tolerance` is its half."""
        low = self.value - tolerance if self.low is None else self.low
        high = self.value + tolerance if self.high is None else self.high
        return max(0.0, reported - high) + min(0.0, reported - low)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredValues:
    """What one model inferred about one session. Values that it did not infer are None.

    `seconds`: the length of the slots together. `stalled_share`: the share of this time that was stalled. `doubt`: 0 if the model
    is sure about each slot, 1 if it always takes both answers for equally probable.
    """

    session_id: str
    model: str
    model_sha256: str
    source: str
    training_id: str | None
    slots: int
    seconds: float
    stalled_share: float | None
    doubt: float | None
    height: float | None
    download_kbps: float | None
    startup_ms: BandedValue | None
    mos: BandedValue | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredSession:
    """The slots of one session by one model, in the order of time. `series[name][i]` is a value of the slot `at_ms[i]`."""

    model: str
    at_ms: tuple[int, ...]
    series: Mapping[str, tuple[float | None, ...]]


def judged_sessions(table: RecordTable) -> list[str]:
    """The ids of the sessions that any model has judged."""
    with table.reading() as cursor:
        found = cursor.execute("SELECT DISTINCT session_id FROM inference WHERE session_id IS NOT NULL ORDER BY ALL").fetchall()
    return [session_id for (session_id,) in found]


def inferred_values(table: RecordTable, spans: Mapping[str, Span]) -> list[InferredValues]:
    """The values of the sessions in `spans`, each from the slots that begin in its time range."""
    sql = f"""
        SELECT session_id, model, model_sha256, max(source), max(training_id), count(*), sum(slot_s),
               sum(stalled_probability * slot_s) / nullif(sum(slot_s) FILTER (WHERE stalled_probability IS NOT NULL), 0),
               avg(4 * stalled_probability * (1 - stalled_probability)), avg(height), avg(download_kbps),
               {_last("startup_ms", "startup_low_ms", "startup_high_ms")}, {_last("mos", "mos_low", "mos_high")}
        FROM inference JOIN (
            SELECT unnest($ids) AS session_id, unnest($begins)::BIGINT AS begin_ms, unnest($ends)::BIGINT AS end_ms
        ) AS reported USING (session_id)
        WHERE slot_ms >= begin_ms AND slot_ms < end_ms GROUP BY ALL ORDER BY ALL
    """
    given = {
        "ids": [*spans],
        "begins": [span.from_ms for span in spans.values()],
        "ends": [span.to_ms for span in spans.values()],
    }
    if not spans:
        return []
    with table.reading() as cursor:
        rows = cursor.execute(sql, given).fetchall()
    names = InferredValues.__slots__
    return [InferredValues(**dict(zip(names, (*row[:-2], *map(_banded, row[-2:])), strict=True))) for row in rows]


def inferred_session(table: RecordTable, session_id: str, model: str, model_sha256: str) -> InferredSession:
    """The slots of one session by one model."""
    sql = f"""
        SELECT {", ".join(SERIES)} FROM inference
        WHERE session_id = $id AND model = $model AND model_sha256 = $sha ORDER BY slot_ms DESC LIMIT {MOST_SLOTS}
    """
    with table.reading() as cursor:
        rows = cursor.execute(sql, {"id": session_id, "model": model, "sha": model_sha256}).fetchall()[::-1]
    columns = dict(zip(SERIES, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(SERIES, ())
    return InferredSession(model=model, at_ms=columns["slot_ms"], series=columns)


def _last(value: str, low: str, high: str) -> str:
    """SQL: the last value with its band, as [value, low, high]; NULL if there is none."""
    return f"arg_max([{value}, {low}, {high}], slot_ms) FILTER (WHERE {value} IS NOT NULL)"


def _banded(ends: Sequence[float | None] | None) -> BandedValue | None:
    match ends:
        case [float(value), float(low), float(high)]:
            return BandedValue(value=value, low=low, high=high)
        case [float(value), *_]:
            return BandedValue(value=value)
        case _:
            return None
