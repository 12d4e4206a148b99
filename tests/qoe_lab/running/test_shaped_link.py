"""The link of a session is as planned: measured by TCP, read back from the kernel, and refused if it differs."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from netlab import Lab
from qoe_lab.player_events import PlayerEvent
from qoe_lab.running.goodput_probe import Goodput, measure_goodput
from qoe_lab.running.rate_follower import RateFollower
from qoe_lab.running.rate_trace import RateStep
from qoe_lab.running.session_files import InvalidReason, SessionFailedError, SessionFolder
from qoe_lab.running.session_run import MOST_PROBES, check_events
from qoe_lab.running.shaped_link import CLIENT, LINK, SERVER, LinkShape, ReadBack, prepare, session_topology
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces, open_descriptors

SHAPE = LinkShape(rate_kbps=1000, delay_ms=10, queue_ms=100, congestion_control="cubic")
LONGEST_GAP_MS = 1500.0
GOOD = ReadBack(
    queue_discipline="tbf",
    rate_kbps_to_client=1000,
    rate_kbps_from_client=1000,
    queue_limit=15_528,
    congestion_control="cubic",
)


@needs_namespaces
@needs("tbf")
@pytest.mark.parametrize("limit_mbps", [0.25, pytest.param(1, marks=pytest.mark.soak), pytest.param(2, marks=pytest.mark.soak), 5])
def test_tcp_gets_90_to_98_percent_of_a_limit(limit_mbps: float) -> None:
    shape = replace(SHAPE, rate_kbps=limit_mbps * 1000)
    with Lab(session_topology(shape, "hls")) as lab:
        assert prepare(lab, shape).difference(shape) is None
        for _ in range(MOST_PROBES):  # a busy machine may disturb one
            measured = measure_goodput(lab, shape)
            print(f"limit {limit_mbps:g} Mbit/s, goodput {measured.goodput_mbps:.3f} ({measured.share:.1%})")
            if measured.is_plausible:
                return
    pytest.fail(f"{measured.share:.1%} of the limit")


@needs_namespaces
@pytest.mark.parametrize("name", ["cubic", "reno"])
def test_the_congestion_control_is_that_of_the_training_in_both_directions(name: str) -> None:
    before = open_descriptors()
    with Lab(session_topology(SHAPE, "hls")) as lab:
        assert prepare(lab, replace(SHAPE, congestion_control=name)).congestion_control == name
        with lab.socket(SERVER, kind=socket.SOCK_STREAM) as listening, lab.socket(CLIENT, kind=socket.SOCK_STREAM) as client:
            listening.bind((lab.address(SERVER), 0))
            listening.listen()
            client.connect(listening.getsockname())
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode() == name
    assert open_descriptors() == before


@needs_namespaces
def test_a_congestion_control_that_the_kernel_lacks_is_an_error() -> None:
    with Lab(session_topology(SHAPE, "hls")) as lab, pytest.raises(OSError, match="no congestion control 'vegetable'"):
        prepare(lab, replace(SHAPE, congestion_control="vegetable"))


@needs_namespaces
@needs("tbf")
def test_the_rate_follows_a_trace_in_both_directions() -> None:
    steps = [RateStep(at_s=0, kbps=500), RateStep(at_s=0.2, kbps=64)]
    with Lab(session_topology(SHAPE, "hls")) as lab:
        with RateFollower(lab, steps) as follower:
            eventually(lambda: len(follower.applied) == 2)
        assert [lab.queue(node, LINK).rate_kbps for node in (SERVER, CLIENT)] == [64, 64]
    assert [step["rate_kbps"] for step in follower.applied] == [500, 64]
    assert follower.applied[1]["wall_ms"] - follower.applied[0]["wall_ms"] >= 150
    assert follower.failure is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate_kbps_to_client": 1002.0}, "the rate is 1002.0 kbit/s and not 1000"),
        ({"rate_kbps_from_client": None}, "the rate is None kbit/s"),
        ({"congestion_control": "bbr"}, "the congestion control is bbr and not cubic"),
    ],
)
def test_a_link_that_differs_from_the_plan_is_noticed(change: dict[str, object], message: str) -> None:
    assert GOOD.difference(SHAPE) is None
    assert message in str(replace(GOOD, **change).difference(SHAPE))  # type: ignore[arg-type]


def test_a_goodput_outside_90_to_98_percent_is_not_plausible() -> None:
    shares = {share: Goodput(limit_mbps=2, goodput_mbps=2 * share, took_s=1.5).is_plausible for share in (0.89, 0.91, 0.97, 0.99)}
    assert shares == {0.89: False, 0.91: True, 0.97: True, 0.99: False}


def events(*some: PlayerEvent) -> list[PlayerEvent]:
    return [PlayerEvent(event="navigation", t_ms=0, wall_ms=1e12), *some, PlayerEvent(event="end", t_ms=9000)]


def samples(*times_ms: float) -> list[PlayerEvent]:
    return [PlayerEvent(event="sample", t_ms=t_ms) for t_ms in times_ms]


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ([], InvalidReason.EVENTS_INCOMPLETE),
        (events()[:-1], InvalidReason.EVENTS_INCOMPLETE),
        (events()[1:], InvalidReason.EVENTS_INCOMPLETE),
        (events(*samples(250, 250 + LONGEST_GAP_MS + 1)), InvalidReason.MACHINE_BUSY),
        (events(*samples(250, 250 + LONGEST_GAP_MS)), None),
    ],
)
def test_events_that_are_not_whole_or_of_a_starved_client_make_a_session_invalid(
    recorded: list[PlayerEvent], reason: InvalidReason | None, tmp_path: Path
) -> None:
    folder = SessionFolder(tmp_path)
    folder.events.write_text("".join(event.line() for event in recorded))
    if reason is None:
        check_events(folder, LONGEST_GAP_MS)
        return
    with pytest.raises(SessionFailedError) as failed:
        check_events(folder, LONGEST_GAP_MS)
    assert failed.value.reason is reason


def test_a_file_with_a_line_that_is_no_event_makes_a_session_invalid(tmp_path: Path) -> None:
    folder = SessionFolder(tmp_path)
    folder.events.write_text(json.dumps({"event": "end"}) + "\n")
    with pytest.raises(SessionFailedError, match="is not a player event"):
        check_events(folder, LONGEST_GAP_MS)
