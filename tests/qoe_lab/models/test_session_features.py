"""A session so far is described by the same numbers, however it came to be."""

import numpy as np
import pytest

from qoe_lab.models.session_features import HEAD_SLOTS, SessionSoFar, head_names, so_far_names

NAMES = ("down_kbps", "rtt_min_ms", "total_requests", "elapsed_s")


@pytest.fixture
def slots() -> np.ndarray:
    random = np.random.default_rng(1)
    slots = 1e6 + random.standard_normal((30, 4))
    slots[random.random(slots.shape) < 0.3] = np.nan
    slots[:, 1] = np.nan
    return slots


def test_the_features_of_a_session_are_those_of_its_known_slots(slots: np.ndarray):
    so_far = SessionSoFar(NAMES)
    for slot in slots:
        so_far.add(slot)
    found = dict(zip(so_far_names(NAMES), so_far.so_far(), strict=True))
    rates = slots[:, 0][~np.isnan(slots[:, 0])]
    assert found["down_kbps_mean"] == pytest.approx(rates.mean())
    assert found["down_kbps_sd"] == pytest.approx(rates.std(), rel=1e-6)
    assert (found["down_kbps_min"], found["down_kbps_max"]) == (rates.min(), rates.max())
    assert np.isnan(found["rtt_min_ms_mean"])
    assert np.isnan(found["rtt_min_ms_max"])
    np.testing.assert_equal(found["total_requests"], slots[-1, 2])


def test_a_feature_of_the_session_so_far_is_not_averaged():
    names = so_far_names(NAMES)
    assert "total_requests" in names
    assert [name for name in names if name.startswith(("total_requests_", "elapsed_s_"))] == []
    assert len(set(names)) == len(names)


def test_the_head_of_a_session_knows_nothing_of_slots_that_have_not_ended(slots: np.ndarray):
    so_far = SessionSoFar(NAMES)
    for count, slot in enumerate(slots, start=1):
        so_far.add(slot)
        head = dict(zip(head_names(NAMES), so_far.head(), strict=True))
        for at in HEAD_SLOTS:
            expected = slots[at - 1, 3] if at <= count else np.nan
            np.testing.assert_equal(head[f"elapsed_s_at_{at}"], expected)
