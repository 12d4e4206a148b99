"""Copies that were damaged while the platform was down, at any byte, are fetched again, and every number stays the same."""

import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.waiting import eventually

LOGS, IN_A_LOG = 20, 12
ROUNDS = 2
"""Each damages every copy once."""


def cut(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data))]


def flip(data: bytes, chance: Random) -> bytes:
    bit = chance.randrange(len(data) * 8)
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def blank(data: bytes, chance: Random) -> bytes:
    """A stretch of zeros, as a file system leaves it after a power cut."""
    begin = chance.choice([at for at, byte in enumerate(data[:-1]) if byte])
    end = chance.randrange(begin + 1, len(data))
    return data[:begin] + bytes(end - begin) + data[end:]


def grow(data: bytes, chance: Random) -> bytes:
    return data + chance.randbytes(chance.randrange(1, 200))


DAMAGES = (cut, flip, blank, grow)


def write_logs(folder: Path, form: Form) -> Counter[tuple[str, int]]:
    """Sealed logs on a feedback server's disk, and the messages in them."""
    begin_s = BEGIN_MS // 1000
    known: Counter[tuple[str, int]] = Counter()
    for number in range(LOGS):
        records = [
            record(session_id=f"s{number}", seq=seq, received_ms=(begin_s + 60 * number) * 1000 + seq) for seq in range(IN_A_LOG)
        ]
        write_log(folder, records, form, begin_s=begin_s + 60 * number)
        known.update((each["session_id"], each["seq"]) for each in records)
    return known


@pytest.mark.parametrize("form", [Form.JSONL, pytest.param(Form.CSV, marks=pytest.mark.soak), Form.PARQUET])
def test_every_damaged_copy_of_a_sealed_log_is_fetched_again_and_no_number_changes(
    feedback_server, start_feed, tmp_path, sha256, form
):
    known = write_logs(tmp_path / "fs1", form)
    server, chance = feedback_server(form={Form.JSONL: "jsonl", Form.CSV: "csv", Form.PARQUET: "parquet"}[form]), Random(11)
    good = sha256(tmp_path / "fs1")
    assert len(good) == LOGS
    mirror = tmp_path / "mirror" / "fs1"
    first = start_feed(server.url)
    eventually(lambda: first.status().counts.logs_mirrored == LOGS)
    first.stop()
    for number in range(ROUNDS):
        assert sha256(mirror) == good
        harmed = 0
        for copy in sorted(mirror.iterdir()):
            whole = copy.read_bytes()
            copy.write_bytes(DAMAGES[(number + harmed) % len(DAMAGES)](whole, chance))
            harmed += 1
        assert not set(sha256(mirror).items()) & set(good.items())
        feed = start_feed(server.url)
        eventually(lambda: sha256(mirror) == good)
        eventually(lambda feed=feed: feed.status().counts.logs_mirrored == LOGS)
        eventually(lambda feed=feed: feed.identities() == known)
        feed.stop()
        counts = feed.status().counts
        assert (harmed, counts.refetches) == (LOGS, LOGS)
        assert counts.records_taken == known.total()


def test_a_damaged_copy_of_an_open_journal_is_repaired_and_no_number_changes(feedback_server, start_feed, sender, tmp_path):
    server, chance = feedback_server(roll=3600), Random(12)
    for _ in range(6):
        sender.send(server.url, 5)
    feed = start_feed(server.url)
    eventually(lambda: feed.identities() == sender.acknowledged)
    feed.stop()
    [journal] = (tmp_path / "mirror" / "fs1").iterdir()
    [original] = (tmp_path / "fs1").glob("*.journal")
    for number in range(2 * len(DAMAGES)):
        whole = original.read_bytes()
        journal.write_bytes(DAMAGES[number % len(DAMAGES)](whole, chance))
        assert journal.read_bytes() != whole
        feed = start_feed(server.url)
        eventually(lambda feed=feed: feed.identities() == sender.acknowledged)
        sender.send(server.url, 2)  # bytes after the end of a journal's copy are overwritten when more arrives
        eventually(lambda feed=feed: feed.identities() == sender.acknowledged)
        eventually(lambda: journal.read_bytes() == original.read_bytes())
        feed.stop()


def test_missing_or_empty_copies_are_fetched_again(feedback_server, start_feed, tmp_path, sha256):
    known = write_logs(tmp_path / "fs1", Form.JSONL)
    server, mirror = feedback_server(), tmp_path / "mirror" / "fs1"
    feed = start_feed(server.url)
    eventually(lambda: feed.status().counts.logs_mirrored == LOGS)
    feed.stop()
    for number, copy in enumerate(sorted(mirror.iterdir())):
        copy.unlink() if number % 2 else copy.write_bytes(b"")
    feed = start_feed(server.url)
    eventually(lambda: sha256(mirror) == sha256(tmp_path / "fs1"))
    eventually(lambda: feed.identities() == known)


def test_copies_that_are_no_longer_files_are_named_and_fetched_again(feedback_server, start_feed, tmp_path, sha256, caplog):
    known = write_logs(tmp_path / "fs1", Form.JSONL)
    server, mirror = feedback_server(), tmp_path / "mirror" / "fs1"
    feed = start_feed(server.url)
    eventually(lambda: feed.status().counts.logs_mirrored == LOGS)
    feed.stop()
    pipe, link, *_ = sorted(mirror.iterdir())
    pipe.unlink()
    os.mkfifo(pipe)
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    feed = start_feed(server.url)
    eventually(lambda: pipe.is_file() and link.is_file() and not link.is_symlink())
    assert sha256(mirror) == sha256(tmp_path / "fs1")
    eventually(lambda: feed.identities() == known)
    assert feed.status().counts.damaged_frames == 2
    assert f"{pipe.name}: it is a pipe" in caplog.text
    assert f"{link.name}: it is no longer there" in caplog.text
