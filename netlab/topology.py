"""The file that describes a lab: nodes, links and their shapes, as JSON. Reading it touches no network.

`back` in a link overrides values for the direction from the second end to the first, since access lines are seldom symmetric.
The value of `overlay` belongs to the streaming overlay; this module returns it unread.
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
MOST_NODES = 500
MOST_LINKS = 2000


class TopologyError(ValueError):
    """The file describes no lab; the message says where, what is wrong and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one direction of a link does to packets. Rates count whole Ethernet frames."""

    rate_kbps: float | None = None
    """Kilobits per second; None: as fast as the machine."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """Each packet is delayed by delay_ms ± jitter_ms, evenly distributed. A packet that would overtake another waits for it."""
    loss: float = 0.0
    """The probability that an IP packet is dropped, 0 to 1."""
    queue_ms: float = 50.0
    """How long a packet may wait for a slow link before it is dropped. Without a rate there is no queue."""


SHAPE_FIELDS = tuple(each.name for each in fields(Shape))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Two nodes and what happens to packets from the first to the second (`forth`) and in the other direction (`back`)."""

    name: str
    ends: tuple[str, str]
    forth: Shape = Shape()
    back: Shape = Shape()
    addresses: tuple[ipaddress.IPv4Interface, ipaddress.IPv4Interface] | None = None
    """None: the lab chooses, from 10.64.0.0/10."""

    def other_end(self, node: str) -> str:
        return self.ends[1] if node == self.ends[0] else self.ends[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """The nodes and links of a lab file."""

    nodes: Mapping[str, bool]
    """Each node, and whether it forwards packets for others as a router does."""
    links: tuple[Link, ...]
    overlay: Any = field(default=None, hash=False)


def read_topology(text: str) -> Topology:
    """The lab that a JSON text describes. TopologyError if it describes none."""
    try:
        described = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise TopologyError(f"line {error.lineno}: the file is not JSON: {error.msg}; correct it there") from error
    except RecursionError as error:
        raise TopologyError("the file nests too deep; a lab file has at most a few levels") from error
    except TopologyError:
        raise
    except ValueError as error:  # a whole number of thousands of digits
        raise TopologyError(f"the file cannot be read: {error}") from error
    described = _object(described, "the file", {"nodes", "links", "overlay"})
    nodes = _nodes(described.get("nodes"))
    links = _links(described.get("links", []), nodes)
    return Topology(nodes=nodes, links=links, overlay=described.get("overlay"))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TopologyError(f"{name!r} is written twice in one object; remove one of the two")
        found[name] = value
    return found


def _object(value: Any, place: str, allowed: Iterable[str]) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    if not isinstance(value, dict):
        raise TopologyError(f"{place} is not an object; write {{…}} with {', '.join(sorted(allowed))}")
    unknown = sorted(value.keys() - set(allowed))
    if unknown:
        raise TopologyError(f"{place}: {unknown[0]!r} is unknown; allowed are {', '.join(sorted(allowed))}")
    return value


def _nodes(described: Any) -> dict[str, bool]:  # noqa: ANN401 - any JSON value
    if not isinstance(described, dict) or not described:
        raise TopologyError('the file has no nodes; add some, such as "nodes": {"n1": {}, "n2": {"forwards": true}}')
    if len(described) > MOST_NODES:
        raise TopologyError(f"the file has {len(described)} nodes; a lab has at most {MOST_NODES}")
    return {name: _forwards(name, value) for name, value in described.items()}


def _forwards(name: str, described: Any) -> bool:  # noqa: ANN401 - any JSON value
    if not NODE_NAME.fullmatch(name):
        raise TopologyError(f"node {name!r}: use at most 63 letters, digits, '.', '_' and '-', and begin with a letter or a digit")
    forwards = _object(described, f"node {name!r}", {"forwards"}).get("forwards", False)
    if not isinstance(forwards, bool):
        raise TopologyError(f"node {name!r}: forwards is {forwards!r}; write true for a router, or leave it out")
    return forwards


def _links(described: Any, nodes: Mapping[str, bool]) -> tuple[Link, ...]:  # noqa: ANN401 - any JSON value
    if not isinstance(described, list):
        raise TopologyError('links is not a list; write [{"between": ["n1", "n2"]}, …]')
    if len(described) > MOST_LINKS:
        raise TopologyError(f"the file has {len(described)} links; a lab has at most {MOST_LINKS}")
    links = tuple(_link(value, f"link {number}", nodes) for number, value in enumerate(described, 1))
    names: set[str] = set()
    for link in links:
        if link.name in names:
            raise TopologyError(f'link {link.name!r} occurs twice; give the second one another "name"')
        names.add(link.name)
    return links


def _link(described: Any, place: str, nodes: Mapping[str, bool]) -> Link:  # noqa: ANN401 - any JSON value
    described = _object(described, place, {"name", "between", "addresses", "back", *SHAPE_FIELDS})
    ends = _pair(described.get("between"), f"{place}: between", '["n1", "n2"]')
    for end in ends:
        if end not in nodes:
            raise TopologyError(f'{place}: {end!r} is not a node; add it to "nodes" or correct the name')
    if ends[0] == ends[1]:
        raise TopologyError(f"{place} joins {ends[0]!r} to itself; name two different nodes")
    name = described.get("name", "-".join(ends))
    if not isinstance(name, str) or not name:
        raise TopologyError(f"{place}: name is {name!r}; write a text, or leave it out")
    forth = shaped(Shape(), {key: described[key] for key in SHAPE_FIELDS if key in described}, f"link {name!r}")
    back = shaped(forth, _object(described.get("back", {}), f"link {name!r}: back", SHAPE_FIELDS), f"link {name!r}: back")
    return Link(name=name, ends=ends, forth=forth, back=back, addresses=_addresses(described.get("addresses"), name))


def _pair(value: Any, place: str, example: str) -> tuple[str, str]:  # noqa: ANN401 - any JSON value
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(each, str) for each in value):
        raise TopologyError(f"{place} is {value!r}; write two texts, such as {example}")
    return value[0], value[1]


def _addresses(value: Any, name: str) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv4Interface] | None:  # noqa: ANN401
    if value is None:
        return None
    example = '["10.0.0.10/24", "10.0.0.1/24"]'
    texts = _pair(value, f"link {name!r}: addresses", example)
    try:
        first, second = ipaddress.IPv4Interface(texts[0]), ipaddress.IPv4Interface(texts[1])
    except ValueError as error:
        raise TopologyError(f"link {name!r}: addresses: {error}; write them as in {example}") from error
    if first.network != second.network or first.ip == second.ip:
        raise TopologyError(f"link {name!r}: {first} and {second} must be two addresses of one network, such as {example}")
    return first, second


def shaped(shape: Shape, changes: Mapping[str, Any], place: str) -> Shape:
    """`shape` with `changes`. TopologyError if a value is out of its range."""
    for name, value in changes.items():
        _check(name, value, place)
    shape = replace(shape, **changes)
    if shape.jitter_ms > shape.delay_ms:
        raise TopologyError(f"{place}: jitter_ms {shape.jitter_ms:g} exceeds delay_ms {shape.delay_ms:g}; make it smaller")
    return shape


RANGES = {
    "rate_kbps": (8.0, 10_000_000.0),
    "delay_ms": (0.0, 10_000.0),
    "jitter_ms": (0.0, 10_000.0),
    "loss": (0.0, 1.0),
    "queue_ms": (1.0, 60_000.0),
}


def _check(name: str, value: Any, place: str) -> None:  # noqa: ANN401 - any JSON value
    if name not in RANGES:
        raise TopologyError(f"{place}: {name!r} is unknown; a shape has {', '.join(SHAPE_FIELDS)}")
    if name == "rate_kbps" and value is None:
        return
    low, high = RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise TopologyError(f"{place}: {name} is {value!r}; write a number from {low:g} to {high:g}")
