"""What counts as lossy, failing and slow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.diagnosis.baselines import FAILING, LOSSY, Judgement, judge_delay, judge_share

BAD, GOOD, UNKNOWN = Judgement


@pytest.mark.parametrize(
    ("bad", "total", "limit", "expected"),
    [
        (0, 72, LOSSY, UNKNOWN),
        (0, 73, LOSSY, GOOD),
        (9, 9, LOSSY, UNKNOWN),
        (10, 10, LOSSY, BAD),
        (5, 100, LOSSY, UNKNOWN),
        (11, 100, LOSSY, BAD),
        (0, 0, LOSSY, UNKNOWN),
        (1, 1, FAILING, UNKNOWN),
        (2, 2, FAILING, BAD),
        (0, 11, FAILING, UNKNOWN),
        (0, 12, FAILING, GOOD),
    ],
)
def test_a_share_is_judged_by_its_interval(bad, total, limit, expected):
    assert judge_share(bad, total, limit) is expected


@pytest.mark.parametrize("limit", [LOSSY, FAILING])
def test_the_fewest_good_samples_are_just_enough(limit):
    fewest = limit.fewest_for_good
    assert (judge_share(0, fewest - 1, limit), judge_share(0, fewest, limit)) == (UNKNOWN, GOOD)


@pytest.mark.parametrize(
    ("now", "earlier", "expected"),
    [
        ([60] * 3, [20] * 5, BAD),
        ([60] * 2, [20] * 5, UNKNOWN),
        ([60] * 3, [20] * 4, UNKNOWN),
        ([24] * 3, [20] * 5, GOOD),
        ([20, 20, 900], [20] * 5, GOOD),
        ([60] * 3, [20, 21, 20, 19, 900], BAD),
        ([60] * 3, [10, 30, 50, 70, 40], GOOD),
    ],
)
def test_a_delay_is_compared_with_earlier_ones_without_their_outliers(now, earlier, expected):
    assert judge_delay(now, earlier).judgement is expected


@given(st.lists(st.floats(0, 1e4), max_size=1), st.lists(st.floats(0, 1e4), max_size=9))
def test_one_sample_never_decides(now, earlier):
    assert judge_delay(now, earlier).judgement is UNKNOWN
    assert all(judge_share(len(now), 1, limit) is UNKNOWN for limit in (LOSSY, FAILING))
