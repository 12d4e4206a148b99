"""How far inferred and reported quality of a session differ, and the likely reason.

A disagreement has three possible reasons. The app reports wrong numbers by mistake; it reports better numbers on purpose; or the
model is wrong. No single number shows which. So each rule below looks for evidence of one reason, and the reason with the strongest
evidence is the likely one. The strengths are judgements, not probabilities.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from feedback_analysis.inferences.inferred_values import InferredValues
from feedback_analysis.inferences.reported_values import ReportedValues

DISAGREES = 0.1
"""Below this, a session counts as agreeing."""

MOS_TOLERANCE = 0.5
STARTUP_TOLERANCE_MS = 1000.0
MOS_RANGE = 4.0
LARGEST_STARTUP_MS = 10_000.0
"""A difference of this size, or a larger one, counts as 1."""

_SAME_RATE = 1.25
"""Rates that differ by less are taken as equal: a report covers other seconds than the slots."""

_LEAST_SECONDS = 30
"""A buffer can explain a bitrate above the download rate for a shorter time."""

_LEAST_SESSIONS = 5
_OFTEN = 1 / 3


class Reason(StrEnum):
    """Why inferred and reported quality differ."""

    CHEAT = "cheat"
    BROKEN_APP = "broken app"
    WRONG_MODEL = "wrong model"
    UNCLEAR = "unclear"
    AGREES = "agrees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One session as it reported and as one model inferred.

    `score`: the largest of the three differences, each from 0 to 1. `stalled`, `mos` and `startup` are signed: above 0, the report
    is better than the inference. A difference is None if one side has no value. `evidence`: for each reason, what speaks for it.
    """

    reported: ReportedValues
    inferred: InferredValues
    stalled: float | None
    mos: float | None
    startup: float | None
    reason: Reason = Reason.UNCLEAR
    evidence: tuple[tuple[Reason, str], ...] = ()

    @property
    def differences(self) -> tuple[float, ...]:
        return tuple(each for each in (self.stalled, self.mos, self.startup) if each is not None)

    @property
    def score(self) -> float:
        return max(map(abs, self.differences), default=0.0)

    @property
    def reports_better(self) -> bool:
        return max(self.differences, key=abs, default=0.0) > 0


@dataclass(frozen=True, slots=True)
class _Evidence:
    reason: Reason
    strength: float
    text: str


def compared(pairs: Sequence[tuple[ReportedValues, InferredValues]]) -> list[Disagreement]:
    """The disagreement of each session, the largest first, with its likely reason."""
    measured = [_differences(reported, inferred) for reported, inferred in pairs]
    usual = _disagreeing_shares(measured)
    explained = [_explained(each, usual) for each in measured]
    return sorted(explained, key=lambda each: (-each.score, each.reported.session_id, each.inferred.model))


def _differences(reported: ReportedValues, inferred: InferredValues) -> Disagreement:
    stalled = mos = startup = None
    if (share := reported.stalled_share) is not None and inferred.stalled_share is not None:
        stalled = inferred.stalled_share - share
    if reported.mos is not None and inferred.mos is not None:
        mos = inferred.mos.exceeded_by(reported.mos, MOS_TOLERANCE) / MOS_RANGE
    if reported.startup_ms is not None and inferred.startup_ms is not None:
        later_ms = inferred.startup_ms.exceeded_by(reported.startup_ms, STARTUP_TOLERANCE_MS)
        startup = max(-1.0, min(1.0, -later_ms / LARGEST_STARTUP_MS))
    return Disagreement(reported=reported, inferred=inferred, stalled=stalled, mos=mos, startup=startup)


def _disagreeing_shares(all_of: Sequence[Disagreement]) -> Mapping[str, tuple[int, int]]:
    """For each model: with how many sessions it disagrees, and how many it has judged."""
    counts: dict[str, tuple[int, int]] = {}
    for each in all_of:
        wrong, judged = counts.get(each.inferred.model_sha256, (0, 0))
        counts[each.inferred.model_sha256] = (wrong + (each.score >= DISAGREES), judged + 1)
    return counts


def _explained(found: Disagreement, usual: Mapping[str, tuple[int, int]]) -> Disagreement:
    if found.score < DISAGREES:
        return _with(found, Reason.AGREES, ())
    rules = (
        *_evidence_of_cheating(found),
        *_evidence_of_broken_app(found),
        *_evidence_of_wrong_model(found, *usual[found.inferred.model_sha256]),
    )
    evidence = sorted(rules, key=lambda each: -each.strength)
    reason = evidence[0].reason if evidence else Reason.UNCLEAR
    return _with(found, reason, tuple((each.reason, each.text) for each in evidence))


def _with(found: Disagreement, reason: Reason, evidence: tuple[tuple[Reason, str], ...]) -> Disagreement:
    return Disagreement(
        reported=found.reported,
        inferred=found.inferred,
        stalled=found.stalled,
        mos=found.mos,
        startup=found.startup,
        reason=reason,
        evidence=evidence,
    )


def _evidence_of_cheating(found: Disagreement) -> Iterator[_Evidence]:
    """The report is better than the inference, and the packets cannot have brought what it claims."""
    reported, inferred = found.reported, found.inferred
    carried = inferred.download_kbps
    if not found.reports_better or carried is None:
        return
    if reported.download_kbps is not None and reported.download_kbps > carried * _SAME_RATE:
        text = f"reports a download of {reported.download_kbps:,.0f} kbit/s, and its packets carried {carried:,.0f} kbit/s"
        yield _Evidence(Reason.CHEAT, 0.9, text)
    if _plays(reported) and inferred.seconds >= _LEAST_SECONDS and (reported.playback_kbps or 0) > carried * _SAME_RATE:
        text = f"reports a bitrate of {reported.playback_kbps:,.0f} kbit/s, and its packets carried {carried:,.0f} kbit/s"
        yield _Evidence(Reason.CHEAT, 0.8, text)


def _plays(reported: ReportedValues) -> bool:
    """Whether the session reports that it played without much stalling, so that its bitrate had to arrive."""
    return reported.stalled_share is not None and reported.stalled_share < DISAGREES


def _evidence_of_broken_app(found: Disagreement) -> Iterator[_Evidence]:
    """The report contradicts itself, or is worse than its packets."""
    reported, inferred = found.reported, found.inferred
    due_ms = (reported.stalled_ms or 0) + (reported.played_ms or 0)
    if reported.online_ms > 0 and due_ms > 1.1 * reported.online_ms + 1000:
        text = f"reports {due_ms / 1000:,.0f} s of playing and stalling in {reported.online_ms / 1000:,.0f} s"
        yield _Evidence(Reason.BROKEN_APP, 0.95, text)
    if (counted := reported.counted_share) is not None and reported.continuity is not None:
        by_continuity = 1 - reported.continuity
        if abs(counted - by_continuity) >= DISAGREES:
            text = f"reports {counted:.0%} stalled by its counters, and {by_continuity:.0%} by its continuity"
            yield _Evidence(Reason.BROKEN_APP, 0.85, text)
    carried = inferred.download_kbps
    if carried and reported.download_kbps is not None and reported.download_kbps * _SAME_RATE < carried:
        text = f"reports a download of {reported.download_kbps:,.0f} kbit/s, and its packets carried {carried:,.0f} kbit/s"
        yield _Evidence(Reason.BROKEN_APP, 0.75, text)


def _evidence_of_wrong_model(found: Disagreement, wrong: int, judged: int) -> Iterator[_Evidence]:
    """The model disagrees with many sessions, is not sure, or ignores that the packets fit the report."""
    reported, inferred = found.reported, found.inferred
    if judged >= _LEAST_SESSIONS and wrong / judged >= _OFTEN:
        yield _Evidence(Reason.WRONG_MODEL, 0.7, f"the model disagrees with {wrong} of {judged} sessions")
    carried = inferred.download_kbps
    if carried and reported.download_kbps is not None and carried / _SAME_RATE <= reported.download_kbps <= carried * _SAME_RATE:
        text = f"reports a download of {reported.download_kbps:,.0f} kbit/s, and its packets carried as much"
        yield _Evidence(Reason.WRONG_MODEL, 0.5, text)
    if inferred.doubt is not None and inferred.doubt >= 0.5:
        yield _Evidence(Reason.WRONG_MODEL, 0.4, "the model is not sure: its probabilities are near one half")
