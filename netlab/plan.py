"""Interfaces, addresses and routes of a lab, decided before the kernel is asked for anything.

Routes are shortest by hops, over nodes that forward, and never change: a link that is cut stays in the routes, as a path that has
stopped working does in the Internet.
"""

import ipaddress
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from netlab.topology import Link, Topology, TopologyError

POOL = ipaddress.IPv4Network("10.64.0.0/10")
"""Where the lab takes addresses from, a network of four addresses for each link."""
EVERYWHERE = ipaddress.IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One end of a link: the interface in a node."""

    node: str
    interface: str
    address: ipaddress.IPv4Interface
    mac: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """At `node`, packets for `network` leave towards `gateway`."""

    node: str
    network: ipaddress.IPv4Network
    gateway: ipaddress.IPv4Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The interfaces, addresses and routes of a lab."""

    ports: Mapping[str, tuple[Port, Port]]
    """By the name of the link, in the order of its ends."""
    routes: tuple[Route, ...]

    def ports_of(self, node: str) -> list[Port]:
        return [port for pair in self.ports.values() for port in pair if port.node == node]


def plan(topology: Topology) -> Plan:
    """TopologyError if addresses repeat or networks overlap."""
    used = dict.fromkeys(topology.nodes, 0)
    ports: dict[str, tuple[Port, Port]] = {}
    for number, link in enumerate(topology.links):
        addresses = link.addresses or _chosen(number)
        first, second = (_port(link, side, number, addresses[side], used) for side in (0, 1))
        ports[link.name] = first, second
    _check_networks(ports)
    links_of = {node: [link for link in topology.links if node in link.ends] for node in topology.nodes}
    routes = tuple(route for node in topology.nodes if links_of[node] for route in _routes(node, links_of, topology, ports))
    return Plan(ports=ports, routes=routes)


def _chosen(number: int) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv4Interface]:
    base = int(POOL.network_address) + 4 * number
    return ipaddress.IPv4Interface((base + 1, 30)), ipaddress.IPv4Interface((base + 2, 30))


def _port(link: Link, side: int, number: int, address: ipaddress.IPv4Interface, used: dict[str, int]) -> Port:
    node = link.ends[side]
    interface = f"eth{used[node]}"
    used[node] += 1
    # 02: the address is locally administered (IEEE 802).
    mac = f"02:00:{number >> 8:02x}:{number & 255:02x}:00:{side + 1:02x}"
    return Port(node=node, interface=interface, address=address, mac=mac, link=link.name)


def _check_networks(ports: Mapping[str, tuple[Port, Port]]) -> None:
    networks = sorted((first.address.network, name) for name, (first, _) in ports.items())
    for (earlier, one), (later, other) in pairwise(networks):
        if earlier.overlaps(later):
            raise TopologyError(f"links {one!r} and {other!r} have overlapping networks {earlier} and {later}; give each its own")


def _routes(
    node: str, links_of: Mapping[str, Sequence[Link]], topology: Topology, ports: Mapping[str, tuple[Port, Port]]
) -> list[Route]:
    if len(links_of[node]) == 1:  # a host needs no more than a default route
        return [Route(node=node, network=EVERYWHERE, gateway=_other_port(node, ports[links_of[node][0].name]).address.ip)]
    hops, first_links = _paths(node, links_of, topology.nodes)
    routes = []
    for link in topology.links:
        reached = [end for end in link.ends if end in hops]
        if node in link.ends or not reached:
            continue
        nearer = min(reached, key=hops.__getitem__)
        gateway = _other_port(node, ports[first_links[nearer].name]).address.ip
        routes.append(Route(node=node, network=ports[link.name][0].address.network, gateway=gateway))
    return routes


def _other_port(node: str, pair: tuple[Port, Port]) -> Port:
    return pair[1] if pair[0].node == node else pair[0]


def _paths(
    start: str, links_of: Mapping[str, Sequence[Link]], forwards: Mapping[str, bool]
) -> tuple[dict[str, int], dict[str, Link]]:
    """Hops from `start` to each node that it reaches over forwarding nodes, and the link that the path leaves by."""
    hops = {start: 0}
    first_links: dict[str, Link] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        if node != start and not forwards[node]:
            continue
        for link in links_of[node]:
            other = link.other_end(node)
            if other not in hops:
                hops[other] = hops[node] + 1
                first_links[other] = first_links.get(node, link)
                waiting.append(other)
    return hops, first_links
