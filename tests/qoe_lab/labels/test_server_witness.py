"""The log of the content server says when a player ran out of video, without asking the player."""

from collections.abc import Sequence

import pytest

from qoe_lab.labels.server_witness import ServerWitness, agreement, server_witness
from qoe_lab.labels.session_labels import SessionLabels, Stall, session_labels
from qoe_lab.player_events import PlayerEvent

WALL_MS = 1_000_000.0


def request(number: int, at_ms: float, took_ms: float, rung: str = "low", **changes: object) -> dict[str, object]:
    line: dict[str, object] = {"wall_ms": WALL_MS + at_ms, "took_ms": took_ms, "path": f"/ball/{rung}/{number}.m4s"}
    return {**line, "status": 200, "arrived": True, "media_ms": 2000.0, **changes}


REQUESTS = (
    {**request(0, 0, 20), "path": "/ball/hls/master.m3u8"},
    request(0, 100, 900),  # plays from 1000 to 3000
    request(1, 1000, 1500),  # there in time: plays to 5000
    request(2, 2500, 400, "high", arrived=False),  # abandoned
    request(2, 2900, 3200),  # arrives at 6100: a stall of 1100
)


def witness(until_ms: float = 8000, requests: Sequence[dict[str, object]] = REQUESTS) -> ServerWitness:
    return server_witness(requests, wall_ms=WALL_MS, until_ms=until_ms)


def test_a_player_runs_out_of_video_when_the_next_segment_is_late():
    found = witness()
    assert found.startup_ms == 1000
    assert found.stalls == (Stall(begin_ms=5000, end_ms=6100),)


def test_the_length_of_each_segment_decides_when_it_is_played():
    requests = [request(0, 0, 1000, media_ms=4000), request(1, 1000, 4500, media_ms=1000), request(2, 5500, 1000, media_ms=4000)]
    assert witness(9000, requests).stalls == (Stall(begin_ms=5000, end_ms=5500),)
    assert witness(12_000, requests).stalls[1:] == (Stall(begin_ms=10_500, end_ms=12_000, open=True),)


def test_a_segment_that_never_arrives_is_a_stall_until_the_end():
    found = witness(9000)
    assert found.stalls[-1] == Stall(begin_ms=8100, end_ms=9000, open=True)


def test_a_session_without_a_segment_has_neither_startup_nor_stalls():
    found = witness(requests=REQUESTS[:1])
    assert (found.startup_ms, found.stalls) == (None, ())


def labels(*stalls: tuple[float, float]) -> SessionLabels:
    events = [PlayerEvent(event="navigation", t_ms=0, wall_ms=WALL_MS), PlayerEvent(event="first_frame", t_ms=1030)]
    for begin_ms, end_ms in stalls:
        events += [PlayerEvent(event="stall_begin", t_ms=begin_ms), PlayerEvent(event="stall_end", t_ms=end_ms)]
    return session_labels([*events, PlayerEvent(event="end", t_ms=8000)])


def test_player_and_server_are_compared_stall_by_stall():
    found = witness()
    same = agreement(labels((5010, 6150)), found)
    assert same.startup_ms == pytest.approx(30)
    assert same.stall_ms == pytest.approx((40,))
    assert (same.only_player, same.only_server) == (0, 0)


@pytest.mark.parametrize(("stalls", "only_player", "only_server"), [((), 0, 1), (((2000, 3000),), 1, 1)])
def test_a_stall_that_only_one_of_them_has_is_counted(stalls: tuple[tuple[float, float], ...], only_player: int, only_server: int):
    found = witness()
    differs = agreement(labels(*stalls), found)
    assert (differs.stall_ms, differs.only_player, differs.only_server) == ((), only_player, only_server)
