"""The guarantees to a coordinator: 200 means durable, once, and a refusal contains advice."""

import re
import socket
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from feedback_server.settings import Settings
from tests.harness.waiting import eventually

ID = "0123456789abcdef0123456789abcdef"


def test_a_batch_is_stored_with_its_time_and_offered_immediately(start_feedback_server, lines):
    server = start_feedback_server()
    answer = server.post(lines(3))
    assert (answer.status, answer.json) == (200, {"stored": 3})
    (entry,) = server.logs()
    assert (entry["records"], entry["sealed"]) == (3, False)
    assert server.data.joinpath(entry["name"]).stat().st_size == entry["bytes"]


def test_a_batch_that_is_sent_again_is_stored_once(start_feedback_server, lines, stored):
    server = start_feedback_server()
    assert server.post(lines(3), ID).json == {"stored": 3}
    assert server.post(lines(3), ID).json == {"stored": 0, "duplicate": True}
    assert server.counted("duplicates_total") == 1
    server.server.stop()
    assert len(stored(server.data)) == 3


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_batch_that_is_sent_again_after_a_restart_is_stored_once(start_feedback_server, lines, stored, end):
    server = start_feedback_server()
    server.post(lines(3), ID)
    getattr(server.server, end)()
    server = start_feedback_server()
    assert server.post(lines(3), ID).json == {"stored": 0, "duplicate": True}
    server.server.stop()
    assert len(stored(server.data)) == 3


def test_a_body_that_is_not_lines_of_objects_is_refused_and_not_stored(start_feedback_server):
    server = start_feedback_server()
    torn = b'{"a":1}\n{"b":2}'
    for body in (b"", b"\n", b"{}", b"[1]\n", b'{"a":1}\n\n', b'{"a":1}\n[2]\n', b' {"a":1}\n', torn):
        answer = server.post(body)
        assert (answer.status, answer.json["reason"]) == (400, "bad_lines"), body
        assert answer.headers["content-type"] == "application/problem+json"
    assert server.logs() == []


def test_every_other_refusal_has_its_reason_and_is_counted(start_feedback_server, lines):
    server = start_feedback_server()
    refused = [
        server.post(lines(), "z" * 32),
        server.post(lines(), "0" * 32),
        server.request("POST", "/v1/records", lines(), content_type="application/x-ndjson"),
        server.post(lines(), content_type="application/json"),
        server.post(lines(), content_encoding="gzip"),
        server.post(b"{" + b"x" * 4 * 1024 * 1024 + b"}\n"),
        server.get("/v1/records"),
        server.get("/nothing"),
    ]
    assert [(answer.status, answer.json["reason"]) for answer in refused] == [
        (400, "bad_batch_id"),
        (400, "bad_batch_id"),
        (400, "bad_batch_id"),
        (415, "content_type"),
        (415, "content_encoding"),
        (413, "batch_too_large"),
        (405, "no_such_method"),
        (404, "no_such_route"),
    ]
    assert server.counted('refused_total{reason="bad_batch_id"}') == 3
    assert server.logs() == []


def test_a_sender_that_disconnects_in_the_middle_of_a_batch_stores_nothing(start_feedback_server, lines):
    server = start_feedback_server()
    host, port = urlsplit(server.server.url).netloc.split(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(
            b"POST /v1/records HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nSwarmscope-Batch: " + ID.encode()
        )
        link.sendall(b"\r\nContent-Length: 100000\r\n\r\n" + lines())
    assert server.post(lines(), ID).json == {"stored": 3}
    assert "Traceback" not in server.server.log_text()


def test_appending_and_reading_need_different_tokens(start_feedback_server, lines):
    server = start_feedback_server("--token", "inward", "--read-token", "outward")
    assert server.post(lines()).status == 401
    assert server.post(lines(), authorization="Bearer outward").status == 401
    assert server.post(lines(), authorization="Bearer inward").status == 200
    (name,) = [entry["name"] for entry in server.get("/v1/logs", authorization="Bearer outward").json["logs"]]
    for path in ("/v1/logs", "/v1/logs/latest", f"/v1/logs/{name}"):
        assert server.get(path).status == 401
        assert server.get(path, authorization="Bearer inward").status == 401
        assert server.get(path, authorization="Bearer outward").status == 200
    assert [server.get(path).status for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 401]
    assert "inward" not in server.server.log_text() + server.get("/metrics", authorization="Bearer outward").body.decode()


def test_logs_roll_with_the_clock_and_parts_with_their_size(start_feedback_server, lines, stored):
    server = start_feedback_server("--roll-seconds", "1", "--max-log-bytes", "600")
    for number in range(12):
        server.post(lines(2, session=f"s{number}"))
    assert {entry["name"].rsplit("-", 1)[1].split(".")[0] for entry in server.logs()} >= {"0000", "0001"}
    eventually(lambda: all(entry["sealed"] for entry in server.logs()), within_s=5)
    assert sorted(stored(server.data)) == sorted((f"s{number}", seq) for number in range(12) for seq in range(2))
    assert server.counted("journals") == 0


def test_a_clean_stop_seals_everything_and_exits_with_0(start_feedback_server, lines):
    server = start_feedback_server()
    server.post(lines())
    assert server.server.stop() == 0
    assert [path.suffixes[-2:] for path in server.data.glob("2*")] == [[".jsonl", ".zst"]]


def test_files_belong_to_the_owner_and_its_group_with_any_umask(start_feedback_server, lines):
    server = start_feedback_server("--roll-seconds", "1")
    server.post(lines())
    eventually(lambda: server.logs()[0]["sealed"])
    assert server.data.stat().st_mode & 0o777 == 0o750
    assert {oct(path.stat().st_mode & 0o777) for path in server.data.iterdir() if path.is_file()} == {"0o640"}


def test_logs_beyond_the_retention_are_removed_and_counted(start_feedback_server, lines):
    server = start_feedback_server("--roll-seconds", "1", "--keep-bytes", "1")
    server.post(lines())
    eventually(lambda: server.counted("retired_total") == 1)
    assert server.logs() == []
    assert not list(server.data.glob("2*"))
    assert server.counted("retired_bytes_total") > 0


def test_every_setting_and_metric_is_documented(start_feedback_server):
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "feedback-server.md").read_text()
    for setting in fields(Settings):
        assert f"`--{setting.name.replace('_', '-')}`" in page
    metrics = (docs / "metrics.md").read_text()
    exposed = re.findall(
        r"^# TYPE swarmscope_feedback_server_(\w+)", start_feedback_server().get("/metrics").body.decode(), re.MULTILINE
    )
    assert exposed
    for name in exposed:
        assert name in metrics


def test_a_server_whose_folder_for_measurements_cannot_be_used_stores_feedback_and_refuses_measurements(
    start_feedback_server, lines, tmp_path
):
    data = tmp_path / "data"
    data.mkdir()
    (data / "measurement").write_text("a file where the folder belongs")
    server = start_feedback_server(data=data)
    assert server.post(lines()).json == {"stored": 3}
    own = {"content_type": "application/x-ndjson", "swarmscope_batch": "1" * 32}
    refused = server.request("POST", "/v1/records/measurement", lines(), **own)
    assert (refused.status, refused.json["reason"]) == (503, "not_durable")
    assert server.counted('refused_total{reason="not_durable"}') == 1
    assert "measurement records are refused until the next start" in server.server.log_text()
