"""What a diagnosis answers: verdicts with their evidence, and what is missing where the evidence does not suffice."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from feedback_analysis.diagnosis.path_parts import PathPart


class Cause(StrEnum):
    """What a verdict blames. Each cause has one row in the rule table."""

    DESTINATION = "destination"
    LAST_LINK = "last_link"
    AGENT_EDGE = "agent_edge"
    SHARED_HOP = "shared_hop"
    RESOLVER = "resolver"
    TLS = "tls"
    ROUTING_CHANGE = "routing_change"
    CONGESTION = "congestion"
    CAPACITY = "capacity"
    RTP_LOSS = "rtp_loss"


class Confidence(StrEnum):
    """How far to trust a verdict. `Verdict.because` states the rule that applied."""

    HIGH = "high"
    """Losses: a lossy path has no other possible cause. Other rules: at least two agents agree."""
    MEDIUM = "medium"
    """Losses: the only smallest explanation. Other rules: one agent."""
    LOW = "low"
    """Losses: an explanation that may not be the smallest, because of silent hops, or of too many suspects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Where the problem is. Fields that do not apply are None or empty."""

    text: str
    """For people."""
    agent: str | None = None
    destination: str | None = None
    """Its address."""
    address: str | None = None
    """Of the hop, or of the resolver."""
    parts: frozenset[PathPart] = frozenset()
    """Hops and links that no measurement distinguishes: at least one of them is bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was measured, by which operations."""

    text: str
    operation_ids: tuple[str, ...] = ()
    """Empty for what viewers reported."""
    numbers: Mapping[str, float]
    shows_problem: bool = True
    """False for measurements without a problem that rule out other causes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One problem."""

    cause: Cause
    subject: Subject
    confidence: Confidence
    because: str
    evidence: tuple[Evidence, ...]
    alternatives: tuple[Subject, ...] = ()
    """What else could explain some of the same losses, in addition or instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotEnoughEvidence:
    """A problem that cannot be located, or a path that cannot be judged, and what would help."""

    about: Subject
    missing: str
    operation_ids: tuple[str, ...] = ()
    candidates: tuple[Subject, ...] = ()
    """The possible places, those of equally small explanations first. Empty: none is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The answer. Without verdicts and without missing evidence, no problem was measured."""

    verdicts: tuple[Verdict, ...]
    not_enough: tuple[NotEnoughEvidence, ...]


DiagnosisAnswer: TypeAlias = Verdict | NotEnoughEvidence


def agreed(cause: Cause, subject: Subject, evidence: Mapping[str, Evidence]) -> Verdict:
    """A verdict from the evidence of each agent."""
    several = len(evidence) >= 2
    return Verdict(
        cause=cause,
        subject=subject,
        confidence=Confidence.HIGH if several else Confidence.MEDIUM,
        because=f"{len(evidence)} agents agree" if several else "one agent measured it",
        evidence=tuple(evidence[agent] for agent in sorted(evidence)),
    )
