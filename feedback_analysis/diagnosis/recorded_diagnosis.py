"""The diagnosis of a time range of recorded measurements, beside what was measured before it."""

from collections.abc import Iterable

from feedback_analysis.diagnosis.rule_table import diagnose
from feedback_analysis.diagnosis.verdict import Diagnosis
from feedback_analysis.diagnosis.viewer_quality import ViewerQuality
from feedback_analysis.measurements.measured_operations import operations_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import HOUR_MS

EARLIER_MS = HOUR_MS
"""Older operations say little about what is usual now."""


def diagnose_recorded(table: RecordTable, *, span: Span, viewers: Iterable[ViewerQuality] = ()) -> Diagnosis:
    """The verdicts about the operations of `span`. The hour before it is the time to compare with."""
    earlier = Span(max(span.from_ms - EARLIER_MS, 0), span.from_ms)
    return diagnose(operations_of(table, span=span), earlier=operations_of(table, span=earlier), viewers=viewers)
