"""What a route costs, and when a better one is worth a change.

Costs come from measurements that swing, so a route changes only for a clear and lasting gain. A failure does not wait for that.
"""

from dataclasses import dataclass, replace

SMOOTHING = 0.125
"""The weight of a new sample in a moving average, as in TCP's smoothed round-trip time (RFC 6298)."""
REPAIR_MS = 20.0
"""The time that a retransmission takes besides half a round trip, because the loss has to be detected first."""
REPAIRS_WEIGHED = 1000.0
"""At 1 % loss, a link costs as if ten repairs delayed each packet, so a lossy link is avoided long before it is useless."""
FULL_LINK_MS = 100.0
"""The penalty of a link that is used to its limit. At half use, it is a quarter of this."""


def smoothed(average: float | None, sample: float) -> float:
    """The moving average after a sample; the first sample is the average."""
    return sample if average is None else average + SMOOTHING * (sample - average)


def composite_ms(*, one_way_ms: float, loss: float, utilisation: float) -> float:
    """The cost of a link in milliseconds: the delay, and penalties for loss (0 to 1) and use (0 to 1)."""
    used = min(max(utilisation, 0.0), 1.0)
    return one_way_ms + REPAIRS_WEIGHED * loss * (one_way_ms + REPAIR_MS) + FULL_LINK_MS * used**2


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInUse:
    """A route in use, and the better one that has been seen since `better_since_s`, if any."""

    current: str
    better: str | None = None
    better_since_s: float = 0.0


BETTER_BY = 0.2
BETTER_FOR_S = 5.0


def chosen(route: RouteInUse, costs: dict[str, float], now_s: float, *, least_gain: float = 0.0) -> RouteInUse:
    """The route after a look at the costs; a route without a cost has failed.

    A failed route is left at once, for the cheapest. Another one is left when the same route has been more than 20 % and
    `least_gain` cheaper for five seconds.
    """
    if not costs:
        return route  # nothing to change to
    best = min(costs, key=lambda name: (costs[name], name))
    if route.current not in costs:
        return RouteInUse(current=best)
    if costs[best] >= (1 - BETTER_BY) * costs[route.current] or costs[route.current] - costs[best] < least_gain:
        return RouteInUse(current=route.current)
    if best != route.better:
        return replace(route, better=best, better_since_s=now_s)
    return RouteInUse(current=best) if now_s - route.better_since_s >= BETTER_FOR_S else route
