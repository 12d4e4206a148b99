"""The disagreements of all sessions that both reported and were judged by a model, from the tables of messages and inferences."""

from collections.abc import Mapping
from dataclasses import dataclass

from feedback_analysis.inferences.disagreement import Disagreement, compared
from feedback_analysis.inferences.inferred_values import InferredSession, inferred_session, inferred_values, judged_sessions
from feedback_analysis.inferences.reported_values import reported_heights, reported_values
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import MINUTE_MS

MARGIN_MS = MINUTE_MS
"""Slots have the time of the capture's clock, and messages that of a feedback server. A message describes the time before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSession:
    """A session beside what one model inferred about it. `heights`: the reported height of each message."""

    disagreement: Disagreement
    slots: InferredSession
    heights: tuple[float | None, ...]


def disagreements(
    table: FeedbackTable, *, inferences: RecordTable, span: Span | None = None, where: Mapping[str, str] | None = None
) -> list[Disagreement]:
    """The sessions with selected messages and with slots at their time, the largest disagreement first.

    `where` selects sessions and not messages, so that the likely reason of a session does not depend on filters.
    """
    judged = judged_sessions(inferences)
    reported = {each.session_id: each for each in reported_values(table, judged, span=span, where={})}
    spans = {each.session_id: around(Span(each.first_ms, each.last_ms)) for each in reported.values()}
    found = compared([(reported[each.session_id], each) for each in inferred_values(inferences, spans)])
    if not where:
        return found
    chosen = {each.session_id for each in reported_values(table, judged, span=span, where=where)}
    return [each for each in found if each.reported.session_id in chosen]


def judgements(table: FeedbackTable, *, inferences: RecordTable, session_id: str) -> list[JudgedSession]:
    """A session beside each model that judged it, the model with the most slots first."""
    found = [each for each in disagreements(table, inferences=inferences) if each.reported.session_id == session_id]
    heights = reported_heights(table, session_id) if found else ()
    return [
        JudgedSession(
            disagreement=each,
            slots=inferred_session(inferences, session_id, each.inferred.model, each.inferred.model_sha256),
            heights=heights,
        )
        for each in sorted(found, key=lambda each: -each.inferred.slots)
    ]


def around(span: Span) -> Span:
    """The time in which the slots of the sessions of `span` can be."""
    return Span(span.from_ms - MARGIN_MS, span.to_ms + MARGIN_MS)
