"""The topology file of the overlay: the seed project's JSON unchanged, or with more.

The seed's file is an object of nodes, each with its neighbours. `links`, `streams` and more fields in a node are ours. A link
exists if one of its two nodes lists the other. A lab file of netlab may hold all of it under `overlay`.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from overlay.json_line_numbers import JsonPath, LineNumbers, line_numbers
from overlay.messages import NodeName

Metric = Literal["hops", "latency", "composite"]
TreeKind = Literal["shortest", "steiner"]
Redundancy = Literal["retransmission", "fec", "two_trees"]

LINKS, STREAMS = "links", "streams"
DISCOVER: Final = "discover"
OTHERS = "*"
"""The node that describes all nodes which the file does not name, if it finds its neighbours itself."""
MOST_NODES = 10_000

DelayMs = Annotated[float, Meta(ge=0, le=10_000)]
Kilobits = Annotated[float, Meta(gt=0, le=100_000_000)]


class OverlayFileError(ValueError):
    """The file does not describe an overlay. The message states the line, the node, the mistake and what to do."""


class DescribedNode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node of the overlay, as the file describes it."""

    neighbors: list[NodeName] | Literal["discover"]
    """`discover`: the node finds its neighbours itself (`overlay.discovery`)."""
    max_neighbors: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    """How many neighbours discovery may give to the node."""
    role: Literal["bootstrapper", "source", "relay", "player"] = "relay"
    max_children: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    """To how many nodes it may forward one stream. None: `uplink_kbps` decides; without that, there is no limit."""
    uplink_kbps: Kilobits | None = None

    def listed(self) -> list[str]:
        """The neighbours that the file names."""
        return [] if self.neighbors == DISCOVER else list(self.neighbors)


class OverlayLink(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declared properties of a link, before any measurement."""

    between: tuple[NodeName, NodeName]
    rate_kbps: Kilobits | None = None
    delay_ms: DelayMs = 1.0
    loss: Annotated[float, Meta(ge=0, le=1)] = 0.0
    transport: Literal["udp", "tcp"] = "udp"
    """What media uses on the link."""


class Stream(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stream: where it begins, and how it travels."""

    source: NodeName
    file: str | None = None
    rate_kbps: Kilobits = 2000.0
    metric: Metric = "hops"
    tree: TreeKind = "shortest"
    redundancy: Redundancy = "retransmission"
    players: list[NodeName] | None = None
    """None: every node whose role is player."""


class Overlay(Struct, frozen=True, kw_only=True):
    """A checked topology: each name in it is a node."""

    nodes: Mapping[str, DescribedNode]
    links: Mapping[tuple[str, str], OverlayLink]
    """By the two names in alphabetical order; every pair of neighbours has one."""
    streams: Mapping[str, Stream]
    others: DescribedNode | None = None
    """Describes the nodes that are not in `nodes`; None if no others may join."""

    def players(self, stream: Stream) -> list[str]:
        if stream.players is not None:
            return stream.players
        return [name for name, node in self.nodes.items() if node.role == "player"]

    def most_children(self, name: str, stream_kbps: float) -> int | None:
        """To how many nodes `name` may forward a stream of this rate; None: no limit. By default, a player forwards nothing."""
        node = self.nodes[name]
        if node.max_children is not None:
            return node.max_children
        if node.uplink_kbps is not None:
            return int(node.uplink_kbps // stream_kbps)
        return 0 if node.role == "player" else None


WHAT_TO_WRITE = {
    "neighbors": 'a list of node names, such as ["10.0.0.1"], or discover',
    "max_neighbors": "a whole number from 1 to 1000",
    "role": "bootstrapper, source, relay or player",
    "max_children": "a whole number from 0 to 10000",
    "uplink_kbps": "a number of kilobits per second above 0",
    "between": 'two node names, such as ["10.0.0.1", "10.0.1.2"]',
    "rate_kbps": "a number of kilobits per second above 0",
    "delay_ms": "a number of milliseconds from 0 to 10000",
    "loss": "a number from 0 to 1",
    "transport": "udp or tcp",
    "source": "the name of a node",
    "file": "the path of a media file",
    "metric": "hops, latency or composite",
    "tree": "shortest or steiner",
    "redundancy": "retransmission, fec or two_trees",
    "players": 'a list of node names, such as ["10.0.3.20"]',
}

Value = TypeVar("Value", DescribedNode, OverlayLink, Stream)


def read_overlay_file(text: str) -> Overlay:
    """The overlay that a JSON text describes. OverlayFileError for any other text."""
    try:
        described = json.loads(text)
    except json.JSONDecodeError as error:
        raise OverlayFileError(f"line {error.lineno}: the file is not JSON: {error.msg}; correct it there") from error
    except RecursionError as error:
        raise OverlayFileError("line 1: the file nests too deep; a topology has at most a few levels") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise OverlayFileError(f"line 1: the file cannot be read: {error}") from error
    return _Reader(line_numbers(text), _start(described)).overlay(described)


def _start(described: Any) -> JsonPath:  # noqa: ANN401 - any JSON value
    """The path of the overlay in the JSON value: below `overlay` in a lab file."""
    return ("overlay",) if isinstance(described, dict) and {"nodes", "overlay"} <= described.keys() else ()


class _Reader:
    """Turns JSON values into an Overlay. Its errors name the lines."""

    def __init__(self, lines: LineNumbers, start: JsonPath) -> None:
        self._lines, self._start = lines, start

    def overlay(self, described: Any) -> Overlay:  # noqa: ANN401 - any JSON value
        for path, line in self._lines.repeated.items():
            raise OverlayFileError(f"line {line}: {path[-1]!r} is written twice; remove one of the two")
        for key in self._start:
            described = described[key]
        if not isinstance(described, dict):
            raise self._error((), 'the topology is not an object; write {"10.0.1.2": {"neighbors": ["10.0.0.1"]}, …}')
        nodes = {name: self._node(name, value) for name, value in described.items() if name not in (LINKS, STREAMS)}
        if not 0 < len(nodes) <= MOST_NODES:
            raise self._error((), f"the topology has {len(nodes)} nodes; write 1 to {MOST_NODES}")
        others = nodes.pop(OTHERS) if OTHERS in nodes and nodes[OTHERS].neighbors == DISCOVER else None
        self._check_neighbors(nodes)
        return Overlay(
            nodes=nodes,
            links=self._links(described.get(LINKS, []), nodes),
            streams=self._streams(described.get(STREAMS, {}), nodes),
            others=others,
        )

    def _node(self, name: str, value: Any) -> DescribedNode:  # noqa: ANN401 - any JSON value
        if not name or len(name) > 64 or not name.isprintable():
            text = f"node {name[:64]!r}: a name has 1 to 64 printable characters; use an address or a short name"
            raise self._error((name,), text)
        return self._typed(value, DescribedNode, (name,), f"node {name!r}")

    def _check_neighbors(self, nodes: Mapping[str, DescribedNode]) -> None:
        for name, node in nodes.items():
            seen: set[str] = set()
            for place, neighbor in enumerate(node.listed()):
                path = (name, "neighbors", place)
                self._check_known(neighbor, nodes, path, f"node {name!r}: neighbour")
                if neighbor == name:
                    raise self._error(path, f"node {name!r} is its own neighbour; remove it from its list")
                if neighbor in seen:
                    raise self._error(path, f"node {name!r}: neighbour {neighbor!r} is listed twice; remove one of the two")
                seen.add(neighbor)

    def _links(self, described: Any, nodes: Mapping[str, DescribedNode]) -> dict[tuple[str, str], OverlayLink]:  # noqa: ANN401
        if not isinstance(described, list):
            raise self._error((LINKS,), 'links is not a list; write [{"between": ["10.0.0.1", "10.0.1.2"]}, …]')
        links = {pair(name, other): OverlayLink(between=(name, other)) for name, node in nodes.items() for other in node.listed()}
        declared: set[tuple[str, str]] = set()
        for place, value in enumerate(described):
            path = (LINKS, place)
            link = self._typed(value, OverlayLink, path, f"link {place + 1}")
            ends = pair(*link.between)
            for end in ends:
                self._check_known(end, nodes, (*path, "between"), f"link {place + 1}:")
            if ends not in links:
                raise self._error(path, f"link {place + 1}: {' and '.join(ends)} are not neighbours; add one to the other's list")
            if ends in declared:
                raise self._error(path, f"link {place + 1}: {' and '.join(ends)} have a link above; remove one of the two")
            declared.add(ends)
            links[ends] = link
        return links

    def _streams(self, described: Any, nodes: Mapping[str, DescribedNode]) -> dict[str, Stream]:  # noqa: ANN401 - any JSON value
        if not isinstance(described, dict):
            raise self._error((STREAMS,), 'streams is not an object; write {"news": {"source": "10.0.0.10"}}')
        streams = {}
        for name, value in described.items():
            stream = self._typed(value, Stream, (STREAMS, name), f"stream {name!r}")
            self._check_known(stream.source, nodes, (STREAMS, name, "source"), f"stream {name!r}: source")
            for place, player in enumerate(stream.players or []):
                self._check_known(player, nodes, (STREAMS, name, "players", place), f"stream {name!r}: player")
            streams[name] = stream
        return streams

    def _check_known(self, name: str, nodes: Mapping[str, DescribedNode], path: JsonPath, place: str) -> None:
        if name not in nodes:
            raise self._error(path, f'{place} {name!r} is not a node; add {{"{name}": {{"neighbors": […]}}}} or correct the name')

    def _typed(self, value: Any, kind: type[Value], path: JsonPath, place: str) -> Value:  # noqa: ANN401 - any JSON value
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            fault, _, inner = str(error).partition(" - at `$")
            inner_path: JsonPath = tuple(int(part) if part.isdigit() else part for part in re.findall(r"\w+", inner))
            named = str(inner_path[0]) if inner_path else ""
            if named in WHAT_TO_WRITE:
                text = f"{place}: {named}: {fault}; write {WHAT_TO_WRITE[named]}"
            else:
                text = f"{place}: {fault}; allowed are {', '.join(kind.__struct_fields__)}"
            raise self._error((*path, *inner_path), text) from error

    def _error(self, path: JsonPath, text: str) -> OverlayFileError:
        return OverlayFileError(f"line {self._lines.line((*self._start, *path))}: {text}")


def pair(one: str, other: str) -> tuple[str, str]:
    """The key of a link: its two ends in alphabetical order."""
    return (one, other) if one < other else (other, one)
