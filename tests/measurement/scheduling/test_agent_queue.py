"""PM_RAN: an agent's own queue, in virtual time."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.scheduling.agent_queue import AgentQueue, QueueTask
from measurement.scheduling.next_round import next_round


def run(queue, until_s, duration_s):
    """Runs the queue until `until_s`; returns (entry, start) of each run, and all missed rounds."""
    now_s, runs, missed = 0.0, [], []
    while (due_s := queue.due_s()) is not None and max(now_s, due_s) < until_s:
        now_s = max(now_s, due_s)
        entry = queue.pop(now_s)
        assert queue.due_s() is None or entry.start_s <= queue.due_s()
        runs.append((entry, now_s))
        now_s += duration_s(entry)
        missed += [(entry.task.task_id, entry.destination, number) for number in queue.reinsert(entry, now_s).missed]
    return runs, missed


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.0, 5.0, 20.0])), min_size=1, max_size=4), st.integers(0, 99))
def test_entries_run_in_the_order_of_their_start_times_and_never_before(tasks, seed):
    rng = random.Random(seed)
    queue = AgentQueue(rng)
    for number, (count, period_s) in enumerate(tasks):
        queue.add(QueueTask(task_id=f"t{number}", destinations=tuple(f"d{i}" for i in range(count)), period_s=period_s), 0.0)
    runs, missed = run(queue, 300.0, lambda _entry: rng.uniform(0.1, 3.0))
    assert all(entry.start_s <= now_s for entry, now_s in runs)
    # Each round of each destination has run or is missed, once.
    rounds = Counter((entry.task.task_id, entry.destination, entry.round) for entry, _ in runs) + Counter(missed)
    assert set(rounds.values()) == {1}


def test_destinations_are_measured_in_uniformly_random_orders():
    orders = Counter()
    for seed in range(3000):
        queue = AgentQueue(random.Random(seed))
        queue.add(QueueTask(task_id="t", destinations=("a", "b", "c")), 0.0)
        orders["".join(entry.destination for entry, _ in run(queue, 1e9, lambda _entry: 1.0)[0])] += 1
    assert len(orders) == 6
    chi_squared = sum((count - 500) ** 2 / 500 for count in orders.values())
    assert chi_squared < 20.5  # 5 degrees of freedom, 0.1 %


def test_a_period_does_not_drift_in_100_rounds():
    queue = AgentQueue(random.Random(1))
    queue.add(QueueTask(task_id="t", destinations=("d",), period_s=10.0), 0.0)
    runs, missed = run(queue, 1000.0, lambda _entry: 0.7)
    assert [now_s for _, now_s in runs] == [10.0 * number for number in range(100)]
    assert missed == []


def test_a_slow_task_does_not_shut_out_the_others():
    queue = AgentQueue(random.Random(2))
    queue.add(QueueTask(task_id="slow", destinations=("d1", "d2"), period_s=1.0), 0.0)
    queue.add(QueueTask(task_id="quick", destinations=("d3",), period_s=60.0), 0.0)
    runs, missed = run(queue, 1200.0, lambda entry: 30.0 if entry.task.task_id == "slow" else 0.1)
    quick = [now_s for entry, now_s in runs if entry.task.task_id == "quick"]
    assert len(quick) == 20
    assert all(now_s - 60.0 * number <= 61.0 for number, now_s in enumerate(quick))
    assert missed
    assert all(name == "slow" for name, _, _ in missed)


def test_a_task_ends_after_its_rounds_and_missed_rounds_count():
    queue = AgentQueue(random.Random(3))
    queue.add(QueueTask(task_id="t", destinations=("d",), period_s=10.0, rounds=5), 0.0)
    runs, missed = run(queue, 1e9, lambda entry: 35.0 if entry.round == 0 else 1.0)
    assert sorted([entry.round for entry, _ in runs] + [number for _, _, number in missed]) == [0, 1, 2, 3, 4]
    assert [number for _, _, number in missed] == [1, 2]
    assert len(queue) == 0


def test_client_stop_removes_one_task_and_an_interrupted_entry_keeps_its_place():
    queue = AgentQueue(random.Random(4))
    queue.add(QueueTask(task_id="t1", destinations=("d1", "d2")), 0.0)
    queue.add(QueueTask(task_id="t2", destinations=("d1",)), 1.0)
    entry = queue.pop(5.0)
    assert entry.task.task_id == "t1"
    queue.put_back(entry)
    assert {each.destination for each in queue.remove("t1")} == {"d1", "d2"}
    assert queue.pop(5.0).task.task_id == "t2"
    assert queue.pop(5.0) is None
    queue.add(QueueTask(task_id="t3", destinations=("d1",)), 9.0)
    assert queue.pop(8.9) is None
    assert [each.task.task_id for each in queue.clear()] == ["t3"]


@pytest.mark.parametrize(
    ("start_s", "end_s", "following"),
    [(0, 3, (10, 0)), (0, 10, (10, 0)), (0, 12, (12, 0)), (0, 20, (20, 1)), (0, 25, (25, 1)), (100, 135, (135, 2))],
)
def test_the_next_round_starts_after_the_period_or_when_the_last_one_ends(start_s, end_s, following):
    found = next_round(start_s, end_s, 10)
    assert (found.start_s, found.missed) == following


def test_a_period_of_zero_is_refused():
    with pytest.raises(ValueError, match="period above 0"):
        next_round(0, 1, 0)
