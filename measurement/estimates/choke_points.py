"""Where the bottleneck of a path is, from the trains of Pathneck (Hu et al. 2004).

Each router on the path answers two packets of a train, one at its start and one at its end. The time between the two answers is
the length of the train at this router, its gap. The gap grows where a link is slower, or more loaded, than the links before it.
Gaps are in microseconds, bandwidths in kbit/s at the IP layer.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from measurement.estimates.step_fitting import fit_steps

MOST_CANDIDATES = 3
FEWEST_HOPS = 4
"""With fewer gaps, a step looks like noise."""
FEWEST_TRAINS = 5
CONFIDENT = 0.1
DETECTED = 0.5
"""Share of the trains that have to agree."""


@dataclass(frozen=True, slots=True)
class HopGap:
    """The gap at a router. `gap_us` is None if the router did not answer both packets."""

    ttl: int
    address: str
    gap_us: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A hop at which the gap of one train changes. The link into this hop causes the change."""

    index: int
    """Place among the hops with a gap, from 0."""
    step_us: float
    confidence: float
    """The share of the bandwidth before the hop that is missing after it, 0 to 1; larger for a gap that decreases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainVerdict:
    """The verdict of one train."""

    hops: Sequence[HopGap]
    """The hops with a gap."""
    smoothed_us: Sequence[float]
    candidates: Sequence[Candidate]
    """The candidates, the largest step first: at most three, or only hop 0 if the gap does not change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathHop:
    """One hop over all trains with the same route."""

    ttl: int
    address: str
    gap_us: float
    bandwidth_kbps: float
    bound: str
    """`upper`, `lower` or `unknown`: what `bandwidth_kbps` is of the bandwidth available on the path up to this hop."""
    detection_rate: float
    """Share of the trains in which this hop is a choke point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathVerdict:
    """The common verdict of several trains."""

    hops: Sequence[PathHop]
    bottleneck: int | None
    """Index in `hops`: the detected choke point with the largest gap. The link into this hop limits the path."""
    trains: int
    """Trains with this route."""


def usable_hops(hops: Sequence[HopGap]) -> list[HopGap]:
    """The hops with a gap of at least 1 us whose address is new: a route passes no address twice."""
    seen: set[str] = set()
    usable = []
    for hop in hops:
        if hop.gap_us is not None and hop.gap_us >= 1 and hop.address not in seen:
            usable.append(hop)
        seen.add(hop.address)
    return usable


def smooth(gaps_us: Sequence[float]) -> list[float]:
    """The gaps without single outliers, which slow routers cause: a hill or a valley becomes as high as its nearer neighbour."""
    if not gaps_us:
        return []
    least = statistics.median(gaps_us) / 5
    first_usable = next(place for place, gap in enumerate(gaps_us) if gap >= least)
    raw = [gaps_us[first_usable]] * first_usable + list(gaps_us[first_usable:])
    smoothed = [raw[0]]
    for place in range(1, len(raw) - 1):
        smoothed.append(_smoothed(smoothed[-1], raw[place], raw[place + 1], least))
    if len(raw) > 1:
        smoothed.append(smoothed[-1] if raw[-1] < least else raw[-1])
    return smoothed


def _smoothed(before: float, gap: float, after: float, least: float) -> float:
    if gap < least:
        return before
    if gap > before and gap > after:
        return max(before, after)
    if gap < before and gap < after:
        return min(before, after)
    return gap


def judge_train(hops: Sequence[HopGap]) -> TrainVerdict | None:
    """The candidates of one train; None if fewer than four hops have a gap."""
    usable = usable_hops(hops)
    if len(usable) < FEWEST_HOPS:
        return None
    smoothed = smooth([hop.gap_us or 0.0 for hop in usable])
    return TrainVerdict(hops=usable, smoothed_us=smoothed, candidates=candidates(smoothed))


def candidates(smoothed_us: Sequence[float]) -> list[Candidate]:
    """The up to three largest steps of smoothed gaps, which are above 0."""
    steps = sorted(fit_steps(smoothed_us), key=lambda step: -abs(step.after - step.before))[:MOST_CANDIDATES]
    if not steps:
        return [Candidate(index=0, step_us=0.0, confidence=1.0)] if smoothed_us else []
    return [
        Candidate(
            index=step.place,
            step_us=step.after - step.before,
            confidence=abs(1 - smoothed_us[step.place - 1] / smoothed_us[step.place]),
        )
        for step in steps
    ]


def judge_path(trains: Sequence[TrainVerdict], *, load_bytes: int) -> PathVerdict | None:
    """The verdict over the trains with the most frequent route; None if fewer than five have it.

    `load_bytes` are those of all load packets of a train, with their headers.
    """
    routes = Counter(_route(train) for train in trains)
    if not routes:
        return None
    route = min(routes, key=lambda each: (-routes[each], each))
    same = [train for train in trains if _route(train) == route]
    if len(same) < FEWEST_TRAINS:
        return None
    hops = [_path_hop(same, place, load_bytes) for place in range(len(route))]
    detected = [place for place, hop in enumerate(hops) if hop.detection_rate >= DETECTED]
    bottleneck = max(detected, key=lambda place: (hops[place].gap_us, place), default=None)
    return PathVerdict(hops=hops, bottleneck=bottleneck, trains=len(same))


def _route(train: TrainVerdict) -> tuple[tuple[int, str], ...]:
    return tuple((hop.ttl, hop.address) for hop in train.hops)


def _path_hop(trains: Sequence[TrainVerdict], place: int, load_bytes: int) -> PathHop:
    gap = statistics.fmean(train.smoothed_us[place] for train in trains)
    steps = [each.step_us for train in trains for each in train.candidates if each.index == place and each.confidence > CONFIDENT]
    rate = len(steps) / len(trains)
    hop = trains[0].hops[place]
    return PathHop(
        ttl=hop.ttl,
        address=hop.address,
        gap_us=gap,
        bandwidth_kbps=load_bytes * 8e3 / gap,
        bound=_bound(place, rate >= DETECTED, statistics.fmean(steps) if steps else 0.0),
        detection_rate=rate,
    )


def _bound(place: int, is_choke_point: bool, step_us: float) -> str:
    if place == 0:
        return "upper"
    if not is_choke_point:
        return "lower"
    return "upper" if step_us > 0 else "unknown"
