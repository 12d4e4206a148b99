"""A diagnosis as JSON and as text: the same for the command, the alerts and the webhooks."""

from collections.abc import Iterator
from typing import Any

from feedback_analysis.diagnosis.verdict import Diagnosis, Evidence, NotEnoughEvidence, Subject, Verdict

NO_PROBLEM = "no problem was measured"


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The verdicts with their evidence, and what is missing for more of them."""
    return {
        "verdicts": [_verdict(each) for each in diagnosis.verdicts],
        "not_enough_evidence": [_not_enough(each) for each in diagnosis.not_enough],
    }


def headline(diagnosis: Diagnosis) -> str:
    """One line: the verdicts, or why there is none."""
    if diagnosis.verdicts:
        return "; ".join(f"{each.cause} {each.subject.text} ({each.confidence} confidence)" for each in diagnosis.verdicts)
    if not diagnosis.not_enough:
        return NO_PROBLEM
    first, others = diagnosis.not_enough[0], len(diagnosis.not_enough) - 1
    more = f"; {others} more" if others else ""
    return f"not enough evidence about {first.about.text}: {first.missing}{more}"


def lines(diagnosis: Diagnosis) -> Iterator[str]:
    """A text of several lines for people."""
    for verdict in diagnosis.verdicts:
        yield f"{verdict.cause}: {verdict.subject.text}"
        yield f"  {verdict.confidence} confidence: {verdict.because}"
        for evidence in verdict.evidence:
            yield f"  {'evidence' if evidence.shows_problem else 'rules out others'}: {_evidence_text(evidence)}"
        for subject in verdict.alternatives:
            yield f"  other possibility: {subject.text}"
    for answer in diagnosis.not_enough:
        yield f"not enough evidence: {answer.about.text}"
        yield f"  missing: {answer.missing}"
        for subject in answer.candidates:
            yield f"  possible: {subject.text}"
    if not diagnosis.verdicts and not diagnosis.not_enough:
        yield NO_PROBLEM


def _evidence_text(evidence: Evidence) -> str:
    numbers = ", ".join(f"{name} {value:,.6g}" for name, value in evidence.numbers.items())
    return f"{evidence.text} ({numbers})" if numbers else evidence.text


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "cause": verdict.cause.value,
        "subject": _subject(verdict.subject),
        "confidence": verdict.confidence.value,
        "because": verdict.because,
        "evidence": [
            {
                "text": each.text,
                "operation_ids": list(each.operation_ids),
                "numbers": dict(each.numbers),
                "shows_problem": each.shows_problem,
            }
            for each in verdict.evidence
        ],
        "alternatives": [_subject(each) for each in verdict.alternatives],
    }


def _not_enough(answer: NotEnoughEvidence) -> dict[str, Any]:
    return {
        "about": _subject(answer.about),
        "missing": answer.missing,
        "operation_ids": list(answer.operation_ids),
        "candidates": [_subject(each) for each in answer.candidates],
    }


def _subject(subject: Subject) -> dict[str, Any]:
    return {"text": subject.text, "agent": subject.agent, "destination": subject.destination, "address": subject.address}
