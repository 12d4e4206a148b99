"""Interfaces, addresses and routes, without a kernel."""

import ipaddress
import json

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlab import Topology, TopologyError, read_topology
from netlab.plan import Plan, plan


def lab(links: list[tuple[str, str]], forwards: bool = True, **more: object) -> Topology:
    names = sorted({end for link in links for end in link})
    nodes = {name: {"forwards": forwards} for name in names}
    return read_topology(json.dumps({"nodes": nodes, "links": [{"between": link, **more} for link in links]}))


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[str, str]]:
    """A connected graph of up to 12 nodes."""
    count = draw(st.integers(2, 12))
    tree = {(draw(st.integers(0, later - 1)), later) for later in range(1, count)}
    more = draw(st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=10))
    more = {(min(pair), max(pair)) for pair in more if pair[0] != pair[1]}
    return [(f"n{one}", f"n{other}") for one, other in sorted(tree | more)]


def next_node(planned: Plan, node: str, target: ipaddress.IPv4Address) -> str | None:
    """Where a packet at `node` goes next; None at its destination."""
    ports = planned.ports_of(node)
    if any(port.address.ip == target for port in ports):
        return None
    owners = {port.address.ip: port.node for pair in planned.ports.values() for port in pair}
    if any(target in port.address.network for port in ports):
        return owners[target]
    fitting = [route for route in planned.routes if route.node == node and target in route.network]
    return owners[max(fitting, key=lambda route: route.network.prefixlen).gateway]


@settings(max_examples=40)
@given(graphs())
def test_every_packet_takes_a_shortest_path(links: list[tuple[str, str]]):
    planned = plan(lab(links))
    distances = dict(networkx.all_pairs_shortest_path_length(networkx.Graph(links)))
    for pair in planned.ports.values():
        for port, other in (pair, pair[::-1]):
            for start in distances:
                node, hops = start, 0
                while (following := next_node(planned, node, port.address.ip)) is not None:
                    node, hops = following, hops + 1
                assert node == port.node
                # A packet may enter the last link from its other end.
                assert hops <= min(distances[start][port.node], distances[start][other.node] + 1) + 1


def test_networks_that_overlap_are_refused():
    with pytest.raises(TopologyError, match=r"links 'a-b' and 'b-c' have overlapping networks 10\.0\.0\.0/24"):
        plan(lab([("a", "b"), ("b", "c")], addresses=["10.0.0.1/24", "10.0.0.2/24"]))
