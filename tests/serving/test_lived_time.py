"""The age of data is the time that a server has run since; a date alone makes nothing old."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.lived_time import DAY_S, LivedTime

NOON_S = 1_344_340_800
KEPT_DAYS = 30


def run(lived: LivedTime, *, from_s: int, for_s: int, every_s: int = 3600) -> int:
    """Run a server whose clock shows `from_s` at its start; return what its clock shows at the end."""
    start = monotonic_of_start()
    for passed in [*range(0, for_s, every_s), for_s]:
        lived.advance(from_s + passed, start + passed)
    return from_s + for_s


def monotonic_of_start() -> float:
    """A new process has a new monotonic clock, and its first reading is no step."""
    return 1_000.0


def again(lived: LivedTime) -> LivedTime:
    """What the next process of the same server reads."""
    return LivedTime.from_json(lived.to_json())


def too_old(lived: LivedTime, now_s: int) -> int:
    """Logs that begin before this moment would be removed; 0: none."""
    return lived.moment(KEPT_DAYS * DAY_S, now_s=now_s) or 0


def year_of_logs() -> range:
    return range(NOON_S - 365 * DAY_S, NOON_S, 60)


def test_a_server_that_always_runs_removes_logs_at_the_age_of_the_setting():
    lived = LivedTime.of_moments(year_of_logs())
    now_s = run(lived, from_s=NOON_S, for_s=60)
    assert abs(too_old(lived, now_s) - (now_s - KEPT_DAYS * DAY_S)) <= 60


def test_a_start_with_a_date_400_days_ahead_makes_nothing_older():
    lived = LivedTime.of_moments(year_of_logs())
    before = too_old(lived, NOON_S)
    wrong_s = NOON_S + 400 * DAY_S
    now_s = run(lived, from_s=wrong_s, for_s=600)
    assert 0 <= too_old(lived, now_s) - before <= 600


def test_starts_and_logs_under_a_wrong_date_do_not_confirm_it():
    lived = LivedTime.of_moments(year_of_logs())
    before, wrong_s = too_old(lived, NOON_S), NOON_S + 400 * DAY_S
    for _ in range(50):
        lived = again(lived)
        wrong_s = run(lived, from_s=wrong_s, for_s=3600)
    assert too_old(lived, wrong_s) - before <= 50 * 3600
    lived = again(lived)
    now_s = run(lived, from_s=NOON_S + 50 * 3600, for_s=60)
    assert too_old(lived, now_s) - before <= 50 * 3600 + 60, "the date is right again"


def test_an_outage_of_60_days_does_not_count_and_earlier_logs_are_removed_after_30_days_of_service():
    lived = LivedTime.of_moments(year_of_logs())
    before = too_old(lived, NOON_S)
    now_s = run(lived, from_s=NOON_S + 60 * DAY_S, for_s=10 * DAY_S)
    assert abs(too_old(lived, now_s) - (before + 10 * DAY_S)) <= 60
    now_s = run(lived, from_s=now_s, for_s=25 * DAY_S)
    assert abs(too_old(lived, now_s) - (now_s - KEPT_DAYS * DAY_S)) <= 60


def test_nights_and_weekends_count_after_a_further_day_of_service():
    lived = LivedTime()
    for week in range(10):
        for day in range(5):
            now_s = run(lived, from_s=NOON_S + (7 * week + day) * DAY_S, for_s=8 * 3600)
            lived = again(lived)
    kept_days = (now_s - too_old(lived, now_s)) / DAY_S
    assert KEPT_DAYS <= kept_days <= KEPT_DAYS + 5


def test_a_single_log_of_the_far_future_makes_no_other_log_old():
    lived = LivedTime.of_moments([*year_of_logs(), NOON_S + 4000 * DAY_S])
    before = too_old(lived, NOON_S)
    now_s = run(lived, from_s=NOON_S, for_s=60)
    assert too_old(lived, now_s) - before <= 120


def test_a_clock_that_starts_in_1970_and_is_corrected_later_counts_as_usual():
    lived, now_s = LivedTime(), NOON_S
    for day in range(60):
        lived = again(lived)
        start = monotonic_of_start()
        lived.advance(5, start)
        lived.advance(25, start + 20)
        for passed in range(0, DAY_S - 600, 600):
            now_s = NOON_S + day * DAY_S + passed
            lived.advance(now_s, start + 20 + passed)
    assert 0 <= now_s - KEPT_DAYS * DAY_S - too_old(lived, now_s) <= DAY_S


def test_a_running_clock_that_steps_reports_the_step_and_a_step_back_costs_nothing():
    lived = LivedTime()
    assert lived.advance(NOON_S, 0.0) == 0
    assert lived.advance(NOON_S + 65, 60.0) == 0, "slewed"
    assert lived.advance(NOON_S + 365 * DAY_S, 120.0) == 365 * DAY_S - 65
    assert lived.advance(NOON_S + 7 * DAY_S, 180.0) == 7 * DAY_S - 65, "back, and on after the recorded uptime"
    assert lived.advance(NOON_S + 50, 181.0) == 0
    assert lived.since(NOON_S, now_s=NOON_S + 200) == 65
    assert lived.advance(NOON_S + 365, 182.0) == 0, "a restart is brief"
    assert lived.since(NOON_S, now_s=NOON_S + 365) == 365


def test_an_empty_folder_has_no_history():
    lived = LivedTime.of_moments([])
    assert lived.advance(NOON_S, 0.0) == 0
    assert lived.moment(DAY_S, now_s=NOON_S) is None


@given(
    st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**7)), max_size=30), st.integers(0, 10**10), st.integers(0, 10**8)
)
def test_data_reaches_an_age_only_after_that_much_uptime(spans, now_s, ago_s):
    lived = again(LivedTime((begin, begin + length) for begin, length in spans))
    moment = lived.moment(ago_s, now_s=now_s)
    assert moment is None or lived.since(moment, now_s=now_s) == ago_s <= now_s - moment


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"lived": [[2, 1]]}', '{"lived": [["a", "b"]]}', "\x00"])
def test_an_invalid_uptime_record_is_refused(text):
    with pytest.raises(ValueError, match=r"lived time is|Expecting"):
        LivedTime.from_json(text)
