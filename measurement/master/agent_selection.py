"""Selects the agents of a request: named ones, ALL, ANY, AUTO, by tags, or those of an earlier request. Pure.

AUTO selects few agents that cover all edge routes of the destinations, as the landmark selection of BRoute does: a route's last
routers are an element, and the agent that covers the most uncovered elements comes next (greedy set cover). The result has at most
ln(n) + 1 times as many agents as the smallest possible choice.
"""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from measurement.master.agent_membership import AgentMember
from measurement.measurement_request import ALL, ANY, AUTO, SAME_AS, InvalidRequestError

COVERED = 0.9
"""AUTO selects agents until they cover this share of the elements."""

EDGE_ROUTERS = 4
ROUTE_KEPT_S = 24 * 3600.0
_DIVERSE_TAGS = ("asn", "isp", "country", "prefix")

Branch = tuple[str, ...]
"""The addresses of the last routers of a route."""


@dataclass(slots=True)
class EdgeRoutes:
    """The newest route of each agent to each destination, for a day."""

    _routes: dict[tuple[str, str], tuple[Branch, float]] = field(default_factory=dict)

    def add(self, agent: str, address: str, routers: Sequence[str], now_s: float, *, whole: bool) -> None:
        """A traceroute of `agent` to `address` has found these routers, in the order of the path.

        If it has not reached the destination (`whole` is false), it replaces no known route: its end is not the edge.
        """
        if routers and (whole or (agent, address) not in self._routes):
            self._routes[agent, address] = (tuple(routers[-EDGE_ROUTERS:]), now_s)

    def forget_old(self, now_s: float) -> None:
        self._routes = {key: found for key, found in self._routes.items() if now_s - found[1] <= ROUTE_KEPT_S}

    def elements(self, agent: str, addresses: Sequence[str]) -> frozenset[Hashable]:
        """The elements that the agent covers. An unknown route is an element of its own, so that the agent explores it."""
        known = [(address, self._routes.get((agent, address))) for address in addresses]
        return frozenset((address, route[0] if route else ("unknown", agent)) for address, route in known)


def greedy_cover(
    elements: Mapping[str, frozenset[Hashable]],
    preference: Callable[[str, Sequence[str]], tuple[float, ...]],
    *,
    most: int,
    covered: float = COVERED,
) -> list[str]:
    """Names whose elements cover the share `covered` of all. Of names that gain the same, the smallest `preference` comes first.

    `preference` gets the name and the names that are already chosen.
    """
    universe = frozenset[Hashable]().union(*elements.values())
    missing, chosen = set(universe), list[str]()
    while len(chosen) < most and len(universe) - len(missing) < covered * len(universe):
        left = [name for name in elements if name not in chosen]
        best = min(left, key=lambda name: (-len(elements[name] & missing), *preference(name, chosen), name), default=None)
        if best is None or not elements[best] & missing:
            break
        chosen.append(best)
        missing -= elements[best]
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Selects among the available members."""

    members: Sequence[AgentMember]
    """The members that can run the technique, by name."""
    addresses: Sequence[str]
    routes: EdgeRoutes
    rng: random.Random
    agents_of: Callable[[str], Sequence[str] | None]
    """The agents of an earlier request, None if it is unknown or not the requester's."""
    most_agents: int = 10

    def select(self, wanted: Sequence[str]) -> list[str]:
        """Names of agents, sorted; InvalidRequestError if there are none, or if a named one is not available."""
        if not self.members:
            raise InvalidRequestError("no agent that can run this technique is connected")
        match wanted[0]:
            case str(text) if text == ALL:
                chosen = {each.name for each in self.members}
            case str(text) if text == ANY:
                chosen = {self.rng.choice(self.members).name}
            case str(text) if text == AUTO:
                chosen = set(self._cover())
            case _:
                chosen = {name for text in wanted for name in self._named(text)}
        return sorted(chosen)

    def _cover(self) -> list[str]:
        by_name = {each.name: each for each in self.members}
        elements = {name: self.routes.elements(name, self.addresses) for name in by_name}

        def preference(name: str, chosen: Sequence[str]) -> tuple[float, ...]:
            taken = {(tag, by_name[each].tags.get(tag)) for each in chosen for tag in _DIVERSE_TAGS}
            own = by_name[name]
            new = sum((tag, own.tags[tag]) not in taken for tag in _DIVERSE_TAGS if tag in own.tags)
            return (-new, own.queued + own.running)

        return greedy_cover(elements, preference, most=self.most_agents)

    def _named(self, text: str) -> list[str]:
        if text.startswith(SAME_AS):
            return self._same_as(text.removeprefix(SAME_AS))
        if "=" in text:
            return self._tagged(text)
        found = [each.name for each in self.members if text in (each.name, each.address)]
        if not found:
            raise InvalidRequestError(f"the agent {text!r} is not connected, or cannot run this technique; use AUTO or another")
        return found

    def _same_as(self, request_id: str) -> list[str]:
        agents = self.agents_of(request_id)
        if agents is None:
            raise InvalidRequestError(f"the request {request_id!r} is not one of yours; `measure list` lists them")
        present = {each.name for each in self.members}
        if absent := [name for name in agents if name not in present]:
            raise InvalidRequestError(f"the agents {', '.join(absent)} of request {request_id} are not connected; use others")
        return list(agents)

    def _tagged(self, text: str) -> list[str]:
        conditions = parse_tags(text)
        found = [each.name for each in self.members if conditions.items() <= each.tags.items()]
        if not found:
            raise InvalidRequestError(f"no connected agent that can run this technique has the tags {text}")
        return found


def parse_tags(text: str) -> dict[str, str]:
    """The conditions in `country=HK+isp=HKBN`; InvalidRequestError for anything else."""
    conditions: dict[str, str] = {}
    for part in text.split("+"):
        name, equals, value = part.partition("=")
        if not (name and equals and value) or name in conditions:
            raise InvalidRequestError(f"the tags {text!r} are not valid; use NAME=VALUE+NAME=VALUE, such as country=HK+isp=HKBN")
        conditions[name] = value
    return conditions
