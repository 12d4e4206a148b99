"""Invariants of PM_SYN over random agents, destinations, durations, joins, departures and cancels, in virtual time."""

import random
from collections import Counter, defaultdict
from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.scheduling.board import Board, Slot
from measurement.scheduling.dense_round import DenseRound
from measurement.scheduling.ring_round import RingRound
from measurement.scheduling.shuffled_round import ShuffledRound
from measurement.scheduling.virtual_time import makespan_s, run_to_end


def shuffled(agents, destinations):
    return ShuffledRound(agents, destinations, random.Random(7))


KINDS = {"ring": RingRound, "dense": DenseRound, "shuffled": shuffled}
KIND = st.sampled_from(sorted(KINDS))
SIZE = st.integers(1, 12)


def names(letter, count):
    return [f"{letter}{index:02}" for index in range(count)]


def board_with(agents):
    board = Board()
    for agent in agents:
        board.add_agent(agent)
    return board


def assert_exclusive(intervals):
    """Neither a destination nor an agent has two operations at a time."""
    for of in (lambda slot: slot.destination, lambda slot: slot.agent):
        by_name = defaultdict(list)
        for each in intervals:
            by_name[of(each.slot)].append((each.start_s, each.end_s))
        for spans in by_name.values():
            assert all(before[1] <= after[0] for before, after in pairwise(sorted(spans)))


@given(KIND, SIZE, SIZE, st.integers(0, 1000))
def test_each_pair_runs_once_and_nothing_overlaps(kind, agents, destinations, seed):
    rng = random.Random(seed)
    board = board_with(names("a", agents))
    board.add_round("r", KINDS[kind](names("a", agents), names("d", destinations)))
    intervals = list(run_to_end(board, lambda _slot: rng.lognormvariate(0, 0.5)))
    assert Counter(each.slot for each in intervals) == Counter(
        Slot("r", agent, destination) for agent in names("a", agents) for destination in names("d", destinations)
    )
    assert_exclusive(intervals)
    assert board.is_done("r")


@given(st.data(), st.lists(st.tuples(KIND, SIZE, SIZE, st.integers(0, 2)), min_size=1, max_size=4))
def test_every_pair_ends_although_agents_come_and_go_and_requests_are_cancelled(data, requests):
    """Pairs run or are dropped, each once; nothing is left, so there is no deadlock."""
    agents = names("a", 12)
    board = board_with(agents[:8])
    planned, ended, dropped, running = set(), [], [], []
    for number, (kind, count, destinations, priority) in enumerate(requests):
        key = f"r{number}"
        chosen = agents[: min(count, 8)]
        board.add_round(key, KINDS[kind](chosen, names("d", destinations)), priority=priority)
        planned |= {Slot(key, agent, name) for agent in chosen for name in names("d", destinations)}
    present = set(agents[:8])
    for _ in range(10_000):
        running += board.start_ready()
        assert len({slot.destination for slot in running}) == len(running)
        if not running:
            break
        match data.draw(st.sampled_from(["finish"] * 8 + ["leave", "join", "cancel"])):
            case "finish":
                slot = running.pop(data.draw(st.integers(0, len(running) - 1)))
                board.finish(slot)
                ended.append(slot)
            case "leave" if present:
                gone = data.draw(st.sampled_from(sorted(present)))
                present.discard(gone)
                dropped += board.remove_agent(gone)
            case "join":
                new = data.draw(st.sampled_from(agents))
                if new not in present and all(slot.agent != new for slot in running):
                    present.add(new)
                    board.add_agent(new)
            case "cancel":
                dropped += board.cancel(data.draw(st.sampled_from([f"r{number}" for number in range(len(requests))])))
    # Only pairs of agents that left before their turn and were dropped, or that ran, exist.
    assert Counter(ended + dropped) == Counter(planned)
    assert all(board.is_done(f"r{number}") for number in range(len(requests)))


@given(SIZE, SIZE, st.integers(0, 1000))
def test_a_dense_schedule_never_idles_and_keeps_its_bound(agents, destinations, seed):
    rng = random.Random(seed)
    work = {(a, d): rng.lognormvariate(0, 0.5) for a in names("a", agents) for d in names("d", destinations)}
    board = board_with(names("a", agents))
    board.add_round("r", DenseRound(names("a", agents), names("d", destinations)))
    intervals = list(run_to_end(board, lambda slot: work[slot.agent, slot.destination]))
    by_agent, by_destination = defaultdict(float), defaultdict(float)
    for (agent, destination), duration in work.items():
        by_agent[agent] += duration
        by_destination[destination] += duration
    for each in intervals:
        slot = each.slot
        bound = by_agent[slot.agent] + by_destination[slot.destination] - work[slot.agent, slot.destination]
        assert each.end_s <= bound + 1e-9
        # Until it starts, its agent or its destination is always busy.
        spans = sorted(
            (other.start_s, other.end_s)
            for other in intervals
            if other.slot != slot and (other.slot.agent == slot.agent or other.slot.destination == slot.destination)
        )
        covered_s = 0.0
        for start_s, end_s in spans:
            if start_s <= covered_s + 1e-9:
                covered_s = max(covered_s, end_s)
        assert covered_s >= each.start_s - 1e-9


def ratios(sizes, count):
    """Makespan and destinations' spans, each divided by its lower bound, of lognormal instances."""
    makespans, spans = [], []
    for seed in range(count):
        rng = random.Random(seed)
        agents, destinations = names("a", rng.choice(sizes)), names("d", rng.choice(sizes))
        work = {(a, d): rng.lognormvariate(0, 0.5) for a in agents for d in destinations}
        board = board_with(agents)
        board.add_round("r", DenseRound(agents, destinations))
        intervals = list(run_to_end(board, lambda slot, work=work: work[slot.agent, slot.destination]))
        of_agent = [sum(work[a, d] for d in destinations) for a in agents]
        of_destination = {d: sum(work[a, d] for a in agents) for d in destinations}
        makespans.append(makespan_s(intervals) / max(*of_agent, *of_destination.values()))
        if len(agents) >= len(destinations):
            for d in destinations:
                own = [each for each in intervals if each.slot.destination == d]
                spans.append((max(each.end_s for each in own) - min(each.start_s for each in own)) / of_destination[d])
    return makespans, spans


def test_dense_schedules_are_near_the_lower_bound_and_continuous():
    makespans, spans = ratios(range(4, 13), 200)
    assert mean(makespans) <= 1.10
    assert max(makespans) <= 1.25
    assert mean(spans) <= 1.3


@given(st.sampled_from(["ring", "dense"]), st.integers(1, 6), st.integers(1, 6), st.integers(0, 100))
def test_requests_with_the_same_destination_measure_it_one_after_the_other(kind, first, second, seed):
    """First come, first served: at each destination, all measurements of the first request precede those of the second."""
    rng = random.Random(seed)
    board = board_with(names("a", 6))
    for key, count in (("r1", first), ("r2", second)):
        board.add_round(key, KINDS[kind](rng.sample(names("a", 6), count), rng.sample(names("d", 4), rng.randint(1, 4))))
    intervals = list(run_to_end(board, lambda _slot: rng.lognormvariate(0, 0.5)))
    assert_exclusive(intervals)
    for destination in names("d", 4):
        of = {key: [e for e in intervals if e.slot.destination == destination and e.slot.round_key == key] for key in ("r1", "r2")}
        if of["r1"] and of["r2"]:
            assert max(each.end_s for each in of["r1"]) <= min(each.start_s for each in of["r2"])


def test_a_request_of_higher_priority_overtakes_waiting_requests_and_interrupts_nothing():
    board = board_with(["a1"])
    board.add_round("usual", DenseRound(["a1"], ["d1", "d2"]))
    assert board.start_ready() == [Slot("usual", "a1", "d1")]
    board.add_round("urgent", DenseRound(["a1"], ["d1", "d2"]), priority=1)
    assert board.start_ready() == []
    board.finish(Slot("usual", "a1", "d1"))
    order = [each.slot.round_key for each in run_to_end(board, lambda _slot: 1.0)]
    assert order == ["urgent", "urgent", "usual"]


def test_the_destination_of_a_lost_agent_stays_locked_until_the_agent_has_certainly_stopped():
    board = board_with(["a1", "a2"])
    board.add_round("r", DenseRound(["a1", "a2"], ["d1"]))
    (running,) = board.start_ready()
    assert board.remove_agent(running.agent) == []
    assert board.start_ready() == []
    board.finish(running)
    (other,) = board.start_ready()
    assert other.agent != running.agent


def test_an_agent_that_returns_while_its_old_operation_holds_a_destination_waits_for_it():
    board = board_with(["a1"])
    board.add_round("r", DenseRound(["a1"], ["d1"]))
    (running,) = board.start_ready()
    board.remove_agent("a1")
    board.add_agent("a1")
    board.add_round("s", DenseRound(["a1"], ["d1"]))
    assert board.start_ready() == []
    board.finish(running)
    assert board.start_ready() == [Slot("s", "a1", "d1")]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_round_that_names_a_destination_twice_is_refused(kind):
    with pytest.raises(ValueError, match="twice"):
        KINDS[kind](["a1"], ["d1", "d1"])
