"""Inferred beside reported values: the queries and texts that the page of a session and the page of disagreements share."""

from collections.abc import Mapping, Sequence
from typing import Any

from feedback_analysis.inferences.disagreement import Disagreement, Reason
from feedback_analysis.inferences.inferred_values import BandedValue
from feedback_analysis.inferences.judged_sessions import JudgedSession, around, disagreements, judgements
from feedback_analysis.measures.registry import MEASURES, Kind, Measure
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.sessions import WholeSession
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_wire.kinds import RecordKind
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.record_queries import RecordQueries
from monitor_platform.dashboard.shared_answers import SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot
from monitor_platform.views.number_format import NOTHING, format_count, format_value

STALLED = Measure(name="stalled_share", title="Stalled", kind=Kind.RATIO, unit="%", digits=1)
DISAGREEMENT = Measure(name="disagreement", title="Disagreement", kind=Kind.MEAN, digits=2, range=(0.0, 1.0))

WORDS = {
    Reason.CHEAT: "The report may be false on purpose: it is better than its packets allow.",
    Reason.BROKEN_APP: "The app may report wrong numbers: they contradict each other, or its packets.",
    Reason.WRONG_MODEL: "The model may be wrong.",
    Reason.UNCLEAR: "There is no evidence for one of the reasons.",
    Reason.AGREES: "The report and the inference agree.",
}


def has_inferences(state: DashboardState) -> bool:
    """Whether the platform has an inference in memory."""
    kind = state.others.get(RecordKind.INFERENCE)
    return kind is not None and kind.table.rows > 0


async def judged_by_models(
    inferences: RecordQueries | None, answers: SharedAnswers, snapshot: Snapshot, session: WholeSession
) -> Sequence[JudgedSession]:
    """A session beside each model that judged it; empty if none did. `inferences`: those of the platform."""
    if inferences is None:
        return ()
    table = await _table(inferences, around(session.span))
    asked = {"inferences": table, "version": table.version, "session_id": session.session_id}
    return await answers.ask(snapshot.moment, _judgements, **asked)


def complete_from_ms(inferences: RecordQueries | None, span: Span) -> int | None:
    """From when on a live page has all inferences of a time range, in Unix ms; None if it has all of them."""
    if inferences is None:
        return None
    begins_ms, wanted = inferences.records.begins_ms(), around(span)
    return begins_ms if wanted.from_ms < begins_ms < wanted.to_ms else None


async def disagreements_in(
    inferences: RecordQueries | None,
    answers: SharedAnswers,
    snapshot: Snapshot,
    span: Span,
    where: Mapping[str, str],
    *,
    from_logs: bool = False,
) -> Sequence[Disagreement]:
    """The sessions of a time range that a model judged, the largest disagreement first.

    `from_logs`: read inferences that are not in memory from the logs, also if others of the time range are in memory.
    """
    if inferences is None:
        return ()
    wanted = around(span)
    table = await inferences.table(wanted) if from_logs else await _table(inferences, wanted)
    asked = {"inferences": table, "version": table.version, "span": span, "where": where}
    return await answers.ask(snapshot.moment, _disagreements, **asked)


async def _table(inferences: RecordQueries, span: Span) -> RecordTable:
    """The inferences in memory, unless the whole time range is before them: a live page must not read logs all the time."""
    return inferences.records.table if span.to_ms > inferences.records.begins_ms() else await inferences.table(span)


def comparison_rows(found: Disagreement) -> list[list[str]]:
    """Name, reported and inferred value of each quantity that one side knows."""
    reported, inferred = found.reported, found.inferred
    stalled, mos, startup, rate = STALLED, MEASURES["mos"], MEASURES["startup_ms"], MEASURES["download_kbps"]
    rows = [
        [stalled.title, format_value(stalled, reported.stalled_share), format_value(stalled, inferred.stalled_share)],
        [mos.title, format_value(mos, reported.mos), banded(mos, inferred.mos)],
        [startup.title, format_value(startup, reported.startup_ms), banded(startup, inferred.startup_ms)],
        [rate.title, format_value(rate, reported.download_kbps), format_value(rate, inferred.download_kbps)],
    ]
    return [row for row in rows if row[1:] != [NOTHING, NOTHING]]


def banded(measure: Measure, found: BandedValue | None) -> str:
    """ "3.80 (3.20 to 4.40)"."""
    if found is None:
        return NOTHING
    text = format_value(measure, found.value)
    if found.low is None or found.high is None:
        return text
    return f"{text} ({format_value(measure, found.low)} to {format_value(measure, found.high)})"


def model_in_words(found: Disagreement) -> str:
    """ "boosted-1 (9d1c3fa0), live, 120 slots"."""
    inferred = found.inferred
    training = f", training {inferred.training_id}" if inferred.training_id else ""
    return f"{inferred.model} ({inferred.model_sha256[:8]}), {inferred.source}, {format_count(inferred.slots, 'slot')}{training}"


def explanation(found: Disagreement) -> dict[str, Any]:
    """The likely reason of a disagreement with its evidence, for a page's script."""
    return {
        "score": format_value(DISAGREEMENT, found.score),
        "reason": str(found.reason),
        "words": WORDS[found.reason],
        "evidence": [[str(reason), text] for reason, text in found.evidence],
    }


# `version` is part of the query, because SharedAnswers knows only the version of the table of messages.
def _judgements(table: FeedbackTable, *, inferences: RecordTable, version: int, session_id: str) -> list[JudgedSession]:
    return judgements(table, inferences=inferences, session_id=session_id)


def _disagreements(
    table: FeedbackTable,
    *,
    inferences: RecordTable,
    version: int,
    span: Span,
    where: Mapping[str, str],
) -> list[Disagreement]:
    return disagreements(table, inferences=inferences, span=span, where=where)
