"""All rules in one table, and the diagnosis that applies them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from feedback_analysis.diagnosis.delay_rules import find_routing_changes, find_slow_hops
from feedback_analysis.diagnosis.location_rules import locate_losses
from feedback_analysis.diagnosis.observed_paths import ObservedPath, observe
from feedback_analysis.diagnosis.service_rules import find_failing_resolvers, find_failing_tls, find_lossy_calls
from feedback_analysis.diagnosis.verdict import Cause, Diagnosis, DiagnosisAnswer, NotEnoughEvidence, Verdict
from feedback_analysis.diagnosis.viewer_quality import ViewerQuality, isps_of_operations, poor_quality, with_viewers, without_cause
from feedback_analysis.measurements.measured_operations import MeasuredOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisRule:
    """One row: what must be measured, for which verdict, with which evidence."""

    cause: Cause
    condition: str
    evidence: str
    find: Callable[[Sequence[ObservedPath]], Iterator[DiagnosisAnswer]]
    """Several rows may share a function. It is called once."""


RULES = (
    DiagnosisRule(
        cause=Cause.DESTINATION,
        condition="lossy paths share only the destination, and no clean path has it",
        evidence="PING, TRACEROUTE",
        find=locate_losses,
    ),
    DiagnosisRule(
        cause=Cause.LAST_LINK,
        condition="as above, but the paths also share the last link or links",
        evidence="PING, TRACEROUTE",
        find=locate_losses,
    ),
    DiagnosisRule(
        cause=Cause.AGENT_EDGE,
        condition="lossy paths of one agent share their beginning, and no clean path has it",
        evidence="PING, TRACEROUTE",
        find=locate_losses,
    ),
    DiagnosisRule(
        cause=Cause.SHARED_HOP,
        condition="a hop or link within the paths explains the losses",
        evidence="PING, TRACEROUTE",
        find=locate_losses,
    ),
    DiagnosisRule(
        cause=Cause.RESOLVER,
        condition="queries fail and PING of the resolver works; or look-ups fail and TCP works",
        evidence="DNS, PING; or HTTP",
        find=find_failing_resolvers,
    ),
    DiagnosisRule(cause=Cause.TLS, condition="TCP works and the TLS handshake fails", evidence="HTTP", find=find_failing_tls),
    DiagnosisRule(
        cause=Cause.ROUTING_CHANGE,
        condition="the route differs from all earlier ones, and the delay rose",
        evidence="PING, TRACEROUTE; earlier ones",
        find=find_routing_changes,
    ),
    DiagnosisRule(
        cause=Cause.CONGESTION,
        condition="the gap of trains grows at a hop, and delays rise there first",
        evidence="PATHNECK, TRACEROUTE; earlier ones",
        find=find_slow_hops,
    ),
    DiagnosisRule(
        cause=Cause.CAPACITY,
        condition="the gap of trains grows at a hop, and its delay is as usual",
        evidence="PATHNECK, TRACEROUTE; earlier ones",
        find=find_slow_hops,
    ),
    DiagnosisRule(
        cause=Cause.RTP_LOSS,
        condition="RTP packets are lost, SIP works, and PING is not lossy",
        evidence="RTP, PING, SIP_OPTIONS",
        find=find_lossy_calls,
    ),
)


def diagnose(
    operations: Iterable[MeasuredOperation],
    *,
    earlier: Iterable[MeasuredOperation] = (),
    viewers: Iterable[ViewerQuality] = (),
) -> Diagnosis:
    """The verdicts about `operations`, which were measured at about the same time.

    `earlier` are operations from before the problem, for comparison. `viewers` is the quality that viewers had at the time of
    `operations`. The order of all three does not matter.
    """
    paths = observe(operations, earlier)
    answers = [answer for find in dict.fromkeys(rule.find for rule in RULES) for answer in find(paths)]
    poor, isps = poor_quality(viewers), isps_of_operations(paths)
    verdicts = tuple(with_viewers(each, isps, poor) for each in answers if isinstance(each, Verdict))
    not_enough = tuple(each for each in answers if isinstance(each, NotEnoughEvidence))
    return Diagnosis(verdicts=verdicts, not_enough=(*not_enough, *without_cause(verdicts, isps, poor)))
