"""The guarantees to a monitoring platform that lists and downloads logs."""

import http.client
import os
import threading
import time
from pathlib import Path

import pytest

from feedback_server.download import ByteRange, wanted_range
from feedback_wire.problem import Problem
from tests.harness.processes import NotReadyError
from tests.harness.waiting import eventually


@pytest.fixture
def sealed(start_feedback_server, lines):
    """A server with one sealed log: the server, the log's path, its bytes."""
    server = start_feedback_server("--roll-seconds", "1")
    server.post(lines(50))
    eventually(lambda: server.logs()[0]["sealed"])
    name = server.logs()[0]["name"]
    return server, f"/v1/logs/{name}", (server.data / name).read_bytes()


def test_a_log_is_served_whole_in_ranges_or_refused(sealed):
    server, path, data = sealed
    whole = server.get(path)
    assert (whole.status, whole.body, whole.headers["accept-ranges"]) == (200, data, "bytes")
    etag = whole.headers["etag"]
    assert not etag.startswith("W/")
    piece = server.get(path, range="bytes=10-19")
    assert (piece.status, piece.body, piece.headers["content-range"]) == (206, data[10:20], f"bytes 10-19/{len(data)}")
    assert server.get(path, range="bytes=10-").body == data[10:]
    assert server.get(path, range="bytes=-7").body == data[-7:]
    assert server.get(path, range="bytes=10-99999").body == data[10:]
    assert server.get(path, range="bytes=10-19", if_range=etag).status == 206
    assert server.get(path, range="bytes=10-19", if_range='"another"').body == data
    assert server.get(path, if_none_match=etag).status == 304
    beyond = server.get(path, range=f"bytes={len(data)}-")
    assert (beyond.status, beyond.json["reason"]) == (416, "no_such_range")
    head = server.request("HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(data)))


def test_the_catalogue_lists_the_stored_records(sealed):
    server, _, data = sealed
    (entry,) = server.logs()
    assert (entry["bytes"], entry["records"]) == (len(data), 50)
    assert server.get("/v1/logs/latest").json == entry
    assert server.logs(f"?after={entry['name']}") == []
    assert server.logs("?after=20000101T000000Z-fs1-0000.journal") == [entry]


def test_an_open_journal_is_served_up_to_its_durable_bytes_and_no_further(start_feedback_server, lines):
    server = start_feedback_server()
    server.post(lines(3))
    (entry,) = server.logs()
    path = server.data / entry["name"]
    with path.open("ab") as journal:
        journal.write(b"not durable yet")
    answer = server.get(f"/v1/logs/{entry['name']}")
    assert answer.body == path.read_bytes()[: entry["bytes"]]
    assert server.get(f"/v1/logs/{entry['name']}", range=f"bytes={entry['bytes']}-").status == 416


def test_a_journal_that_was_sealed_during_a_download_is_reported_as_sealed(sealed):
    server, path, _ = sealed
    answer = server.get(path.replace("jsonl.zst", "journal"))
    assert (answer.status, answer.json["reason"]) == (404, "sealed")


def test_before_the_first_record_there_is_no_latest_log(start_feedback_server):
    server = start_feedback_server()
    assert server.get("/v1/logs/latest").json["reason"] == "no_such_log"
    assert server.logs() == []


ELSEWHERE = (
    "../secret",
    "..%2Fsecret",
    "%2e%2e/%2e%2e/etc/passwd",
    "....//etc/passwd",
    "%2Fetc%2Fpasswd",
    "//etc/passwd",
    ".lock",
    "recent-batches",
    "quarantine",
    "20120807T093000Z-fs1-0000.jsonl.zst%00",
    "20120807T093000Z-fs1-0000.jsonl.zst%0a",
    "20120807T093000Z-fs1-0000.jsonl.zst/../.lock",
    "20120807T093000Z-..-0000.jsonl.zst",
    "20129999T999999Z-fs1-0000.jsonl.zst",
    "%D9%A220120807T093000Z-fs1-0000.jsonl.zst",
    "x" * 5000,
    "%00",
    "%252e%252e%252fsecret",
    "..%5csecret",
    "..%c0%afsecret",
    "%e0%80%ae%e0%80%ae/secret",
    "%uff0e%uff0e/secret",
    "%ef%bc%8e%ef%bc%8e/secret",
    "..;/secret",
    "./../secret",
    "file:///etc/passwd",
    "~root/.profile",
    "%2e",
    "%2e%2e%00.jsonl.zst",
    "20120807T093000Z-fs1-0000.journal%2f..%2f..%2fsecret",
    "20120807T093000Z-%2e%2e%2ffs1-0000.journal",
    "20120807T093000Z-fs1-0000.jsonl.zst%20",
    "20120807T093000Z-fs1-0000.jsonl.zst%3fa",
    "20120807T093000Z-FS1-0000.jsonl.zst",
    "20120807T093000Z-" + "a" * 255 + "-0000.journal",
    "%ff%fe",
    "..%2f" * 2000 + "secret",
)


def test_no_name_gives_access_outside_the_catalogue(start_feedback_server, tmp_path):
    (tmp_path / "secret").write_text("secret")
    server = start_feedback_server()
    for name in ELSEWHERE:
        answer = server.get(f"/v1/logs/{name}")
        assert answer.status in (400, 404), name
        assert answer.headers["content-type"] == "application/problem+json"
        assert server.get(f"/v1/logs?after={name}").status == 400, name
    assert server.server.log_text() == ""


def test_a_link_in_the_folder_is_never_followed(start_feedback_server, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "data").mkdir()
    names = [
        f"20120807T09300{number}Z-fs1-0000.{form}" for number, form in enumerate(("jsonl.zst", "journal", "parquet", "csv.zst"))
    ]
    targets = (tmp_path / "secret", tmp_path / "secret", Path("/dev/zero"), Path("/"))
    for name, target in zip(names, targets, strict=True):
        (tmp_path / "data" / name).symlink_to(target)
    os.mkfifo(tmp_path / "data" / "20120807T093009Z-fs1-0000.journal")
    server = start_feedback_server()
    assert server.logs() == []
    for name in (*names, "20120807T093009Z-fs1-0000.journal"):
        assert server.get(f"/v1/logs/{name}").status == 404


def test_a_log_that_is_replaced_by_a_link_while_the_server_runs_is_not_followed(sealed, tmp_path):
    server, path, _ = sealed
    (tmp_path / "secret").write_text("secret")
    log = server.data / path.rpartition("/")[2]
    log.unlink()
    assert server.get(path).json["reason"] == "no_such_log"
    log.symlink_to(tmp_path / "secret")
    assert server.get(path).status in (404, 503)
    log.unlink()
    log.write_bytes(b"cut")
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        server.get(path)
    assert server.get("/readyz").status == 200


def test_a_lock_that_is_a_link_is_not_followed(start_feedback_server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotReadyError):
        start_feedback_server()
    assert not (tmp_path / "elsewhere").exists()


def test_a_long_poll_is_answered_as_soon_as_a_record_is_durable(start_feedback_server, lines):
    server = start_feedback_server()
    etag = server.get("/v1/logs").headers["etag"]
    answers = []
    poll = threading.Thread(target=lambda: answers.append(server.get("/v1/logs?wait=30", if_none_match=etag)))
    poll.start()
    began = time.monotonic()
    server.post(lines())
    poll.join(10)
    assert time.monotonic() - began < 5
    assert (answers[0].status, answers[0].json["logs"][0]["records"]) == (200, 3)
    assert answers[0].headers["etag"] != etag


def test_a_long_poll_ends_at_its_deadline_or_when_the_server_stops(start_feedback_server):
    server = start_feedback_server()
    etag = server.get("/v1/logs").headers["etag"]
    assert server.get("/v1/logs", if_none_match=etag).status == 304
    assert server.get("/v1/logs?wait=1", if_none_match=etag).status == 304
    assert [server.get(f"/v1/logs?wait={wait}").status for wait in ("61", "-1", "x", "1.5", "9" * 9, "0000999")] == [400] * 6
    poll = threading.Thread(target=lambda: server.get("/v1/logs?wait=60", if_none_match=etag))
    poll.start()
    began = time.monotonic()
    assert server.server.stop() == 0
    poll.join(5)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=5-", ByteRange(5, 100)),
        ("bytes=-5", ByteRange(95, 100)),
        ("bytes=-500", ByteRange(0, 100)),
        ("bytes=0-99999", ByteRange(0, 100)),
        ("bytes=-", None),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        ("items=0-5", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges_follow_rfc_9110(header, expected):
    assert wanted_range(header, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0", "bytes=200-300"])
def test_a_range_without_a_byte_is_refused(header):
    with pytest.raises(Problem, match="no_such_range") as refused:
        wanted_range(header, 100)
    assert refused.value.status == 416
