"""`swarmscope lab fit` makes a model of exported trainings, and `swarmscope lab score` applies it, as a user would run them."""

import json
import re
import signal
import socket
from functools import partial
from pathlib import Path

import pytest

from qoe_lab.dataset.parquet_tables import write_table
from qoe_lab.models.storage import CARD, load
from qoe_lab.traffic.slot_features import SLOT_FEATURES as TRAFFIC_FEATURES
from tests.harness.processes import run_swarmscope, servers, start_swarmscope
from tests.harness.waiting import eventually
from tests.qoe_lab.models.synthetic_sessions import training
from tests.qoe_lab.scoring.captured_video import capture, small_model, video

KEY, TOKEN, READ = "key-of-the-lab", "token-of-the-servers", "token-of-readers"
VIEWER, OTHER_VIEWER, SERVER = "127.0.0.77", "127.0.0.79", "127.0.0.78"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The model `small`, the capture `two.pcap` with two sessions, and the folder of a session."""
    folder = tmp_path_factory.mktemp("score")
    small_model(folder / "small")
    capture(folder / "two.pcap", video(), video("10.0.0.3", begin_s=2, seconds=8), video("10.0.0.4", kbps=20))
    (folder / "session").mkdir()
    capture(folder / "session" / "capture.pcap", video(), video("10.0.0.3"))
    about = {"session_id": "first-1", "training_id": "first", "client_address": "10.0.0.2"}
    (folder / "session" / "session.json").write_text(json.dumps(about))
    return folder


def score(folder: Path, *arguments: object):
    return run_swarmscope("lab", "score", *arguments, "--model", folder / "small")


def test_a_capture_gets_conclusions_for_each_client_and_a_mark_for_each_second(folder):
    found = score(folder, folder / "two.pcap")
    assert found.returncode == 0, found.stderr
    assert "10.0.0.2: 12 s, " in found.stdout
    assert "10.0.0.3: 8 s, " in found.stdout
    assert "MOS: " in found.stdout
    marks = [line.split(" s ")[1] for line in found.stdout.splitlines() if line.startswith("     0 s ")]
    assert [len(each) for each in marks] == [12, 8]
    assert "1 sessions received too little to be video, and are left out" in found.stderr


def test_json_has_a_message_for_each_second_and_a_folder_of_a_session_its_ids(folder):
    found = score(folder, folder / "session", "--json")
    assert found.returncode == 0, found.stderr
    messages = [json.loads(line) for line in found.stdout.splitlines()]
    assert [each["slot"] for each in messages] == list(range(12))
    assert {(each["session_id"], each["training_id"], each["address"]) for each in messages} == {("first-1", "first", "10.0.0.2")}


def test_a_capture_without_video_has_the_exit_code_1(folder):
    small = capture(folder / "small.pcap", video(kbps=20))
    found = score(folder, small)
    assert found.returncode == 1
    assert "no session in this capture received enough to be video" in found.stderr


def test_wrong_arguments_have_the_exit_code_2_and_say_what_to_do(folder, tmp_path):
    text = tmp_path / "text.pcap"
    text.write_text("no capture")
    for arguments, expected in (
        ([text], "is not a capture"),
        ([tmp_path / "none.pcap"], "no such file"),
        ([tmp_path], "is no folder of a session"),
        ([], "give either FILE or --live INTERFACE"),
        ([folder / "two.pcap", "--coordinator", "nowhere"], "--coordinator"),
    ):
        found = score(folder, *arguments)
        assert (found.returncode, expected in found.stderr) == (2, True), found.stderr
    found = run_swarmscope("lab", "score", folder / "two.pcap", "--model", tmp_path)
    assert (found.returncode, "swarmscope lab fit makes one" in found.stderr) == (2, True)


def test_a_damaged_capture_is_scored_as_far_as_it_goes_with_a_warning(folder):
    cut = folder / "cut.pcap"
    cut.write_bytes((folder / "two.pcap").read_bytes()[:-7])
    found = score(folder, cut)
    assert found.returncode == 0
    assert "warning: " in found.stderr
    assert "is damaged" in found.stderr


def test_packets_at_an_interface_are_scored_second_by_second(folder, tmp_path):
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        pytest.skip("needs the capability CAP_NET_RAW")
    arguments = ("lab", "score", "--live", "lo", "--client", VIEWER, "--model", str(folder / "small"))
    output = tmp_path / "live.jsonl"
    notes = tmp_path / "notes.txt"
    with output.open("w") as stdout, notes.open("w") as stderr, socket.create_server((SERVER, 0)) as server:
        process = start_swarmscope(*arguments, stdout=stdout, stderr=stderr)
        try:
            receive = partial(socket.create_connection, server.getsockname(), source_address=(VIEWER, 0))
            other = partial(socket.create_connection, server.getsockname(), source_address=(OTHER_VIEWER, 0))
            eventually(
                lambda: _received(other, server) and _received(receive, server) and len(output.read_text().splitlines()) >= 3
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
    assert re.search(r"^left out: [\d,]+ packets of other clients$", notes.read_text(), re.MULTILINE)
    messages = [json.loads(line) for line in output.read_text().splitlines()]
    assert {(each["address"], each["source"]) for each in messages} == {(VIEWER, "live")}
    assert sum(each["download_kbps"] for each in messages) > 100


def _received(receive, server: socket.socket) -> bool:
    """Whether the viewer has received a segment in a connection of its own."""
    with receive() as viewer:
        connection, _ = server.accept()
        with connection:
            viewer.sendall(bytes(300))
            connection.sendall(bytes(60_000))
        return len(viewer.recv(1000)) > 0


def test_an_interface_that_does_not_exist_is_named(folder):
    found = run_swarmscope("lab", "score", "--live", "nosuch0", "--model", folder / "small")
    assert found.returncode == 1
    assert "nosuch0" in found.stderr


def test_inferences_arrive_at_a_coordinator_and_those_of_a_second_run_are_copies(folder, tmp_path):
    with servers(tmp_path) as start:
        listen, logs = ("--listen", "127.0.0.1:0"), ("--data", str(tmp_path / "logs"))
        store = start("feedback-server", *listen, "--token", TOKEN, "--read-token", READ, *logs)
        coordinator = start(
            *("coordinator", *listen, "--key", KEY, "--token", TOKEN),
            *("--feedback-server", store.url, "--spool", str(tmp_path / "spool")),
        )
        (tmp_path / "key").write_text(f"{KEY}\n")
        refused = score(folder, folder / "session", "--coordinator", coordinator.url)
        assert refused.returncode != 0, refused.stderr
        for _ in range(2):
            sent = score(folder, folder / "session", "--coordinator", coordinator.url, "--ingest-key", tmp_path / "key")
            assert sent.returncode == 0, sent.stderr
            assert "the coordinator accepted 12 inferences and refused 0" in sent.stderr
    analyzed = json.loads(run_swarmscope("analyze", tmp_path / "logs", "--kind", "inference", "--json").stdout)
    assert (analyzed["inferences"], analyzed["copies"]) == (12, 12)


def exported(folder: Path, name: str, sessions: int) -> Path:
    """A training folder with the data set of synthetic sessions. Features that they do not have are not known."""
    session_columns, slot_columns = training(name, sessions=sessions, seconds=6)
    (folder / name / "dataset").mkdir(parents=True)
    known = {each.name for each in TRAFFIC_FEATURES} | {"session_id", "training_id", "slot", "state", "stalled_ms", "height"}

    def rows(columns, names=None):
        for number in range(len(columns["session_id"])):
            values = {each: column[number].item() for each, column in columns.items() if names is None or each in names}
            yield {each: None if value != value else value for each, value in values.items()}

    write_table(
        folder / name / "dataset", "sessions", [{**row, "stall_count": int(row["stall_count"])} for row in rows(session_columns)]
    )
    slots = [{**row, "height": None if row["height"] is None else int(row["height"])} for row in rows(slot_columns, known)]
    write_table(folder / name / "dataset", "slots", slots)
    return folder / name


def test_fit_stores_a_model_and_a_report_that_score_can_use(tmp_path, folder):
    exported(tmp_path, "first", 12)
    found = run_swarmscope("lab", "fit", "first", "--quick", "--data", tmp_path)
    assert found.returncode == 0, found.stderr
    assert "the model and report.html are in " in found.stdout
    assert "T3 is being fitted" in found.stderr
    model = load(tmp_path / "first" / "model")
    assert model.name == "first"
    card = json.loads((tmp_path / "first" / "model" / CARD).read_text())
    assert card["data"]["sessions"] == 12
    assert {goal["task"] for goal in card["goals"]} <= {"T1", "T2", "T3", "T4", "T5"}
    assert "<h1>Model first</h1>" in (tmp_path / "first" / "model" / "report.html").read_text()
    scored = run_swarmscope("lab", "score", folder / "two.pcap", "--model", tmp_path / "first" / "model")
    assert scored.returncode == 0, scored.stderr


def test_fit_names_what_is_missing(tmp_path):
    exported(tmp_path, "few", 4)
    few = run_swarmscope("lab", "fit", "few", "--data", tmp_path)
    assert (few.returncode, "at least 6 are needed" in few.stderr) == (1, True)
    none = run_swarmscope("lab", "fit", "none", "--data", tmp_path)
    assert (none.returncode, "does not exist" in none.stderr) == (2, True)
