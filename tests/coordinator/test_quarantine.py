"""Refused messages are kept: whole, bounded, readable, and at no cost to well-behaved senders."""

import json
import subprocess
import sys
import time
from pathlib import Path

import zstandard

from coordinator.quarantine import WAITING_BYTES, Quarantine, QuarantineFiles, RefusedMessage
from feedback_wire.frames import Frame, walk
from tests.harness.waiting import eventually

PREFIX = b'{"ip":"203.0.113.0","weight":1.0,"via":"c1",'


def entry(payload: bytes = b"rubbish", reason: str = "malformed") -> RefusedMessage:
    now_ms = time.time_ns() // 10**6
    return RefusedMessage(received_ms=now_ms, reason=reason, detail="why", key="web", prefix=PREFIX, payload=payload)


def entries(folder: Path) -> list[dict]:
    """Everything that is kept in `folder`; every byte of it belongs to a whole frame."""
    found = []
    for path in sorted(folder.glob("*.jsonl.zst")):
        frames = [*walk(path.read_bytes())]
        assert all(isinstance(frame, Frame) for frame in frames)
        assert [frame.header.number for frame in frames] == [*range(len(frames))]
        lines = b"".join(zstandard.decompress(frame.payload) for frame in frames).splitlines()
        assert sum(frame.header.records for frame in frames) == len(lines)
        found += [json.loads(line) for line in lines]
    return found


def test_every_refused_message_is_kept_with_its_reason_and_the_rest_of_the_batch_is_stored(
    coordinators, receiver, message, tmp_path
):
    keys = tmp_path / "keys.toml"
    keys.write_text('[keys.web]\nsecret = "s"')
    coordinator = coordinators(
        receiver, flags=("--quarantine", str(tmp_path / "q"), "--keys", str(keys), "--token", "t", "--name", "hk-1")
    )
    refused = [b'{"v":1}', b'{"half', "{\u201cno\u201d}".encode(), b'"\xff"', b'{"x":"' + b"y" * 70_000 + b'"}']
    body = b"\n".join([*refused[:4], json.dumps(message()).encode()])
    before_ms = time.time_ns() // 10**6
    assert coordinator.post(body, "application/x-ndjson", authorization="Bearer s")[1]["accepted"] == 1
    assert coordinator.post(refused[4], authorization="Bearer s")[1]["reason"] == "message_too_large"
    eventually(lambda: coordinator.metrics()["messages_quarantined_total"] == 5, "all five are on disk")
    kept = entries(tmp_path / "q")
    assert [each["reason"] for each in kept] == ["missing_field", *["malformed"] * 3, "message_too_large"]
    assert [each["payload"] for each in kept] == [text.decode(errors="replace")[: 64 * 1024] for text in refused]
    assert {(each["key"], each["ip"]) for each in kept} == {("web", "127.0.0.0")}
    assert all(each["detail"] and before_ms <= each["received_ms"] <= before_ms + 10_000 for each in kept)
    assert len(receiver.records) == 1
    metrics = coordinator.metrics()
    assert metrics["quarantine_bytes"] == sum(path.stat().st_size for path in (tmp_path / "q").iterdir())
    assert metrics["messages_quarantine_dropped_total"] == 0


def test_refusals_of_the_last_second_are_kept_when_the_coordinator_stops(coordinators, receiver, tmp_path):
    coordinator = coordinators(receiver, flags=("--spool", str(tmp_path / "spool")))
    coordinator.post(b"rubbish")
    assert coordinator.stop() == 0
    assert [each["payload"] for each in entries(tmp_path / "spool" / "quarantine")] == ["rubbish"]


def test_with_a_quarantine_of_zero_bytes_nothing_is_kept(coordinators, receiver, tmp_path):
    coordinator = coordinators(receiver, flags=("--spool", str(tmp_path / "spool"), "--quarantine-max-bytes", "0"))
    coordinator.post(b"rubbish")
    assert coordinator.stop() == 0
    assert not (tmp_path / "spool" / "quarantine").exists()


def test_an_unwritable_quarantine_disturbs_no_sender_and_is_logged(coordinators, receiver, message, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    coordinator = coordinators(receiver, flags=("--quarantine", str(tmp_path / "file")))
    assert coordinator.post(b"rubbish")[0] == 400
    eventually(lambda: coordinator.metrics()["messages_quarantine_dropped_total"] == 1, "the loss is counted")
    assert "could not be kept" in coordinator.log_text()
    assert coordinator.post(json.dumps(message()).encode())[0] == 202


def test_the_quarantine_stays_within_its_size_over_restarts_and_counts_what_it_drops(tmp_path: Path):
    kept = dropped = 0
    for _ in range(3):
        files = QuarantineFiles(tmp_path, "c1-0", 5000)
        for number in range(40):
            files.append([entry(b"%d" % number), entry()])
        kept, dropped = kept + files.kept, dropped + files.dropped
        time.sleep(0.002)  # names have a resolution of a millisecond
    assert (kept + dropped, len(entries(tmp_path))) == (240, kept)
    assert 0 < sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5000
    assert dropped > 0


def test_space_that_its_reader_frees_is_used_again_in_a_new_file(tmp_path: Path):
    files = QuarantineFiles(tmp_path, "c1-0", 400)
    while not files.dropped:
        files.append([entry()])
    [path] = tmp_path.iterdir()
    path.unlink()
    before = files.kept
    files.append([entry(b"later")])
    assert files.kept == before + 1
    assert [each["payload"] for each in entries(tmp_path)] == ["later"]


def test_nothing_is_appended_to_a_file_that_a_crash_may_have_torn(tmp_path: Path):
    QuarantineFiles(tmp_path, "c1-0", 10**6).append([entry(b"first")])
    [torn] = tmp_path.iterdir()
    torn.write_bytes(torn.read_bytes()[:-3])
    time.sleep(0.002)
    QuarantineFiles(tmp_path, "c1-0", 10**6).append([entry(b"second")])
    assert len([*tmp_path.iterdir()]) == 2
    torn.unlink()
    assert [each["payload"] for each in entries(tmp_path)] == ["second"]


def test_a_flood_of_invalid_messages_takes_bounded_memory(tmp_path: Path):
    quarantine = Quarantine(tmp_path, "c1-0", 10**9)
    flood = 3 * WAITING_BYTES // 1024
    for _ in range(flood):
        quarantine.keep(entry(bytes(1024)))
    assert quarantine._waiting_bytes <= WAITING_BYTES
    quarantine.close()
    assert quarantine._dropped + len(entries(tmp_path)) == flood
    assert quarantine._dropped > 0


def test_refused_messages_can_be_sent_again_after_the_cause_is_fixed(coordinators, receiver, message, tmp_path):
    quarantine = tmp_path / "spool" / "quarantine"
    keys = tmp_path / "keys.toml"
    keys.write_text('[keys.web]\nsecret = "s"')
    flags = ("--spool", str(quarantine.parent), "--keys", str(keys), "--token", "t", "--trusted-proxy", "127.0.0.0/8")
    coordinator = coordinators(receiver, flags=flags)
    mended = QuarantineFiles(tmp_path, "old-0", 10**6)
    good = [json.dumps(message(channel="a:b"), indent=indent).encode() for indent in (None, 2)]
    mended.append([entry(payload, "invalid_field") for payload in (good[0], b"rubbish", good[1], b"", b" \n ")])
    mended.append([entry(b'{"v":1}')])
    [file] = tmp_path.glob("old-0-*")
    command = [
        sys.executable,
        "-m",
        "swarmscope",
        "logs",
        "replay",
        str(file),
        "--coordinator",
        f"http://127.0.0.1:{coordinator.port}",
    ]
    done = subprocess.run([*command, "--key", "s"], capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("2 messages accepted, 4 refused again\n  malformed: 3\n  missing_field: 1\n", 1), (
        done.stderr
    )
    assert [(record["channel"], record["ip"]) for record in receiver.records] == [("a:b", "203.0.113.0")] * 2
    eventually(lambda: coordinator.metrics()["messages_quarantined_total"] == 4, "what is still refused is kept again")
    wrong = subprocess.run([*command, "--key", "x"], capture_output=True, text=True, timeout=30, check=False, cwd=tmp_path)
    assert wrong.returncode == 2
    assert "answered 401" in wrong.stderr
    assert "Traceback" not in wrong.stderr
