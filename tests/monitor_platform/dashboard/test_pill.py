"""The pill shows the measured delay of the page."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from monitor_platform.dashboard.dashboard_state import LATE_MS, DashboardState
from monitor_platform.dashboard.pill import live_pill, static_pill
from monitor_platform.dashboard.shared_answers import Moment
from monitor_platform.retrieval.feed_status import FeedStatus, RetrievalCounts, ServerStatus

NOW = 1_000_000


def server(name="fs1", *, failures=0, last_success_ms=NOW, error=None, behind_bytes=0, last_complete_ms=NOW):
    return ServerStatus(
        url=f"http://{name}",
        name=name,
        last_success_ms=last_success_ms,
        failures=failures,
        behind_bytes=behind_bytes,
        last_complete_ms=last_complete_ms,
        error=error,
        counts=RetrievalCounts(),
    )


def pill(*servers, delay=(1240.0, 2010.0, 4210), reading_back=False, poll_s=1.0):
    return live_pill(
        FeedStatus(servers=servers, reading_back=reading_back, counts=RetrievalCounts()),
        delay,
        page_ms=300.0,
        now_ms=NOW,
        poll_s=poll_s,
    )


def test_the_status_in_the_header_shows_the_measured_delay():
    shown = pill(server())
    assert (shown["title"], shown["text"]) == ("Live", "1.5 s behind")
    assert "4,210 messages" in shown["hint"]
    assert "95 % below 2.0 s" in shown["hint"]
    assert "to the pages: 0.3 s" in shown["hint"]


@pytest.mark.parametrize(("delay_ms", "kind"), [(2_600, "live"), (2_800, "late"), (8_600, "late"), (8_800, "stale")])
def test_the_status_in_the_header_turns_amber_and_then_red_when_messages_appear_later_than_a_poll_explains(delay_ms, kind):
    assert pill(server(), delay=(delay_ms, 9_000.0, 100))["kind"] == kind
    assert pill(server(), delay=(delay_ms, 9_000.0, 100), poll_s=20)["kind"] == "live"


def test_a_server_that_misses_one_poll_is_late_before_it_is_silent():
    shown = pill(server(), server("fs2", failures=1, last_success_ms=NOW - 4_000, error="timed out"))
    assert (shown["kind"], shown["title"], shown["text"]) == ("late", "Late", "fs2 silent for 4 s")


@pytest.mark.parametrize(("ahead_ms", "clock"), [(600_000, "600 s ahead"), (-60_000, "60 s behind")])
def test_a_server_with_another_clock_is_named(ahead_ms, clock):
    shown = pill(server("fs1"), replace(server("fs2"), ahead_ms=ahead_ms))
    assert (shown["kind"], shown["title"], shown["text"]) == ("stale", "Clock", f"the clock of fs2 is {clock}")


def test_without_feedback_the_status_in_the_header_shows_that_it_waits():
    assert pill(server(), delay=None)["text"] == "no messages"


def test_a_silent_server_is_named_with_the_number_of_the_others():
    shown = pill(server(), server("fs2", failures=3, last_success_ms=NOW - 45_000, error="connection refused"))
    assert (shown["kind"], shown["text"]) == ("stale", "fs2 silent for 45 s; figures from fs1 alone")
    assert "connection refused" in shown["hint"]


def test_if_all_servers_are_silent_the_status_in_the_header_shows_that_the_numbers_are_old():
    assert pill(server(failures=9, last_success_ms=NOW - 60_000))["text"] == "fs1 silent for 60 s; figures are not updated"


def test_a_server_that_never_answered_is_named_by_its_address():
    silent = ServerStatus(
        url="http://10.0.0.5:8081",
        name=None,
        last_success_ms=None,
        failures=1,
        behind_bytes=0,
        error="refused",
        counts=RetrievalCounts(),
    )
    assert pill(silent)["text"].startswith("http://10.0.0.5:8081 has not answered yet")


@pytest.mark.parametrize(
    ("silent_s", "poll_s", "kind"),
    [(3, 1.0, "live"), (4, 1.0, "late"), (6, 1.0, "stale"), (22, 20.0, "live"), (50, 20.0, "late"), (61, 20.0, "stale")],
)
def test_a_server_is_late_after_one_missed_poll_and_silent_after_three(silent_s, poll_s, kind):
    assert pill(server(failures=1, last_success_ms=NOW - silent_s * 1000), poll_s=poll_s)["kind"] == kind


def test_the_status_in_the_header_shows_static_mode():
    assert static_pill()["title"] == "Static"


@pytest.mark.parametrize(
    ("servers", "proved_s"),
    [
        ([server()], 0),
        ([server(), server("fs2", failures=1, last_success_ms=NOW - 45_000)], 45),
        ([server(), server("fs2", behind_bytes=9, last_complete_ms=NOW - 200_000)], 200),
    ],
)
def test_a_gap_is_not_lost_while_a_log_of_its_time_may_be_left_to_fetch(servers, proved_s):
    """A server that answers but whose logs are fetched too slowly extends the grace period, too."""
    status = FeedStatus(servers=tuple(servers), reading_back=False, counts=RetrievalCounts())
    state = SimpleNamespace(_feed=SimpleNamespace(status=lambda: status), _poll_s=2.0)
    assert DashboardState._proved_ms(state, Moment(1, NOW, NOW)) == NOW - proved_s * 1000 - LATE_MS - 2_000
