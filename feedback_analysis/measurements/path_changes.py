"""When the path from an agent to a destination has changed, without input and output.

Load balancing makes traces differ although no path has changed. So a change needs several traces in a row that have the same new
router, or that lack the same router of all earlier traces. A silent router is no difference.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from feedback_analysis.measurements.traced_route import TracedRoute

CONFIRMING = 4
"""Traces in a row that show the same difference."""

FEWEST_BEFORE = 8
"""Traces that must be known before a difference counts. Two equal branches are both among eight traces with 99 % probability."""

REMEMBERED = 20
"""Traces with which the next ones are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """A change: its first trace and the trace that confirmed it (Unix ms), and a trace before and after it."""

    began_ms: int
    confirmed_ms: int
    before: TracedRoute
    after: TracedRoute


@dataclass(frozen=True, slots=True)
class _Difference:
    """A trace that differs: its new routers, and the routers of all earlier traces that it lacks."""

    at_ms: int
    route: TracedRoute
    new: frozenset[str]
    lost: frozenset[str]


def path_changes(traces: Iterable[tuple[int, TracedRoute]]) -> list[PathChange]:
    """The changes of one path. `traces` have their times (Unix ms), the oldest first."""
    known: deque[TracedRoute] = deque(maxlen=REMEMBERED)
    pending: list[_Difference] = []
    found: list[PathChange] = []
    for at_ms, route in traces:
        if len(known) < FEWEST_BEFORE:
            known.append(route)
            continue
        difference = _difference(at_ms, route, known)
        if difference is None:
            # The traces before it were other branches of the same path.
            known.extend([*(each.route for each in pending), route])
            pending.clear()
            continue
        pending.append(difference)
        if len(pending) < CONFIRMING:
            continue
        if _agree(pending):
            first, last = pending[0], pending[-1]
            found.append(PathChange(began_ms=first.at_ms, confirmed_ms=last.at_ms, before=known[-1], after=last.route))
            known.clear()
        known.extend(each.route for each in pending)
        pending.clear()
    return found


def _difference(at_ms: int, route: TracedRoute, known: Sequence[TracedRoute]) -> _Difference | None:
    seen = {router for each in known for router in each.routers if router is not None}
    common = reduce(frozenset.__and__, (frozenset(each.routers) for each in known)) - {None}
    new = frozenset(router for router in route.routers if router is not None and router not in seen)
    lost = frozenset(router for router in common if router is not None and _lacks(route, router, known[-1].routers.index(router)))
    return _Difference(at_ms, route, new, lost) if new or lost else None


def _lacks(route: TracedRoute, router: str, place: int) -> bool:
    """Whether `route` certainly lacks `router`, which was at `place`: another router is there, or the route ends earlier."""
    if router in route.routers:
        return False
    return route.routers[place] is not None if place < len(route.routers) else route.reached


def _agree(pending: Sequence[_Difference]) -> bool:
    alike = (reduce(frozenset.__and__, (getattr(each, name) for each in pending)) for name in ("new", "lost"))
    return any(alike)
