"""PINGs: often where a stream flows, rarely elsewhere, and a neighbour is silent after three of its own intervals."""

from hypothesis import given
from hypothesis import strategies as st

from overlay.heartbeat import BEGIN_S, IDLE_S, IN_USE_S, INTERVALS, NEAR_USE_S, WITH_MEDIA_S, Heartbeat, interval_s
from overlay.leases import Leases

TICK_S = 0.05


def pings(heartbeat: Heartbeat, every_s: float, begin_s: float, end_s: float) -> list[tuple[float, int, bool]]:
    """When each PING is sent, its interval in ms, and whether it is sent on TCP too."""
    found, now_s = [], begin_s
    while now_s < end_s:
        beat = heartbeat.due(every_s, now_s)
        if beat is not None:
            found.append((now_s, beat.interval_ms, beat.on_tcp))
        now_s += TICK_S
    return found


def test_a_link_in_use_gets_ten_pings_a_second_and_an_idle_one_four_a_minute():
    assert interval_s(feeds=True, link_in_use=True, node_in_use=True) == IN_USE_S
    assert interval_s(feeds=False, link_in_use=True, node_in_use=True) == WITH_MEDIA_S
    assert interval_s(feeds=False, link_in_use=False, node_in_use=True) == NEAR_USE_S
    assert interval_s(feeds=False, link_in_use=False, node_in_use=False) == IDLE_S
    heartbeat = Heartbeat()
    heartbeat.connected(0.0)
    assert len(pings(heartbeat, IN_USE_S, 0.0, 60.0)) in range(590, 602)
    idle = pings(heartbeat, IDLE_S, 60.0, 120.0)
    assert len(idle) == 4
    assert [on_tcp for _, _, on_tcp in idle] == [True, *[False] * 3]  # the neighbour must learn of the change


def test_a_node_sends_one_ping_a_second_with_media_and_ten_on_udp_and_tcp_without():
    heartbeat = Heartbeat()
    heartbeat.connected(0.0)
    found, now_s = [], 0.0
    while now_s < 20.0:
        media_s = now_s - 0.01 if now_s < 10.0 else 10.0  # a packet each 10 ms, for ten seconds
        beat = heartbeat.due(IN_USE_S, now_s, media_s)
        if beat is not None:
            found.append((now_s, beat.interval_ms, beat.on_tcp))
        now_s += TICK_S
    with_media, without = [each for each in found if each[0] < 10.0], [each for each in found if each[0] >= 10.0]
    assert len(with_media) in (10, 11)
    assert [on_tcp for _, _, on_tcp in with_media] == [
        True,
        *[False] * (len(with_media) - 1),
    ]  # the first announces it
    assert len(without) in range(95, 102)
    assert without[0][0] <= 10.0 + IN_USE_S + 2 * TICK_S
    assert all(each[1:] == (100, True) for each in found[len(with_media) :])


def test_a_link_that_comes_into_use_announces_it_at_once():
    heartbeat = Heartbeat()
    heartbeat.connected(0.0)
    pings(heartbeat, IDLE_S, 0.0, 3.0)
    assert pings(heartbeat, IN_USE_S, 3.0, 3.01) == [(3.0, 100, True)]
    heartbeat.announce()  # the neighbour waits for it
    assert pings(heartbeat, IN_USE_S, 3.02, 3.05) == [(3.02, 100, True)]


@given(st.sampled_from([IN_USE_S, NEAR_USE_S, IDLE_S]), st.integers(0, 2), st.floats(0, 1e6))
def test_a_neighbour_is_silent_after_three_of_the_intervals_that_it_announced(every_s: float, lost: int, now_s: float):
    heartbeat = Heartbeat()
    heartbeat.connected(now_s)
    heartbeat.announced(7, round(every_s * 1000))
    heartbeat.heard_s = now_s
    assert not heartbeat.is_silent(now_s + every_s * lost)
    assert not heartbeat.is_silent(now_s + every_s * INTERVALS - 0.01)
    assert heartbeat.is_silent(now_s + every_s * INTERVALS + 0.01)


def beating(gaps_s: list[float]) -> tuple[Heartbeat, float]:
    """A neighbour on a link in use, whose signs of life have these gaps; and the time of the last one."""
    heartbeat, now_s = Heartbeat(), 100.0
    heartbeat.connected(now_s)
    for number, gap_s in enumerate(gaps_s):
        now_s += gap_s
        assert not heartbeat.is_silent(now_s)
        heartbeat.announced(number, 100)
        heartbeat.note_sign_of_life(now_s)
    return heartbeat, now_s


def test_a_late_neighbour_gets_more_time_until_it_is_punctual_again():
    busy, now_s = beating([0.1] * 20 + [0.2, 0.35, 0.6, 0.9])
    assert not busy.is_silent(now_s + 0.95)
    assert busy.is_silent(now_s + 1.01)  # a neighbour that has failed is found after a second at the latest
    regular, later_s = beating([0.1] * 20 + [0.2, 0.35] + [0.1] * 400)
    assert regular.is_silent(later_s + 0.31)
    idle, now_s = beating([0.1] * 20)
    assert not idle.is_silent(now_s + 0.29)
    assert idle.is_silent(now_s + 0.31)


def test_a_node_that_waits_for_processor_time_does_not_treat_its_neighbours_as_silent():
    heartbeat, now_s = beating([0.1] * 20)
    silent_at_s = []
    for _ in range(40):  # it runs for 20 ms, and waits for 60 ms more than it asked for
        now_s += TICK_S + 0.06
        heartbeat.stopped(0.06, now_s)
        if heartbeat.is_silent(now_s):
            silent_at_s.append(now_s)
    assert len(silent_at_s) < 40
    assert silent_at_s[0] > 100.0 + 2.0 + 2 * IN_USE_S * INTERVALS  # far later than its own clock says


def test_a_ping_that_was_overtaken_changes_nothing():
    heartbeat = Heartbeat()
    heartbeat.connected(0.0)
    heartbeat.announced(8, 15_000)
    heartbeat.announced(7, 100)
    assert not heartbeat.is_silent(5.0)
    heartbeat.connected(5.0)  # a neighbour that was started again begins with 1
    heartbeat.announced(1, 100)
    assert heartbeat.is_silent(5.5)


def test_a_neighbour_that_is_asked_for_a_stream_is_given_one_second_to_answer():
    heartbeat = Heartbeat()
    heartbeat.connected(0.0)
    heartbeat.announced(1, 15_000)
    heartbeat.asked(9.0)
    assert not heartbeat.is_silent(9.0 + BEGIN_S - 0.01)
    assert heartbeat.is_silent(9.0 + BEGIN_S + 0.01)
    heartbeat.announced(2, 100)
    heartbeat.asked(9.0)  # no more patience than its own interval asks for
    assert heartbeat.is_silent(9.4)


def test_the_answer_to_each_recent_ping_measures_the_round_trip():
    heartbeat = Heartbeat()
    for number in range(1, 41):
        assert heartbeat.due(IN_USE_S, number / 4) is not None
    assert heartbeat.round_trip_s(39, 10.0) == 0.25  # longer than the interval
    assert heartbeat.round_trip_s(30, 10.0) == 2.5
    assert heartbeat.round_trip_s(20, 10.0) is None
    assert heartbeat.round_trip_s(41, 10.0) is None


def test_a_lease_is_three_times_the_announced_interval_and_ends_soon_after_a_neighbour_reports_a_failure():
    leases = Leases(lease_s=3)
    leases.renew("a", 0.0)
    leases.announced("a", 15.0)
    leases.renew("a", 1.0)
    assert leases.expire(45.9) == []
    leases.shorten("a", 20.0)
    leases.renew("a", 22.0)  # it answers
    assert leases.expire(66.9) == []
    leases.shorten("a", 50.0)
    assert leases.expire(53.1) == ["a"]
    leases.renew("a", 54.0)
    assert leases.expire(57.1) == ["a"]  # its interval is not known any more
