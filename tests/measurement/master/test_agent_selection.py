"""AUTO against brute force, and the other ways to select agents."""

import math
import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.master.agent_membership import AgentMember
from measurement.master.agent_selection import ROUTE_KEPT_S, EdgeRoutes, Selector, greedy_cover, parse_tags
from measurement.measurement_request import InvalidRequestError
from measurement.operation import Technique


def members(*names, **tags):
    return [
        AgentMember(
            name=name,
            epoch="e",
            address=f"192.0.2.{number}",
            tags=dict(tags.get(name, {})),
            techniques=frozenset({Technique.PING}),
            heard_s=0.0,
            connected=True,
        )
        for number, name in enumerate(names, 1)
    ]


def selector(found, **fields):
    usual = {"addresses": ["203.0.113.1"], "routes": EdgeRoutes(), "rng": random.Random(1), "agents_of": {"r1": ["a1"]}.get}
    return Selector(members=found, **usual | fields)


@given(st.dictionaries(st.sampled_from("abcdefghij"), st.frozensets(st.integers(0, 9), max_size=5), min_size=1, max_size=10))
def test_the_greedy_cover_is_within_its_guarantee_of_the_smallest_one(elements):
    universe = frozenset().union(*elements.values())
    chosen = greedy_cover(elements, lambda _name, _chosen: (), most=10, covered=1.0)
    assert frozenset().union(*(elements[name] for name in chosen)) == universe
    smallest = next(
        size
        for size in range(len(elements) + 1)
        if any(frozenset().union(*map(elements.get, some)) == universe for some in combinations(elements, size))
    )
    largest = max(map(len, elements.values()))
    assert len(chosen) <= math.ceil(sum(1 / each for each in range(1, largest + 1)) * smallest)
    assert chosen == greedy_cover(dict(reversed(elements.items())), lambda _name, _chosen: (), most=10, covered=1.0)


def test_auto_takes_one_agent_for_each_edge_route():
    routes = EdgeRoutes()
    for agent, last in (("a1", "198.51.100.1"), ("a2", "198.51.100.1"), ("a3", "198.51.100.9")):
        routes.add(agent, "203.0.113.1", ["10.0.0.1", last], 0.0, whole=False)
        routes.add(agent, "203.0.113.1", [last], 1.0, whole=True)  # the newest route counts
        routes.add(agent, "203.0.113.1", [f"10.0.0.{agent[1]}"], 2.0, whole=False)  # but not a trace that ended early
    found = members("a1", "a2", "a3")
    assert selector(found, routes=routes).select(["AUTO"]) == ["a1", "a3"]
    found[0].running = 5
    assert selector(found, routes=routes).select(["AUTO"]) == ["a2", "a3"]  # the less busy one


def test_auto_explores_unknown_routes_from_different_places_and_forgets_old_ones():
    tags = {"a1": {"country": "HK"}, "a2": {"country": "HK"}, "a3": {"country": "JP"}}
    found = members("a1", "a2", "a3", **tags)
    assert selector(found, most_agents=2).select(["AUTO"]) == ["a1", "a3"]
    routes = EdgeRoutes()
    for name in ("a1", "a2", "a3"):
        routes.add(name, "203.0.113.1", ["198.51.100.1"], 0.0, whole=True)
    assert selector(found, routes=routes).select(["AUTO"]) == ["a1"]
    routes.forget_old(ROUTE_KEPT_S + 1)
    assert selector(found, routes=routes).select(["AUTO"]) == ["a1", "a2", "a3"]


def test_agents_are_selected_by_name_address_tags_and_an_earlier_request():
    found = members("a1", "a2", "a3", a1={"country": "HK", "isp": "HKBN"}, a2={"country": "HK"}, a3={"country": "JP"})
    select = selector(found).select
    assert select(["ALL"]) == ["a1", "a2", "a3"]
    assert len(select(["ANY"])) == 1
    assert select(["a2", "192.0.2.3"]) == ["a2", "a3"]
    assert select(["country=HK"]) == ["a1", "a2"]
    assert select(["country=HK+isp=HKBN", "a3"]) == ["a1", "a3"]
    assert select(["request:r1"]) == ["a1"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (["a9"], "'a9' is not connected"),
        (["country=XX"], "has the tags country=XX"),
        (["country="], "are not valid"),
        (["a=1+a=2"], "are not valid"),
        (["request:r9"], "'r9' is not one of yours"),
    ],
)
def test_a_selection_without_an_agent_is_an_error(wanted, why):
    with pytest.raises(InvalidRequestError, match=why):
        selector(members("a1")).select(wanted)
    with pytest.raises(InvalidRequestError, match="no agent"):
        selector([]).select(["ALL"])
    with pytest.raises(InvalidRequestError, match="r1 are not connected"):
        selector(members("a2")).select(["request:r1"])


def test_the_tags_of_a_selection_are_parsed():
    assert parse_tags("country=HK+isp=HKBN") == {"country": "HK", "isp": "HKBN"}
