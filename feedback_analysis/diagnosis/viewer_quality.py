"""What viewers of an ISP experience, as evidence beside the measurements of agents that have the same tag `isp`."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from feedback_analysis.diagnosis.observed_paths import ObservedPath
from feedback_analysis.diagnosis.verdict import Evidence, NotEnoughEvidence, Subject, Verdict

POOR_MOS = 3.0
POOR_REBUFFERING = 0.02
FEWEST_MINUTES = 3
"""Poor quality of one or two minutes may be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerQuality:
    """The quality of one minute, as the monitoring platform computed it. None: not known."""

    isp: str
    area: str
    """Empty: all areas together."""
    minute_ms: int
    """Its start, Unix time."""
    mos: float | None = None
    """1 to 5."""
    rebuffering_ratio: float | None = None
    """0 to 1."""

    @property
    def poor(self) -> bool:
        """Whether a value is beyond its limit."""
        return (self.mos is not None and self.mos < POOR_MOS) or (self.rebuffering_ratio or 0.0) > POOR_REBUFFERING


def poor_quality(viewers: Iterable[ViewerQuality]) -> dict[str, tuple[Evidence, ...]]:
    """The evidence of each ISP with at least three poor minutes in an area."""
    poor: dict[tuple[str, str], set[ViewerQuality]] = defaultdict(set)
    for each in viewers:
        if each.poor:
            poor[each.isp, each.area].add(each)
    found: dict[str, tuple[Evidence, ...]] = {}
    for (isp, area), minutes in sorted(poor.items()):
        if len({each.minute_ms for each in minutes}) >= FEWEST_MINUTES:
            found[isp] = (*found.get(isp, ()), _evidence(isp, area, minutes))
    return found


def _evidence(isp: str, area: str, minutes: Iterable[ViewerQuality]) -> Evidence:
    mos = [each.mos for each in minutes if each.mos is not None]
    rebuffering = [each.rebuffering_ratio for each in minutes if each.rebuffering_ratio is not None]
    numbers = {"minutes": float(len({each.minute_ms for each in minutes}))}
    numbers |= {"lowest_mos": min(mos)} if mos else {}
    numbers |= {"highest_rebuffering_ratio": max(rebuffering)} if rebuffering else {}
    place = f"{isp} in {area}" if area else isp
    return Evidence(text=f"viewers of {place} have poor quality", numbers=numbers)


IspsOfOperations: TypeAlias = Mapping[str, frozenset[str]]
"""By the id of an operation: the ISPs of the agent that measured its path."""


def isps_of_operations(paths: Iterable[ObservedPath]) -> IspsOfOperations:
    """Of all operations on these paths."""
    isps = ((path, frozenset(_isps(path))) for path in paths)
    return {each.operation_id: found for path, found in isps if found for each in path.now}


def with_viewers(verdict: Verdict, isps: IspsOfOperations, poor: dict[str, tuple[Evidence, ...]]) -> Verdict:
    """The verdict with the quality of viewers whose ISP is that of an agent which measured the problem.

    Operations of other agents in the evidence, such as those on clean paths, do not count.
    """
    more = tuple(each for isp in sorted(_blamed(verdict, isps) & poor.keys()) for each in poor[isp])
    return replace(verdict, evidence=verdict.evidence + more)


def without_cause(
    verdicts: Iterable[Verdict], isps: IspsOfOperations, poor: dict[str, tuple[Evidence, ...]]
) -> Iterator[NotEnoughEvidence]:
    """The ISPs with poor quality that no verdict explains."""
    explained = {isp for verdict in verdicts for isp in _blamed(verdict, isps)}
    measured = {isp for found in isps.values() for isp in found}
    for isp in sorted(poor.keys() - explained):
        problem = "measurements of the addresses that these viewers use: no problem was found from the agents of this ISP"
        missing = problem if isp in measured else f"an agent with the tag isp={isp}"
        yield NotEnoughEvidence(about=Subject(text=f"viewers of {isp}"), missing=missing)


def _blamed(verdict: Verdict, isps: IspsOfOperations) -> set[str]:
    """The ISPs of the agents that measured the problem."""
    shown = (each for each in verdict.evidence if each.shows_problem)
    return {isp for each in shown for operation in each.operation_ids for isp in isps.get(operation, ())}


def _isps(path: ObservedPath) -> set[str]:
    return {each.tags["isp"] for each in path.now if "isp" in each.tags}
