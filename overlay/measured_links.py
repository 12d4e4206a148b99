"""The costs of links by the reports of the nodes, and the decision whether they justify another tree."""

from collections.abc import Collection
from dataclasses import dataclass, field

import networkx

from overlay.messages import LinkState
from overlay.overlay_file import Metric, pair
from overlay.route_cost import RouteInUse, chosen, composite_ms
from overlay.trees import Tree

LEAST_GAIN_MS = 5.0
"""A smaller gain is the noise of busy machines."""


@dataclass(slots=True)
class MeasuredLinks:
    """The latest report of each end of each link."""

    _reports: dict[tuple[str, str], LinkState] = field(default_factory=dict)
    """By the reporting node and the neighbour."""

    def report(self, node: str, state: LinkState) -> None:
        """Note a node's report of the link from a neighbour."""
        self._reports[node, state.neighbor] = state

    def forget(self, node: str) -> None:
        """A node has left: forget its links."""
        for key in [key for key in self._reports if node in key]:
            del self._reports[key]

    def costs(self, metric: Metric) -> dict[tuple[str, str], float]:
        """The cost of each measured link in milliseconds. Of the two directions, the worse one counts."""
        if metric == "hops":
            return {}
        found: dict[tuple[str, str], float] = {}
        for (node, neighbor), state in self._reports.items():
            link, one_way_ms = pair(node, neighbor), state.round_trip_ms / 2
            cost = composite_ms(one_way_ms=one_way_ms, loss=state.loss, utilisation=0.0) if metric == "composite" else one_way_ms
            found[link] = max(cost, found.get(link, 0.0))
        return found


@dataclass(slots=True)
class TreeWatch:
    """Whether another tree has been clearly better for one of the players, and for long enough (`route_cost.chosen`)."""

    _routes: dict[str, RouteInUse] = field(default_factory=dict)

    def is_worth_a_change(
        self, graph: networkx.Graph, present: Tree, candidate: Tree, players: Collection[str], now_s: float
    ) -> bool:
        """Compare the paths of both trees by the present costs of `graph`."""
        worth = False
        self._routes = {player: route for player, route in self._routes.items() if player in players}
        for player in players:
            costs = {name: _cost(graph, tree, player) for name, tree in (("present", present), ("candidate", candidate))}
            known = {name: cost for name, cost in costs.items() if cost is not None}
            if "present" not in known or "candidate" not in known:
                continue
            route = self._routes.get(player, RouteInUse(current="present"))
            route = chosen(route, known, now_s, least_gain=LEAST_GAIN_MS)
            worth = worth or route.current == "candidate"
            self._routes[player] = route
        if worth:
            self._routes.clear()
        return worth


def _cost(graph: networkx.Graph, tree: Tree, player: str) -> float | None:
    """The cost of a player's path; None if the tree does not reach it, or a link of the path is gone."""
    if player not in tree.parents:
        return None
    path = tree.path(player)
    return float(networkx.path_weight(graph, path, "weight")) if networkx.is_path(graph, path) else None
