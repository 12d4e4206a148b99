"""The routes of all agents merged into one map of nodes and links, without input and output.

What is measured about a path is only a bound for its links. The loss of a link is at most the loss of its cleanest path, and its
capacity is at least that of its widest path. The delay of a link is the difference of the round trips to its ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from statistics import median

from feedback_analysis.measurements.traced_route import TracedRoute


class NodeRole(StrEnum):
    """What a node of the map is."""

    AGENT = "agent"
    ROUTER = "router"
    SILENT = "silent"
    """A router that no trace could name, or several at the same distance."""
    UNKNOWN = "unknown"
    """All routers between the end of a trace and the destination that it did not reach."""
    DESTINATION = "destination"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRoute:
    """A route of a path, and how many traces found it."""

    route: TracedRoute
    traces: int
    last_ms: int
    """The time of the latest of them, Unix ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredPath:
    """What one agent measured to one address. Values that were not measured are None or empty."""

    agent: str
    destination: str
    """As the latest requester wrote it."""
    address: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the agent."""
    agent_address: str = ""
    operations: int = 0
    statuses: Mapping[str, int] = field(default_factory=dict)
    """How the operations ended."""
    last_ms: int = 0
    """The start of the latest operation, Unix ms."""
    last_status: str = ""
    delay_ms: float | None = None
    """The median round trip of PING; without PING, that of the other techniques."""
    delay_low_ms: float | None = None
    delay_high_ms: float | None = None
    """The 10th and the 90th percentile."""
    packets_lost: float = 0
    packets_sent: float = 0
    """Of PING."""
    capacity_kbps: float | None = None
    """The median of IGI, or of THROUGHPUT without IGI."""
    routes: tuple[FoundRoute, ...] = ()
    """The latest first."""
    hop_delays_ms: Mapping[str, float] = field(default_factory=dict)
    """The median round trip to each router, by its address."""
    hop_names: Mapping[str, str] = field(default_factory=dict)
    """The DNS names that traces observed, by the address of the router or destination."""
    bottlenecks: Mapping[str, int] = field(default_factory=dict)
    """How often PATHNECK found that the link into this address limits the path."""
    bottleneck_kbps: float | None = None
    """The median of PATHNECK's upper bounds of the bottleneck."""

    @property
    def loss(self) -> float | None:
        """The share of packets that PING lost."""
        return self.packets_lost / self.packets_sent if self.packets_sent else None

    @property
    def id(self) -> str:
        """Names the path in an address of the dashboard."""
        return f"{self.agent}|{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A node of the map."""

    id: str
    role: NodeRole
    label: str
    """The address of a router; the destination as the latest requester wrote it."""
    name: str = ""
    """In DNS, as traces observed it; empty if they observed none."""

    @property
    def text(self) -> str:
        """Label and name."""
        return f"{self.label} ({self.name})" if self.name not in ("", self.label) else self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class MapLink:
    """A link of the map, in the direction of the probes."""

    begin: str
    end: str
    """The ids of its nodes."""
    delay_ms: float | None
    """The difference of the median round trips to its ends, at least 0; None beside a node without a round trip."""
    loss: float | None
    """The loss of the cleanest path over this link: an upper bound."""
    packets: float
    """The packets that this bound follows from."""
    capacity_kbps: float | None
    """The capacity of the widest path over this link: a lower bound. For a bottleneck, PATHNECK's upper bound."""
    bottlenecks: int
    """How often PATHNECK found that this link limits a path."""
    paths: tuple[str, ...]
    """The ids of the paths over this link."""

    @property
    def is_bottleneck(self) -> bool:
        return self.bottlenecks > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMap:
    """The merged map."""

    nodes: tuple[MapNode, ...]
    links: tuple[MapLink, ...]
    shown: tuple[str, ...]
    """The ids of the paths on the map."""
    untraced: int
    """Paths without a trace: they are on no map."""
    left_out: int
    """Paths beyond the limit of nodes."""


def path_map(paths: Iterable[MeasuredPath], *, most_nodes: int) -> PathMap:
    """The map of the latest route of each path, the most lossy and slowest paths first, with at most `most_nodes` nodes."""
    nodes: dict[str, MapNode] = {}
    over: dict[tuple[str, str], list[MeasuredPath]] = defaultdict(list)
    shown, untraced, left_out = [], 0, 0
    for path in sorted(paths, key=_worst_first):
        if not path.routes:
            untraced += 1
            continue
        row = nodes_of(path, path.routes[0].route)
        if len(nodes.keys() | {node.id for node in row}) > most_nodes:
            left_out += 1
            continue
        shown.append(path.id)
        nodes |= {node.id: node for node in row}
        for begin, end in _links_of(row):
            over[begin.id, end.id].append(path)
    links = tuple(_link(nodes[begin], nodes[end], some) for (begin, end), some in over.items())
    return PathMap(nodes=tuple(nodes.values()), links=links, shown=tuple(shown), untraced=untraced, left_out=left_out)


def nodes_of(path: MeasuredPath, route: TracedRoute) -> list[MapNode]:
    """The nodes of a route in its order. Silent ones of two paths are the same node if they lie between the same neighbours."""
    names = [agent_node(path.agent), *route.routers, destination_node(path.address)]
    row = [MapNode(id=names[0] or "", role=NodeRole.AGENT, label=path.agent)]
    for place, name in enumerate(route.routers, 1):
        if name is None:
            before, after = _known(names[place::-1]), _known(names[place:])
            node = f"silent {before[0]}+{before[1]} {after[0]}"
            row.append(MapNode(id=node, role=NodeRole.SILENT, label="silent"))
        else:
            row.append(MapNode(id=name, role=NodeRole.ROUTER, label=name, name=path.hop_names.get(name, "")))
    if not route.reached:
        node = f"unknown {row[-1].id} {path.address}"
        row.append(MapNode(id=node, role=NodeRole.UNKNOWN, label="not traced"))
    name = path.hop_names.get(path.address, "")
    return [*row, MapNode(id=names[-1] or "", role=NodeRole.DESTINATION, label=path.destination, name=name)]


def names_of(paths: Iterable[MeasuredPath]) -> dict[str, str]:
    """The names of all addresses on these paths."""
    return {address: name for path in paths for address, name in path.hop_names.items()}


def with_names(text: str, names: Mapping[str, str]) -> str:
    """A text with the name of each address behind it: "after 10.2.0.2 (core)". Only whole words are addresses."""
    return " ".join(f"{word} ({names[word]})" if word in names else word for word in text.split(" "))


def agent_node(agent: str) -> str:
    """The id of an agent's node. The same machine may be a destination too, with another node."""
    return f"agent {agent}"


def destination_node(address: str) -> str:
    """The id of a destination's node."""
    return f"destination {address}"


def _known(names: Sequence[str | None]) -> tuple[str, int]:
    """The first known name, and its distance."""
    return next((name, at) for at, name in enumerate(names) if name is not None)


def _links_of(row: Sequence[MapNode]) -> list[tuple[MapNode, MapNode]]:
    """Each link once: a route with a loop passes some twice."""
    return list(dict.fromkeys(pairwise(row)))


def _worst_first(path: MeasuredPath) -> tuple[float, float, str]:
    return -(path.loss or 0.0), -(path.delay_ms or 0.0), path.id


def _link(begin: MapNode, end: MapNode, paths: Sequence[MeasuredPath]) -> MapLink:
    delays = [delay for path in paths if (delay := _delay_between(path, begin, end)) is not None]
    cleanest = min((path for path in paths if path.packets_sent), key=lambda path: path.loss or 0.0, default=None)
    bottlenecks = sum(path.bottlenecks.get(_address(end, path), 0) for path in paths)
    bounds = [path.bottleneck_kbps for path in paths if path.bottlenecks.get(_address(end, path))]
    known = [bound for bound in bounds if bound is not None]
    widest = max((path.capacity_kbps for path in paths if path.capacity_kbps is not None), default=None)
    return MapLink(
        begin=begin.id,
        end=end.id,
        delay_ms=max(median(delays), 0.0) if delays else None,
        loss=None if cleanest is None else cleanest.loss,
        packets=0 if cleanest is None else cleanest.packets_sent,
        capacity_kbps=min(known) if known else widest,
        bottlenecks=bottlenecks,
        paths=tuple(path.id for path in paths),
    )


def _address(node: MapNode, path: MeasuredPath) -> str:
    return path.address if node.role is NodeRole.DESTINATION else node.id


def _delay_between(path: MeasuredPath, begin: MapNode, end: MapNode) -> float | None:
    """How much longer the round trip to `end` is than that to `begin`."""
    near = 0.0 if begin.role is NodeRole.AGENT else _round_trip(path, begin)
    far = _round_trip(path, end)
    return None if near is None or far is None else far - near


def _round_trip(path: MeasuredPath, node: MapNode) -> float | None:
    if node.role is NodeRole.DESTINATION:
        return path.hop_delays_ms.get(path.address, path.delay_ms)
    return path.hop_delays_ms.get(node.id)
