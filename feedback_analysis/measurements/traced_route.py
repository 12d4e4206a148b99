"""Routes as traces found them, without input and output. A silent router is one that no trace could name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRoute:
    """The routers between an agent and a destination. None is a silent one, or one of several at the same distance."""

    routers: tuple[str | None, ...]
    reached: bool
    """Whether the trace came to the destination. If not, the rest of the route is not known."""

    def agrees(self, other: "TracedRoute") -> bool:
        """Whether both can be the same route, as far as they are known."""
        lengths = len(self.routers), len(other.routers)
        too_long = (self.reached and lengths[1] > lengths[0]) or (other.reached and lengths[0] > lengths[1])
        pairs = zip(self.routers, other.routers, strict=False)
        return not too_long and all(None in pair or pair[0] == pair[1] for pair in pairs)

    def merged(self, other: "TracedRoute") -> "TracedRoute":
        """One route with the routers that this route or `other` knows, which agree."""
        long, short = sorted((self, other), key=lambda route: (route.reached, len(route.routers)), reverse=True)
        padded = short.routers + (None,) * (len(long.routers) - len(short.routers))
        both = zip(long.routers, padded, strict=True)
        return TracedRoute(routers=tuple(one or other for one, other in both), reached=long.reached)


def route_of_hops(hops: Iterable[tuple[int | None, str | None]], destination: str, *, reached: bool) -> TracedRoute | None:
    """The route of one trace from its hops (TTL, address); None if no hop has a TTL. A TTL without a hop is silent."""
    at: dict[int, set[str]] = {}
    for ttl, address in hops:
        if ttl is not None and 1 <= ttl <= 255:
            at.setdefault(ttl, set()).update({address} if address else ())
    if not at:
        return None
    last = max(at)
    reached = reached or destination in at[last]
    end = last if reached else last + 1
    routers = [next(iter(found)) if len(found := at.get(ttl, set())) == 1 else None for ttl in range(1, end)]
    while not reached and routers and routers[-1] is None:
        routers.pop()
    return TracedRoute(routers=tuple(routers), reached=reached)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStretch:
    """A time in which each trace of a path agreed with the same route."""

    route: TracedRoute
    from_ms: int
    to_ms: int
    """The times of the first and of the last trace, Unix ms."""
    traces: int


def stretches_of_routes(traces: Sequence[tuple[int, TracedRoute]]) -> list[RouteStretch]:
    """The route over time. `traces` have their times (Unix ms), the oldest first. Each stretch begins with a change.

    A trace that found less than its predecessors is no change.
    """
    found: list[RouteStretch] = []
    for at_ms, route in traces:
        last = found[-1] if found else None
        if last is not None and last.route.agrees(route):
            both = last.route.merged(route)
            found[-1] = RouteStretch(route=both, from_ms=last.from_ms, to_ms=at_ms, traces=last.traces + 1)
        else:
            found.append(RouteStretch(route=route, from_ms=at_ms, to_ms=at_ms, traces=1))
    return found
