"""Trainings with real sessions: they survive a kill, pause, discard what must not become data, and leave nothing on the machine."""

import json
import os
import signal
from pathlib import Path

import pytest

from feedback_wire.trainings import TrainingSettings, TrainingState
from netlab import read_capture
from qoe_lab.player_events import read_events
from qoe_lab.running import session_queue
from qoe_lab.running.session_files import sha256_of
from qoe_lab.running.training_folder import create_training, open_training_folder
from qoe_lab.running.training_run import RunOptions, TrainingRun
from tests.harness.processes import run_here, run_swarmscope
from tests.harness.waiting import eventually
from tests.qoe_lab.running.labs import descendants, json_of, kill, needs_sessions, start_lab, statuses, with_status

pytestmark = needs_sessions
ENDS_WITHIN_S = 240
SYN, ACK = 0x02, 0x10


def flags(contents: Path, folder: Path) -> list[object]:
    return ["--contents", contents, "--data", folder, "--parallel", 2]


def test_a_training_that_is_killed_is_resumed_without_a_repeated_id_and_every_session_is_whole(
    contents: Path, tmp_path: Path
) -> None:
    training, log = tmp_path / "t", tmp_path / "run.log"
    plan = ["--name", "t", "--sessions", 2, "--limits", "0.5,1", "--seconds", 5, "--delay-ms", 5]
    one_at_a_time = ["--contents", contents, "--data", tmp_path, "--parallel", 1]
    running = start_lab("run", *plan, *one_at_a_time, log=log)
    # When the first one is captured, the second one begins.
    eventually(lambda: with_status(training, 1) and len(with_status(training, 0)) > len(with_status(training, 1)), within_s=120)
    kill(running)
    eventually(lambda: not descendants(log), "the sessions, their labs and the pipeline end with the training")
    assert open_training_folder(training).progress().state is TrainingState.PAUSED
    kept = {
        line["session_id"]: sha256_of(training / "sessions" / line["session_id"] / "capture.pcap")
        for line in with_status(training, 1)
    }

    resumed = run_swarmscope("lab", "resume", training, *one_at_a_time, timeout_s=ENDS_WITHIN_S)
    assert resumed.returncode == 0, resumed.stderr + resumed.stdout

    lines = statuses(training)
    begun = [line["session_id"] for line in lines if line["status"] == 0]
    assert len(set(begun)) == len(begun)
    assert any(line.get("reason") == "interrupted" for line in lines)
    captured = with_status(training, 1)
    assert sorted(line["number"] for line in captured) == [0, 1]
    assert len(kept) == 1
    assert {line["session_id"] for line in captured} >= set(kept)
    for line in captured:
        check_session(training / "sessions" / line["session_id"], line["session_id"], kept)
    limits = [json_of(training / "sessions" / line["session_id"] / "session.json")["limit_mbps"] for line in captured]
    assert sorted(limits) == [0.5, 1]
    check_messages(training, {line["session_id"] for line in captured})


def check_session(folder: Path, session_id: str, kept: dict[str, str]) -> None:
    """The parts of a captured session fit together, and a session that was kept has not changed."""
    cell, result, shaping = (json_of(folder / f"{name}.json") for name in ("session", "result", "shaping"))
    assert (result["valid"], result["invalid_reason"], result["kernel_drops"]) == (True, None, 0)
    assert result["pcap_sha256"] == sha256_of(folder / "capture.pcap") == kept.get(session_id, result["pcap_sha256"])
    assert 0.90 <= shaping["share"] <= 0.98
    assert shaping["read_back"]["congestion_control"] == "cubic"
    first = next(read_capture(folder / "capture.pcap"))
    assert first.header[26:30] == bytes(map(int, cell["client_address"].split(".")))
    assert first.header[47] & (SYN | ACK) == SYN  # the capture begins before the client's first packet
    events = list(read_events(folder / "player.jsonl"))
    assert (events[0].event, events[-1].event) == ("navigation", "end")
    navigation_ms = events[0].wall_ms
    assert navigation_ms is not None
    assert cell["begin_ms"] <= navigation_ms <= first.time_ns / 1e6 + 1000
    assert (folder / "server.jsonl").stat().st_size > 0
    assert (folder / "tcp_info.jsonl").stat().st_size > 0


def check_messages(training: Path, sessions: set[str]) -> None:
    """The sessions reported as end hosts do, through the coordinator to the feedback server of the training."""
    printed = run_swarmscope("logs", "cat", training / "pipeline" / "fs1").stdout
    messages = [json.loads(line) for line in printed.splitlines()]
    training_id = json_of(training / "training.json")["training_id"]
    reported = {message["session_id"] for message in messages if message["extra"]["training_id"] == training_id}
    assert reported >= sessions


def test_a_killed_session_is_tried_again_and_ctrl_c_pauses_a_training(contents: Path, tmp_path: Path) -> None:
    training, log = tmp_path / "t", tmp_path / "run.log"
    plan = ["--name", "t", "--sessions", 2, "--limits", "0.5,1", "--seconds", 60]
    running = start_lab("run", *plan, *flags(contents, tmp_path), log=log)
    eventually(lambda: len(with_status(training, 0)) == 2, within_s=120)
    first, other = (line["session_id"] for line in with_status(training, 0))
    (session,) = (pid for pid in descendants(log) if is_process_of(pid, first, "qoe_lab.running"))
    os.kill(session, signal.SIGKILL)
    eventually(lambda: with_status(training, 2), within_s=60)
    eventually(lambda: not [pid for pid in descendants(log) if is_process_of(pid, first)], "the lab of the killed session ends")
    assert [pid for pid in descendants(log) if is_process_of(pid, other)]
    eventually(lambda: len(with_status(training, 0)) == 3, within_s=60)
    second = run_here("lab", "resume", training, *flags(contents, tmp_path))
    assert second.returncode == 2
    assert "another process runs the training" in second.stderr
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 1
    assert "swarmscope lab resume" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert "nothing to pause" in run_here("lab", "pause", training).stderr
    assert [line["reason"] for line in with_status(training, 2)] == ["session_crashed", "interrupted", "interrupted"]
    progress = open_training_folder(training).progress()
    assert (progress.state, progress.captured, progress.given_up) == (TrainingState.PAUSED, 0, 0)
    assert run_here("lab", "cancel", training).returncode == 0
    refused = run_here("lab", "resume", training, *flags(contents, tmp_path))
    assert refused.returncode == 2
    assert "is cancelled" in refused.stderr
    eventually(lambda: not descendants(log), "nothing of the training runs")


def command_of(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    except OSError:
        return set()


def is_process_of(pid: int, session_id: str, module: str = "") -> bool:
    """Whether the command line of a process has the folder of a session, and the module."""
    command = command_of(pid)
    return session_id.encode() in b" ".join(command) and (not module or module.encode() in command)


@pytest.fixture
def broken(contents: Path, tmp_path: Path) -> Path:
    """Contents whose segments are missing: no client can play them."""
    (tmp_path / "broken" / "ball").mkdir(parents=True)
    (tmp_path / "broken" / "ball" / "content.json").write_bytes((contents / "ball" / "content.json").read_bytes())
    return tmp_path / "broken"


def test_a_session_whose_client_fails_is_given_up_with_its_reason(
    broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its first failure here. A test of the queue, and a long one of whole trainings, have all three."""
    monkeypatch.setattr(session_queue, "MOST_FAILURES", 1)
    settings = TrainingSettings(name="t", sessions=1, limits_mbps=(1.0,), seconds=5)
    training = create_training(tmp_path / "t", settings, {})
    options = RunOptions(parallel=1, contents=broken, content_ids=("ball",))
    progress = TrainingRun(training, options, changed=lambda *_: None, check=lambda: None).run()
    assert (progress.state, progress.given_up) == (TrainingState.FINISHED, 1)
    [failed] = with_status(training.path, 2)
    assert (failed["attempt"], failed["reason"]) == (1, "client_failed")
    assert "client_failed 1; 1 sessions given up" in run_here("lab", "show", training.path).stdout


@pytest.mark.soak
def test_a_session_that_fails_is_tried_three_times_and_given_up_with_its_reason(broken: Path, tmp_path: Path) -> None:
    plan = ["--name", "t", "--sessions", 1, "--limits", "1", "--seconds", 5]
    ended = run_swarmscope("lab", "run", *plan, *flags(broken, tmp_path), timeout_s=ENDS_WITHIN_S)
    assert ended.returncode == 1, ended.stderr
    training = tmp_path / "t"
    assert [line["attempt"] for line in with_status(training, 2)] == [1, 2, 3]
    assert {line["reason"] for line in with_status(training, 2)} == {"client_failed"}
    progress = open_training_folder(training).progress()
    assert (progress.state, progress.given_up) == (TrainingState.FINISHED, 1)
    shown = run_here("lab", "show", training).stdout
    assert "client_failed 3; 1 sessions given up" in shown


def test_a_training_whose_coordinator_is_killed_ends_with_the_reason_and_can_be_resumed(contents: Path, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    plan = ["--name", "t", "--sessions", 1, "--limits", "1", "--seconds", 60]
    running = start_lab("run", *plan, *flags(contents, tmp_path), log=log)
    eventually(lambda: with_status(tmp_path / "t", 0), within_s=120)
    coordinator = min(pid for pid in descendants(log) if {b"coordinator", b"--spool"} <= command_of(pid))  # its workers are younger
    os.kill(coordinator, signal.SIGKILL)
    assert running.wait(60) == 1
    failure = "the coordinator ended by signal SIGKILL"
    assert failure in log.read_text()
    assert failure in str(open_training_folder(tmp_path / "t").progress().failure)
    assert [line.get("reason") for line in statuses(tmp_path / "t")] == [None, "interrupted"]
    eventually(lambda: not descendants(log), "nothing of the training runs")


@pytest.mark.soak
def test_the_overlay_is_played_through_two_relays(tmp_path: Path) -> None:
    plan = ["--name", "t", "--sessions", 2, "--limits", "0.5,3", "--seconds", 15, "--source", "overlay", "--data", tmp_path]
    log = tmp_path / "run.log"
    assert start_lab("run", *plan, "--parallel", 1, log=log).wait(600) == 0, log.read_text()
    for line in with_status(tmp_path / "t", 1):
        folder = tmp_path / "t" / "sessions" / line["session_id"]
        cell, result = json_of(folder / "session.json"), json_of(folder / "result.json")
        assert any(event.event == "first_frame" for event in read_events(folder / "player.jsonl"))
        assert (result["queue_dropped_to_client"] > 0) == (cell["limit_mbps"] == 0.5)
        assert not list((folder / "overlay").glob("*.key"))
    eventually(lambda: not descendants(log), "nothing of the training runs")


@pytest.mark.soak
def test_sixty_sessions_of_twenty_seconds_are_captured_unattended(tmp_path: Path) -> None:
    plan = ["--name", "t", "--sessions", 60, "--limits", "0.25,0.5,1,2", "--seconds", 20, "--data", tmp_path]
    ended = run_swarmscope("lab", "run", *plan, timeout_s=3600)
    assert ended.returncode == 0, ended.stderr
    progress = open_training_folder(tmp_path / "t").progress()
    print(progress)
    assert progress.captured == 60
    assert sum(progress.discarded.values()) <= 0.05 * (60 + sum(progress.discarded.values()))
    for line in with_status(tmp_path / "t", 1):
        result = json_of(tmp_path / "t" / "sessions" / line["session_id"] / "result.json")
        assert result["kernel_drops"] <= 0.001 * result["frames"]
