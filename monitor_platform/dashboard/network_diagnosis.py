"""The diagnosis on the Network page: of the last minutes of the time range, with the quality of viewers in these minutes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from feedback_analysis.diagnosis.recorded_diagnosis import diagnose_recorded
from feedback_analysis.diagnosis.recorded_viewers import viewers_by_minute
from feedback_analysis.diagnosis.verdict import Cause, Diagnosis, Evidence, NotEnoughEvidence, Verdict
from feedback_analysis.diagnosis.viewer_quality import ViewerQuality
from feedback_analysis.measurements.path_map import PathMap, destination_node, with_names
from feedback_analysis.measures.selection import Span
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.dashboard.dashboard_page import PageContext
from monitor_platform.dashboard.page_states import Facts
from monitor_platform.dashboard.record_queries import RecordQueries
from monitor_platform.views.number_format import format_share

LEAST_MS, MOST_MS = MINUTE_MS, 5 * MINUTE_MS
"""Of the time that is diagnosed: the last third of the time range within these limits."""

MOST_MISSING = 20
"""Answers "not enough evidence" on the page."""

CAUSES: Mapping[Cause, str] = {
    Cause.DESTINATION: "The destination loses packets",
    Cause.LAST_LINK: "The last link to a destination loses packets",
    Cause.AGENT_EDGE: "The edge of one agent loses packets",
    Cause.SHARED_HOP: "A link or router within the paths loses packets",
    Cause.RESOLVER: "A resolver fails",
    Cause.TLS: "TLS fails",
    Cause.ROUTING_CHANGE: "A route changed, and the delay rose",
    Cause.CONGESTION: "A link is congested",
    Cause.CAPACITY: "A link is too slow",
    Cause.RTP_LOSS: "Calls lose packets",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosedTime:
    """The diagnosis of a time."""

    span: Span
    diagnosis: Diagnosis


def diagnosed_part(span: Span) -> Span:
    """The part of the time range that is diagnosed: its end. An earlier problem would hide behind what works again."""
    length_ms = min(max((span.to_ms - span.from_ms) // 3, LEAST_MS), MOST_MS)
    return Span(max(span.from_ms, span.to_ms - length_ms), span.to_ms)


async def diagnosed(records: RecordQueries, context: PageContext, span: Span, isps: Iterable[str]) -> DiagnosedTime:
    """The diagnosis of the end of `span`, with the viewers of `isps` if the platform has their messages of this time."""
    part, snapshot = diagnosed_part(span), context.snapshot
    viewers: tuple[ViewerQuality, ...] = ()
    if snapshot is not None and snapshot.extent.from_ms < part.to_ms:
        within = Span(max(part.from_ms, snapshot.extent.from_ms), part.to_ms)
        where = context.query.where()
        viewers = await context.answers.ask(snapshot.moment, viewers_by_minute, span=within, isps=tuple(isps), where=where)
    found = await records.ask(diagnose_recorded, span=part, viewers=viewers)
    return DiagnosedTime(span=part, diagnosis=found)


def blamed_parts(found: PathMap, diagnosis: Diagnosis) -> tuple[dict[tuple[str, str], str], dict[str, str]]:
    """The links and the nodes of the map that verdicts blame, each with the words of the verdict."""
    nodes = {node.id for node in found.nodes}
    links = {(link.begin, link.end) for link in found.links}
    blamed_links: dict[tuple[str, str], str] = {}
    blamed_nodes: dict[str, str] = {}
    for verdict in diagnosis.verdicts:
        words = f"verdict: {CAUSES[verdict.cause]} ({verdict.confidence} confidence)"
        subject = verdict.subject
        for part in subject.parts:
            ends = _node(part.before, nodes), _node(part.after, nodes)
            if part.is_hop and ends[0] in nodes:
                blamed_nodes[ends[0]] = words
            elif ends in links:
                blamed_links[ends] = words
        if not subject.parts and subject.address is not None:
            blamed_links |= {link: words for link in links if link[1] == _node(subject.address, nodes)}
        if not subject.parts and subject.destination is not None and (node := destination_node(subject.destination)) in nodes:
            blamed_nodes[node] = words
    return blamed_links, blamed_nodes


def _node(name: str, nodes: Iterable[str]) -> str:
    """The id on the map of what a diagnosis names."""
    return name if name in nodes else destination_node(name)


def verdicts_in_words(found: DiagnosedTime, names: Mapping[str, str]) -> Facts:
    """The verdicts for the page's script, and what is missing for more of them. `names`: of addresses, in DNS."""
    missing = found.diagnosis.not_enough
    return {
        "from": found.span.from_ms,
        "to": found.span.to_ms,
        "verdicts": [_verdict(each, names) for each in found.diagnosis.verdicts],
        "missing": [_missing(each) for each in missing[:MOST_MISSING]],
        "more_missing": max(0, len(missing) - MOST_MISSING),
    }


def _verdict(verdict: Verdict, names: Mapping[str, str]) -> Facts:
    return {
        "cause": verdict.cause.value,
        "title": CAUSES[verdict.cause],
        "subject": with_names(verdict.subject.text, names),
        "confidence": verdict.confidence.value,
        "because": f"{verdict.because[:1].upper()}{verdict.because[1:]}.",
        "viewers": [_evidence(each) for each in verdict.evidence if not each.operation_ids],
        "evidence": [_evidence(each) for each in verdict.evidence if each.operation_ids],
        "alternatives": [each.text for each in verdict.alternatives],
    }


def _evidence(evidence: Evidence) -> str:
    """ "50 of 200 packets from a to 10.0.0.9 were lost"; of viewers with their numbers."""
    if evidence.operation_ids:
        return evidence.text
    numbers = evidence.numbers
    parts = [f"{numbers['minutes']:.0f} minutes"]
    parts += [f"MOS down to {numbers['lowest_mos']:.1f}"] if "lowest_mos" in numbers else []
    if "highest_rebuffering_ratio" in numbers:
        parts.append(f"stalled up to {format_share(numbers['highest_rebuffering_ratio'])} of the time")
    return f"{evidence.text[:1].upper()}{evidence.text[1:]}: {', '.join(parts)}"


def _missing(answer: NotEnoughEvidence) -> str:
    places = f"; possible: {', '.join(each.text for each in answer.candidates)}" if answer.candidates else ""
    return f"{answer.about.text}: missing are {answer.missing}{places}"
