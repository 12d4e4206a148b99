"""Boolean tomography on random networks whose bad links are known, and against the search of all sets."""

import math
import random
from dataclasses import dataclass
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.diagnosis import Confidence, diagnose, tomography
from feedback_analysis.diagnosis.path_parts import PathPart, by_node, parts_of, possible_parts
from feedback_analysis.diagnosis.tomography import PathKey, explain
from tests.feedback_analysis.diagnosis.scenarios import Measurements

SURE = (Confidence.HIGH, Confidence.MEDIUM)


@dataclass(frozen=True)
class Network:
    """A tree of routers with agents and destinations. The paths are those of the tree."""

    paths: dict[tuple[str, str], tuple[str, ...]]
    bad: frozenset[PathPart]
    silent: frozenset[str] = frozenset()

    def lossy(self, pair: tuple[str, str]) -> bool:
        return not self.bad.isdisjoint(parts_of(self.nodes(pair)))

    def nodes(self, pair: tuple[str, str]) -> tuple[str, ...]:
        return (f"agent {pair[0]}", *self.paths[pair], pair[1])

    def seen(self, pair: tuple[str, str]) -> tuple[str | None, ...]:
        return tuple(None if node in self.silent else node for node in self.paths[pair])

    def measured(self, pairs) -> Measurements:
        found = Measurements()
        for pair in pairs:
            found.path(*pair, *self.seen(pair), lost=30 if self.lossy(pair) else 0)
        return found

    def names_of_bad_links(self) -> list[set[PathPart]]:
        """Of each bad link, how it appears on the paths, where hops may be silent."""
        names: dict[PathPart, set[PathPart]] = {link: set() for link in self.bad}
        for pair in self.paths:
            links = [part for part in parts_of(self.nodes(pair)) if not part.is_hop]
            seen = [part for part in parts_of((f"agent {pair[0]}", *self.seen(pair), pair[1])) if not part.is_hop]
            for link, name in zip(links, seen, strict=True):
                names.get(link, set()).add(name)
        return [each for each in names.values() if each]


@st.composite
def networks(draw, *, most_bad: int, silent: bool = False) -> Network:
    parents = [draw(st.integers(0, max(number - 1, 0))) for number in range(draw(st.integers(2, 8)))]
    up = {f"r{number}": f"r{parent}" if number else "" for number, parent in enumerate(parents)}
    routers = sorted(up)
    agents = {f"a{number}": draw(st.sampled_from(routers)) for number in range(draw(st.integers(1, 4)))}
    addresses = {f"d{number}": draw(st.sampled_from(routers)) for number in range(draw(st.integers(1, 4)))}
    paths = {(agent, address): way(up, agents[agent], addresses[address]) for agent in agents for address in addresses}
    network = Network(paths, frozenset())
    links = sorted({part for pair in paths for part in parts_of(network.nodes(pair)) if not part.is_hop})
    bad = draw(st.sets(st.sampled_from(links), min_size=1, max_size=most_bad))
    hidden = draw(st.sets(st.sampled_from(routers), max_size=2)) if silent else set()
    return Network(paths, frozenset(bad), frozenset(hidden))


def way(up: dict[str, str], start: str, end: str) -> tuple[str, ...]:
    """The routers from start to end through their nearest common ancestor."""
    first, last = ancestors(up, start), ancestors(up, end)
    turn = next(router for router in first if router in last)
    return (*first[: first.index(turn) + 1], *reversed(last[: last.index(turn)]))


def ancestors(up: dict[str, str], router: str) -> list[str]:
    return [router, *(ancestors(up, up[router]) if up[router] else [])]


def places(verdict) -> set[PathPart]:
    return {part for subject in (verdict.subject, *verdict.alternatives) for part in subject.parts}


def whole(parts, shared: set[PathPart]) -> bool:
    """Whether both ends of a path touch these parts."""
    return any(each.before == parts[0].before for each in shared) and any(each.after == parts[-1].after for each in shared)


@given(networks(most_bad=2))
def test_each_verdict_contains_a_bad_link_in_its_subject_or_its_alternatives(network):
    for verdict in diagnose(network.measured(network.paths)).verdicts:
        assert places(verdict) & network.bad
        if verdict.confidence is Confidence.HIGH:
            assert verdict.subject.parts & network.bad


@given(networks(most_bad=2))
def test_each_lossy_path_has_its_bad_link_in_a_verdict_or_is_reported_as_not_enough_evidence(network):
    diagnosis = diagnose(network.measured(network.paths))
    candidates = {part for each in diagnosis.not_enough for subject in each.candidates for part in subject.parts}
    found = candidates.union(*map(places, diagnosis.verdicts))
    for pair in filter(network.lossy, network.paths):
        assert found & network.bad & set(parts_of(network.nodes(pair)))


@given(networks(most_bad=1))
def test_one_bad_link_is_found_exactly_if_the_paths_identify_it(network):
    """The subject is what lies on all lossy paths and on no clean path: the link, and what no path distinguishes from it."""
    parts = {pair: parts_of(network.nodes(pair)) for pair in network.paths}
    clean = {part for pair in parts if not network.lossy(pair) for part in parts[pair]}
    suspects = {pair: set(parts[pair]) - clean for pair in parts if network.lossy(pair)}
    shared = set.intersection(*suspects.values()) if suspects else set()
    verdicts = diagnose(network.measured(network.paths)).verdicts
    assert [each.subject.parts for each in verdicts] in ([], [shared])
    if any(suspects[pair] == shared and not whole(parts[pair], shared) for pair in suspects):
        assert [each.confidence for each in verdicts] == [Confidence.HIGH]


@given(networks(most_bad=1, silent=True), st.randoms(use_true_random=False))
def test_fewer_measurements_and_silent_hops_give_no_wrong_sure_verdict(network, rng):
    """Agents, destinations and traces are left out at random. A sure verdict still contains the bad link."""
    operations = network.measured(network.paths)
    rest = rng.sample(operations, rng.randint(0, len(operations)))
    for verdict in diagnose(rest).verdicts:
        if verdict.confidence in SURE:
            assert all(verdict.subject.parts & names for names in network.names_of_bad_links())


@given(networks(most_bad=2, silent=True), st.randoms(use_true_random=False))
def test_the_order_and_repetition_of_operations_do_not_matter(network, rng):
    operations = network.measured(network.paths)
    again = [*operations, *operations[:3]]
    rng.shuffle(again)
    assert diagnose(again) == diagnose(operations)


def test_one_agent_and_one_destination_are_never_a_verdict():
    network = Network({("a", "d"): ("r1", "r2")}, frozenset({PathPart("r1", "r2")}))
    diagnosis = diagnose(network.measured(network.paths))
    assert diagnosis.verdicts == ()
    assert "paths of other agents" in diagnosis.not_enough[0].missing


PATH = {number: PathKey("a", str(number)) for number in range(12)}
PART = {number: PathPart(str(number), str(number)) for number in range(12)}
MEMBERS = st.frozensets(st.integers(0, 6), min_size=1, max_size=4)


def smallest_size(sets: list[frozenset[PathPart]]) -> int:
    parts = set().union(*sets)
    return next(
        size for size in range(len(parts) + 1) if any(all(each & set(c) for each in sets) for c in combinations(parts, size))
    )


@given(st.lists(MEMBERS, min_size=1, max_size=7), st.booleans())
def test_the_answer_is_as_small_as_that_of_a_search_of_all_sets_or_within_the_greedy_bound(members, greedy):
    lossy = {PATH[number]: frozenset(PART[each] for each in path) for number, path in enumerate(members)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tomography, "MOST_COMBINATIONS", 0 if greedy else 20_000)
        explanations = explain(lossy, [])
    for each in explanations:
        sets = [lossy[path] for path in each.paths]
        best = smallest_size(sets)
        assert each.exact is not greedy
        for chosen in each.smallest:
            assert all(any(path in group.paths for group in chosen) for path in each.paths)
            assert len(chosen) == best if not greedy else len(chosen) <= best * (math.log(len(sets)) + 1)
    assert sorted(path for each in explanations for path in each.paths) == sorted(lossy)


def test_all_equally_small_sets_are_found():
    lossy = {PATH[0]: frozenset({PART[1], PART[2]}), PATH[1]: frozenset({PART[2], PART[3]}), PATH[2]: frozenset({PART[1], PART[3]})}
    (explanation,) = explain(lossy, [])
    assert {frozenset(part for group in each for part in group.parts) for each in explanation.smallest} == {
        frozenset({PART[1], PART[2]}),
        frozenset({PART[2], PART[3]}),
        frozenset({PART[1], PART[3]}),
    }


def test_a_path_whose_parts_are_all_clean_has_no_explanation():
    (explanation,) = explain({PATH[0]: frozenset({PART[1]})}, [frozenset({PART[1]})])
    assert explanation.smallest == ()


def test_a_silent_hop_may_be_the_hop_that_another_path_has_there():
    silent, known = ("agent a", "u", None, "v", "d"), ("agent b", "u", "x", "v", "e")
    assert possible_parts(silent, by_node([known])) - set(parts_of(silent)) == {
        PathPart("u", "x"),
        PathPart("x", "x"),
        PathPart("x", "v"),
    }


def test_many_paths_are_explained_in_time_by_the_greedy_answer():
    rng = random.Random(7)
    lossy = {PathKey("a", str(n)): frozenset(PathPart(f"h{rng.randrange(80)}", "x") for _ in range(6)) for n in range(200)}
    explanations = explain(lossy, [])
    assert sum(len(each.paths) for each in explanations) == 200
    assert not explanations[0].exact
