"""Chromium plays with hls.js and dash.js: the picture is what is measured, and nothing of the browser stays behind."""

import hashlib
import os
import re
import signal
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from netlab import Lab
from qoe_lab.clients.browser_player import ASSETS
from qoe_lab.clients.habits import habits_of
from qoe_lab.clients.scratch_folder import PREFIX, ScratchFolder, remove_left_behind
from qoe_lab.labels.session_labels import session_labels
from qoe_lab.player_events import PlayerEvent, read_events
from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces
from tests.qoe_lab.played_sessions import MANIFEST, MASTER, at, client_command, compared, content_server, played, shaped_link

LIBRARIES = [("hls.js", MASTER), ("dash.js", MANIFEST)]
AS_PUBLISHED = {
    "hls.min.js": "cfc70cc9e9fc63d071919e087670abc760c8fd1bc889b88588026e4d22193bbe",
    "dash.mediaplayer.min.js": "d4ee2d6fd00a3944f448964787d4603ca1e4ae5ce2956d0a755b78e0d3566b57",
}


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The folder for temporary files of the client: a short path, because Chromium puts a socket there."""
    folder = Path(tempfile.mkdtemp(prefix="lab-"))
    yield folder
    folder.rmdir()  # fails if anything is left


@pytest.mark.browser
@pytest.mark.parametrize(("library", "playlist"), LIBRARIES)
def test_a_player_in_the_browser_shows_the_video_and_reports_what_is_on_screen(
    library: str, playlist: str, contents: Path, tmp_path: Path, temporary: Path
):
    start = partial(subprocess.Popen, env=os.environ | {"TMPDIR": str(temporary)})
    with content_server(contents, tmp_path) as server:
        code, printed, events = played(library, server.url + playlist, tmp_path, seconds=5, start=start)
    requests = server.requests()  # complete when the server has ended
    labels = session_labels(events)
    assert (code, printed, labels.invalid_reason) == (0, "", None)
    assert labels.decoded_frames is not None
    assert labels.decoded_frames > 25
    assert {shown.height for shown in labels.shown} <= {72, 144, 240}
    assert all(shown.kbps for shown in labels.shown)
    assert len([event for event in events if event.event == "sample"]) >= 8  # of 20; a browser starts late on a busy machine
    segments = [request for request in requests if request["path"].endswith(".m4s")]
    assert len(segments) >= len([event for event in events if event.event == "segment"]) > 0
    assert {request["cmcd"]["sid"] for request in segments} == {"s-0"}
    assert_the_first_frame_is_that_of_the_player(events, within_ms=500)  # other tests may keep every core busy
    assert list(temporary.iterdir()) == []


@pytest.mark.browser
@pytest.mark.soak
@pytest.mark.parametrize(("library", "playlist"), LIBRARIES)
def test_a_quality_that_the_viewer_chose_is_not_changed(library: str, playlist: str, contents: Path, tmp_path: Path):
    assert habits_of("s-2").chosen == 1
    with content_server(contents, tmp_path) as server:
        _, _, events = played(library, server.url + playlist, tmp_path, "--session-id", "s-2", seconds=4)
    assert events[0].detail == "chosen quality 1"
    assert [shown.height for shown in session_labels(events).shown] == [144]
    assert {event.height for event in events if event.event == "segment"} == {144}
    assert_the_first_frame_is_that_of_the_player(events, within_ms=50)


def assert_the_first_frame_is_that_of_the_player(events: list[PlayerEvent], *, within_ms: float) -> None:
    """The frame callback, which is the label, and the player's own event are about at the same time."""
    (first,) = (event.t_ms for event in events if event.event == "first_frame")
    playing = re.fullmatch(r"playing event at (.+) ms", events[-1].detail or "")
    assert playing is not None
    print(f"first frame at {first:.1f} ms, playing event at {playing[1]} ms")
    assert abs(float(playing[1]) - first) <= within_ms


@pytest.mark.browser
@pytest.mark.soak
@needs_namespaces
@needs("tbf")
@pytest.mark.parametrize(("library", "playlist"), LIBRARIES)
def test_the_stalls_in_the_browser_are_those_that_the_server_saw(library: str, playlist: str, contents: Path, tmp_path: Path):
    with (
        Lab(shaped_link(rate_kbps=90, delay_ms=10, queue_ms=300)) as lab,
        content_server(contents, tmp_path, host=lab.address("server"), start=at(lab, "server")) as server,
    ):
        code, _, events = played(library, server.url + playlist, tmp_path, seconds=15, start=at(lab, "client"))
    labels = session_labels(events)
    difference = compared(labels, server)
    assert (code, labels.invalid_reason) == (0, None)
    assert labels.stall_count
    assert difference.startup_ms is not None
    assert -50 <= difference.startup_ms <= 500  # the browser decodes the first picture, on a busy machine
    assert difference.stall_ms
    assert statistics.median(map(abs, difference.stall_ms)) <= 200  # about 100 on an idle machine
    # Chromium stops with a picture left, and may not need the time that the server allows: such stalls are short.
    assert difference.only_player + difference.only_server <= 1


@pytest.mark.browser
@pytest.mark.parametrize(
    ("library", "playlist"),
    [("hls.js", "/none/hls/master.m3u8"), pytest.param("dash.js", "/player.html", marks=pytest.mark.soak)],
)
def test_a_playlist_that_cannot_be_played_ends_the_player_with_the_reason(
    library: str, playlist: str, contents: Path, tmp_path: Path
):
    with content_server(contents, tmp_path) as server:
        code, printed, events = played(library, server.url + playlist, tmp_path, seconds=30)
    assert code == 1
    assert library in printed
    assert events[-1].event == "error"
    assert library in (events[-1].detail or "")
    assert session_labels(events).invalid_reason == "client_error"


@pytest.mark.browser
@pytest.mark.soak
def test_a_server_that_does_not_exist_or_does_not_answer_ends_the_player_with_the_reason(tmp_path: Path):
    code, printed, events = played("hls.js", f"http://127.0.0.1:{free_port()}{MASTER}", tmp_path)
    assert code == 1
    assert "ERR_CONNECTION_REFUSED" in printed
    assert [event.event for event in events] == ["error"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, printed, events = played("hls.js", f"http://127.0.0.1:{silent.getsockname()[1]}{MASTER}", tmp_path, seconds=2)
    assert code == 1
    assert "did not load in 2 s" in printed
    assert [event.event for event in events] == ["error"]


@pytest.mark.browser
def test_the_browser_and_the_files_of_a_killed_client_are_removed(contents: Path, tmp_path: Path, temporary: Path):
    with content_server(contents, tmp_path) as server:
        command = client_command("hls.js", server.url + MASTER, tmp_path, seconds=60)
        process = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(temporary)})
        path = tmp_path / "player.jsonl"
        eventually(lambda: path.exists() and "first_frame" in path.read_text())
        (folder,) = temporary.iterdir()
        assert users(folder)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        eventually(lambda: not folder.exists() and not users(folder))
    assert session_labels(list(read_events(path))).invalid_reason == "client_died"


def users(folder: Path) -> list[Path]:
    """The processes that name the folder in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (process / "cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue
    return found


def test_without_chromium_the_error_names_what_to_install(tmp_path: Path):
    command = client_command("hls.js", f"http://127.0.0.1:9{MASTER}", tmp_path)
    ended = subprocess.run(command, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "apt-get install chromium" in ended.stderr
    (event,) = read_events(tmp_path / "player.jsonl")
    assert event.event == "error"


def test_the_folder_of_a_process_that_has_ended_is_removed_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = Path(tempfile.mkdtemp(prefix=f"{PREFIX}1-0-"))  # process 1 did not start at 0
    with ScratchFolder() as scratch:
        assert not ended.exists()
        remove_left_behind()
        assert scratch.path.exists()
    assert not scratch.path.exists()


def test_the_players_are_those_that_their_authors_published():
    found = {name: hashlib.sha256((ASSETS / name).read_bytes()).hexdigest() for name in AS_PUBLISHED}
    assert found == AS_PUBLISHED
