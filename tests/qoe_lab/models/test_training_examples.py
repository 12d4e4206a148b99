"""Examples have the truth of the tables, no feature that is the truth, and keep the examples of a session together."""

import re

import numpy as np
import pytest

from qoe_lab.models.forbidden_features import forbidden
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP, TASKS
from qoe_lab.models.training_examples import examples_of, session_slots
from qoe_lab.traffic.slot_features import SLOT_FEATURES as TRAFFIC_FEATURES
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, training


@pytest.fixture(scope="module")
def tables():
    return training(sessions=20, seconds=12)


def test_slots_have_the_truth_of_their_own_second(tables):
    _, slots = tables
    sessions = session_slots(*tables, SLOT_FEATURES)
    stalled = examples_of(SLOT_STALLED, sessions, SLOT_FEATURES)
    assert stalled.y.sum() == (slots["state"] == "stall").sum() > 0
    heights = examples_of(HEIGHT, sessions, SLOT_FEATURES)
    assert len(heights) == (slots["state"] != "startup").sum()
    assert set(heights.classes) == {str(int(each)) for each in slots["height"][slots["state"] != "startup"]}


def test_a_session_has_one_example_that_is_judged_and_it_is_the_whole_session(tables):
    sessions, _ = tables
    for task in (SESSION_STALLED, STARTUP, MOS):
        examples = examples_of(task, session_slots(*tables, SLOT_FEATURES), SLOT_FEATURES)
        judged = examples.at(examples.whole)
        assert len(np.unique(judged.sessions)) == len(judged)
        assert (judged.slots == 11).all()
        known = ~np.isnan(sessions["startup_ms"]) if task == STARTUP else np.isfinite(sessions["mos"])
        assert len(judged) == (len(sessions["mos"]) if task == SESSION_STALLED else known.sum())


def test_the_truth_of_a_session_that_still_runs_is_what_has_happened_so_far(tables):
    _, slots = tables
    examples = examples_of(SESSION_STALLED, session_slots(*tables, SLOT_FEATURES), SLOT_FEATURES)
    assert 0 < examples.y[~examples.whole].mean() < examples.y[examples.whole].mean()
    for session, last, truth in zip(examples.sessions, examples.slots, examples.y, strict=True):
        rows = (slots["session_id"] == session) & (slots["slot"] <= last)
        assert truth == (slots["stalled_ms"][rows].sum() > 0)


def test_the_startup_is_not_a_truth_before_it_is_over(tables):
    sessions, _ = tables
    examples = examples_of(STARTUP, session_slots(*tables, SLOT_FEATURES), SLOT_FEATURES)
    startup = dict(zip(sessions["session_id"], sessions["startup_ms"], strict=True))
    assert all((last + 1) * 1000 >= startup[session] for session, last in zip(examples.sessions, examples.slots, strict=True))


def test_sessions_that_are_not_valid_are_left_out(tables):
    sessions, slots = tables
    some = {**sessions, "valid": np.arange(len(sessions["valid"])) % 2 == 0}
    assert len(session_slots(some, slots, SLOT_FEATURES)) == 10


def test_the_order_of_the_rows_does_not_matter(tables):
    sessions, slots = tables
    order = np.random.default_rng(1).permutation(len(slots["slot"]))
    shuffled = {name: column[order] for name, column in slots.items()}
    one, other = (session_slots(sessions, each, SLOT_FEATURES) for each in (slots, shuffled))
    assert all(np.array_equal(a.x, b.x, equal_nan=True) for a, b in zip(one, other, strict=True))


def test_no_feature_of_the_traffic_is_the_truth_the_plan_or_an_identity():
    assert forbidden(each.name for each in TRAFFIC_FEATURES) == []


ANSWERS = (
    *("state", "stalled_ms", "height", "buffer_ms", "startup_ms", "mos", "stall_count", "mean_height", "dropped_frames"),
    *("limit_mbps", "goodput_mbps", "training_id", "session_id", "content_id", "block", "split", "client_address", "begin_ms"),
    *("c2s_ttl_min", "client_port", "slot", "played_ms", "switches", "longest_stall_ms", "pcap_sha256"),
)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_column_that_is_the_truth_the_plan_or_an_identity_is_refused_as_a_feature(tables, name: str):
    with pytest.raises(ValueError, match=f"{name} must not be features"):
        session_slots(*tables, (*SLOT_FEATURES, name))


def test_a_missing_feature_is_named(tables):
    with pytest.raises(ValueError, match="the table of slots has no chunk_9_ms; export the training again"):
        session_slots(*tables, (*SLOT_FEATURES, "chunk_9_ms"))


@pytest.mark.parametrize("value", [np.inf, -1e300, 1e16])
def test_features_that_cannot_be_true_count_as_not_known(tables, value: float):
    sessions, slots = tables
    some = {**slots, "down_kbps": np.where(slots["slot"] == 3, value, slots["down_kbps"])}
    read = session_slots(sessions, some, SLOT_FEATURES)
    assert all(np.isnan(each.x[3, 0]) and np.isfinite(each.x[4, 0]) for each in read)


@pytest.mark.parametrize(
    ("name", "value"),
    [("limit_mbps", np.inf), ("limit_mbps", -1.0), ("startup_ms", -1.0), ("startup_ms", 1e300), ("mos", 7.0), ("mos", -np.inf)],
)
def test_a_truth_that_cannot_be_true_is_refused_with_its_session(tables, name: str, value: float):
    sessions, slots = tables
    wrong = {**sessions, name: np.where(np.arange(len(sessions[name])) == 2, value, sessions[name])}
    with pytest.raises(ValueError, match=re.escape(f"{name} of the session one-0002 is {value:g}")):
        session_slots(wrong, slots, SLOT_FEATURES)


@pytest.mark.parametrize(("name", "value"), [("height", 1e300), ("height", -1.0), ("stalled_ms", 1001.0)])
def test_a_truth_of_a_slot_that_cannot_be_true_is_refused_with_its_session(tables, name: str, value: float):
    sessions, slots = tables
    wrong = {**slots, name: np.where(np.arange(len(slots[name])) == 5, value, slots[name])}
    with pytest.raises(ValueError, match=re.escape(f"{name} of the session one-0000 is {value:g}")):
        session_slots(sessions, wrong, SLOT_FEATURES)


def test_a_slot_without_a_state_and_a_session_without_a_limit_are_refused(tables):
    sessions, slots = tables
    states = np.where(np.arange(len(slots["state"])) == 5, None, slots["state"].astype(object))
    with pytest.raises(ValueError, match="state of the session one-0000 is None"):
        session_slots(sessions, {**slots, "state": states}, SLOT_FEATURES)
    limits = np.where(np.arange(len(sessions["limit_mbps"])) == 1, np.nan, sessions["limit_mbps"])
    with pytest.raises(ValueError, match="limit_mbps of the session one-0001 is nan"):
        session_slots({**sessions, "limit_mbps": limits}, slots, SLOT_FEATURES)
    others_valid = np.arange(len(limits)) != 1
    session_slots({**sessions, "limit_mbps": limits, "valid": others_valid}, slots, SLOT_FEATURES)


def test_every_task_has_examples(tables):
    sessions = session_slots(*tables, SLOT_FEATURES)
    assert all(len(examples_of(task, sessions, SLOT_FEATURES)) >= 18 for task in TASKS)
