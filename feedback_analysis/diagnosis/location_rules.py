"""Where packets are lost: the rules for the destination, the last link, an agent's edge, and a shared hop."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from feedback_analysis.diagnosis.baselines import LOSSY, Judgement
from feedback_analysis.diagnosis.observed_paths import BadShare, ObservedPath, route_of
from feedback_analysis.diagnosis.path_parts import Node, PathPart, by_node, parts_of, possible_parts, text_of
from feedback_analysis.diagnosis.tomography import Explanation, PathKey, SuspectGroup, explain
from feedback_analysis.diagnosis.verdict import Cause, Confidence, DiagnosisAnswer, Evidence, NotEnoughEvidence, Subject, Verdict

BECAUSE = {
    Confidence.HIGH: "a lossy path has no other possible cause: all its other parts lie on clean paths",
    Confidence.MEDIUM: "it is the only smallest explanation",
    Confidence.LOW: "it explains the losses, but silent hops or too many suspects may hide a smaller explanation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Observed:
    """The judged paths with a known route."""

    lossy: Mapping[PathKey, tuple[Node, ...]]
    cleared_by: Mapping[PathPart, PathKey]
    """For each part of clean paths, the first of them."""
    losses: Mapping[PathKey, BadShare]
    paths: Mapping[PathKey, ObservedPath]


def locate_losses(paths: Sequence[ObservedPath]) -> Iterator[DiagnosisAnswer]:
    """Verdicts about lossy paths, and what is missing about the others that PING measured."""
    losses = {path.key: path.loss() for path in paths if any(path.of("PING"))}
    routes = {path.key: route_of(path) for path in paths}
    known = {key: route for key, route in routes.items() if route is not None}
    for path in paths:
        if path.key in losses:
            yield from _missing(path, losses[path.key], has_route=path.key in known)
    clean = {key: parts_of(route) for key, route in known.items() if _judged(losses, key) is Judgement.GOOD}
    observed = _Observed(
        lossy={key: route for key, route in known.items() if _judged(losses, key) is Judgement.BAD},
        cleared_by={part: key for key in sorted(clean, reverse=True) for part in clean[key] if not part.silent},
        losses=losses,
        paths={path.key: path for path in paths},
    )
    others = by_node(known.values())
    lossy = {key: possible_parts(route, others) for key, route in observed.lossy.items()}
    for explanation in explain(lossy, map(frozenset, clean.values())):
        yield from _answers(explanation, observed)


def _judged(losses: Mapping[PathKey, BadShare], key: PathKey) -> Judgement:
    return losses[key].judgement if key in losses else Judgement.UNKNOWN


def _missing(path: ObservedPath, loss: BadShare, *, has_route: bool) -> Iterator[NotEnoughEvidence]:
    about = Subject(text=f"path from {path}", agent=path.key.agent, destination=path.key.address)
    if loss.judgement is Judgement.BAD and not has_route:
        missing = "a TRACEROUTE of this path, with one route during the measurement"
        yield NotEnoughEvidence(about=about, missing=missing, operation_ids=loss.operation_ids)
    elif loss.judgement is Judgement.UNKNOWN and loss.answers_others:
        missing = "packets that the destination answers: it answers other techniques, but not PING"
        yield NotEnoughEvidence(about=about, missing=missing, operation_ids=loss.operation_ids)
    elif loss.judgement is Judgement.UNKNOWN:
        missing = f"more packets: {LOSSY.fewest_for_good} if none is lost; {loss.bad} of {loss.total} were lost"
        yield NotEnoughEvidence(about=about, missing=missing, operation_ids=loss.operation_ids)


def _answers(explanation: Explanation, observed: _Observed) -> Iterator[DiagnosisAnswer]:
    shared = [group for group in explanation.groups if all(group in each for each in explanation.smallest)]
    if not explanation.smallest:
        yield _not_located(explanation, observed, (), "measurements at the same time: each part also lies on a clean path")
        return
    for group in shared:
        yield _verdict(group, explanation, observed)
    tied = [group for group in explanation.groups if any(group in each for each in explanation.smallest) and group not in shared]
    if tied:
        missing = "paths that have only one of the candidates in common with these"
        yield _not_located(explanation, observed, tied, missing)


def _verdict(group: SuspectGroup, explanation: Explanation, observed: _Observed) -> DiagnosisAnswer:
    place = _cause_and_subject(group, observed)
    if place is None:
        return _not_located(explanation, observed, [group], "paths of other agents, or to other destinations, that share hops")
    cause, subject = place
    confidence = _confidence(group, explanation)
    others = [each for each in explanation.groups if each is not group and set(each.paths) & set(group.paths)]
    return Verdict(
        cause=cause,
        subject=subject,
        confidence=confidence,
        because=BECAUSE[confidence],
        evidence=(*_lossy(group.paths, observed), *_clean(group.paths, observed)),
        alternatives=tuple(_subject(each, observed) for each in others),
    )


def _confidence(group: SuspectGroup, explanation: Explanation) -> Confidence:
    if group in explanation.certain:
        return Confidence.HIGH
    silent = any(part.silent for each in explanation.groups for part in each.parts)
    return Confidence.LOW if silent or not explanation.exact else Confidence.MEDIUM


def _cause_and_subject(group: SuspectGroup, observed: _Observed) -> tuple[Cause, Subject] | None:
    """The cause and the subject, if the group is one stretch of a path and not the whole path."""
    for key in group.paths:
        parts = parts_of(observed.lossy[key])
        stretch = _stretch(parts, set(group.parts))
        cause = _cause(stretch, parts) if stretch else None
        if cause is not None:
            return cause, _subject_of(stretch, cause, key, group)
    return None


def _stretch(parts: Sequence[PathPart], wanted: set[PathPart]) -> Sequence[PathPart]:
    """The wanted links of a path, with the hops between them, which may be cleared. Empty if links between them are not wanted."""
    places = [place for place, part in enumerate(parts) if part in wanted]
    if not places or not wanted <= set(parts):
        return ()
    stretch = parts[places[0] : places[-1] + 1]
    return stretch if all(part in wanted or part.is_hop for part in stretch) else ()


def _cause(stretch: Sequence[PathPart], parts: Sequence[PathPart]) -> Cause | None:
    begins, ends = stretch[0].before == parts[0].before, stretch[-1].after == parts[-1].after
    if begins and ends:
        return None
    if begins:
        return Cause.AGENT_EDGE
    if not ends:
        return Cause.SHARED_HOP
    return Cause.DESTINATION if len(stretch) == 1 and stretch[0].is_hop else Cause.LAST_LINK


def _subject_of(stretch: Sequence[PathPart], cause: Cause, key: PathKey, group: SuspectGroup) -> Subject:
    hop = stretch[-1].after or stretch[-1].before
    return Subject(
        text=text_of(stretch),
        agent=key.agent if cause is Cause.AGENT_EDGE else None,
        destination=key.address if cause in (Cause.DESTINATION, Cause.LAST_LINK) else None,
        address=hop if cause is Cause.SHARED_HOP else None,
        parts=frozenset(group.parts),
    )


def _subject(group: SuspectGroup, observed: _Observed) -> Subject:
    """Where the group is, even if that is several places or a whole path."""
    place = _cause_and_subject(group, observed)
    if place is not None:
        return place[1]
    return Subject(text="; ".join(text_of([part]) for part in group.parts), parts=frozenset(group.parts))


def _not_located(explanation: Explanation, observed: _Observed, groups: Sequence[SuspectGroup], missing: str) -> NotEnoughEvidence:
    first = explanation.paths[0]
    others = (group for group in explanation.groups if group not in groups)
    more = f" and {len(explanation.paths) - 1} more" if len(explanation.paths) > 1 else ""
    return NotEnoughEvidence(
        about=Subject(text=f"path from {observed.paths[first]}{more}", agent=first.agent, destination=first.address),
        missing=missing,
        operation_ids=tuple(each for key in explanation.paths for each in observed.losses[key].operation_ids),
        candidates=tuple(_subject(group, observed) for group in (*groups, *others)),
    )


def _lossy(keys: Iterable[PathKey], observed: _Observed) -> Iterator[Evidence]:
    return (_evidence(key, observed, shows_problem=True) for key in keys)


def _clean(keys: Iterable[PathKey], observed: _Observed) -> Iterator[Evidence]:
    """Clean paths that clear parts of these lossy paths; one for each part is enough."""
    parts = {part for key in keys for part in parts_of(observed.lossy[key])}
    clearing = {observed.cleared_by[part] for part in parts if part in observed.cleared_by}
    return (_evidence(key, observed, shows_problem=False) for key in sorted(clearing))


def _evidence(key: PathKey, observed: _Observed, *, shows_problem: bool) -> Evidence:
    path, loss = observed.paths[key], observed.losses[key]
    return Evidence(
        text=f"{loss.bad} of {loss.total} packets from {path} were lost",
        operation_ids=loss.operation_ids + path.ids("TRACEROUTE"),
        numbers=loss.numbers,
        shows_problem=shows_problem,
    )
