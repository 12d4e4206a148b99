"""The headless player on a real link, against the real server: what it reports is what the link allowed."""

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from netlab import Lab
from qoe_lab.clients.__main__ import main
from qoe_lab.clients.habits import habits_of
from qoe_lab.labels.session_labels import session_labels
from qoe_lab.player_events import read_events
from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces
from tests.qoe_lab.played_sessions import MANIFEST, MASTER, at, client_command, compared, content_server, played, shaped_link


@pytest.mark.parametrize("playlist", [MASTER, MANIFEST])
def test_without_a_limit_the_player_starts_at_once_and_climbs_to_the_highest_rung(playlist: str, contents: Path, tmp_path: Path):
    with content_server(contents, tmp_path) as server:
        code, printed, events = played("headless", server.url + playlist, tmp_path, seconds=5)
        requests = server.requests()
    labels = session_labels(events)
    assert (code, printed, labels.invalid_reason) == (0, "", None)
    assert labels.startup_ms is not None
    assert labels.startup_ms < 2000
    assert labels.stall_count == 0
    assert labels.shown[-1].height == 240
    segments = [request for request in requests if request["path"].endswith(".m4s")]
    assert {request["cmcd"]["sid"] for request in segments} == {"s-0"}
    assert segments[0]["cmcd"]["su"] is True


def test_a_quality_that_the_viewer_chose_is_played_from_the_first_frame_to_the_last(contents: Path, tmp_path: Path):
    assert habits_of("s-6").chosen == 2
    with content_server(contents, tmp_path) as server:
        _, _, events = played("headless", server.url + MASTER, tmp_path, "--session-id", "s-6", seconds=3)
    assert events[0].detail == "chosen quality 2"
    assert [shown.height for shown in session_labels(events).shown] == [240]


@needs_namespaces
@needs("tbf")
def test_on_a_link_below_the_lowest_rung_the_player_stalls_as_the_server_saw(contents: Path, tmp_path: Path):
    with (
        Lab(shaped_link(rate_kbps=80, delay_ms=10, queue_ms=300)) as lab,
        content_server(contents, tmp_path, host=lab.address("server"), start=at(lab, "server")) as server,
    ):
        code, _, events = played("headless", server.url + MASTER, tmp_path, seconds=14, start=at(lab, "client"))
    labels = session_labels(events)
    assert code == 0
    assert labels.startup_ms is not None
    assert labels.startup_ms > 1000
    assert labels.stall_count
    assert {shown.height for shown in labels.shown} == {72}
    difference = compared(labels, server)
    assert difference.startup_ms is not None
    assert abs(difference.startup_ms) <= 50
    assert (difference.only_player, difference.only_server) == (0, 0)
    assert all(abs(each) <= 400 for each in difference.stall_ms)  # a busy machine adds up to 200 ms
    samples = [event for event in events if event.event == "sample"]
    assert 40 <= len(samples) <= 14 * 4  # a busy machine takes some late


def test_a_killed_player_leaves_complete_lines_until_then(contents: Path, tmp_path: Path):
    with content_server(contents, tmp_path) as server:
        process = subprocess.Popen(client_command("headless", server.url + MASTER, tmp_path, seconds=60))
        path = tmp_path / "player.jsonl"
        eventually(lambda: path.exists() and "first_frame" in path.read_text())
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert session_labels(list(read_events(path))).invalid_reason == "client_died"


def test_what_cannot_be_played_ends_with_the_reason(contents: Path, tmp_path: Path):
    with content_server(contents, tmp_path) as server:
        code, printed, events = played("headless", server.url + "/none/hls/master.m3u8", tmp_path)
    assert code == 1
    assert "status 404" in printed
    assert Counter(event.event for event in events) == {"navigation": 1, "error": 1}
    assert "status 404" in (events[-1].detail or "")
    assert session_labels(events).invalid_reason == "client_error"


def test_a_server_that_does_not_exist_ends_the_player_with_an_error(tmp_path: Path):
    code, printed, events = played("headless", f"http://127.0.0.1:{free_port()}{MASTER}", tmp_path)
    assert code == 1
    assert "cannot be received" in printed
    assert events[-1].event == "error"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--seconds", "0"), "use 1 to 86400"),
        (("--session-id", "../up"), "use letters, digits"),
        (("--url", "ftp://server/x"), "use the address of a playlist"),
        (("--coordinator", "nowhere"), "nowhere"),
    ],
)
def test_an_unusable_argument_is_a_usage_error(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", client_command("headless", f"http://127.0.0.1:9{MASTER}", tmp_path, *arguments)[2:])
    assert main() == 2
    assert complaint in capsys.readouterr().err
