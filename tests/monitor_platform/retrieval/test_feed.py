"""The feed with real feedback servers: everything acknowledged is ingested once, over all stops and failures."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from feedback_wire import routes
from feedback_wire.log_name import Form
from monitor_platform.retrieval import log_fetcher
from tests.harness.logs import record, write_log
from tests.harness.ports import free_port
from tests.harness.waiting import eventually


def catalogue(server) -> list[dict]:
    with urllib.request.urlopen(server.url + routes.LOGS, timeout=60) as answer:
        return json.load(answer)["logs"]


def all_sealed(server, logs: int = 1) -> bool:
    listed = catalogue(server)
    return len(listed) >= logs and all(log["sealed"] for log in listed)


def has_all(feed, sender) -> bool:
    known = set(sender.acknowledged)
    return feed.status().counts.records_taken == len(known) and feed.identities() == Counter(known)


def mirrored(tmp_path: Path, name: str = "fs1") -> Path:
    return tmp_path / "mirror" / name


def test_records_of_the_open_journal_appear_within_a_poll(feedback_server, start_feed, sender):
    server = feedback_server(roll=3600)
    feed = start_feed(server.url)
    eventually(lambda: feed.status().counts.polls)
    for _ in range(3):
        sender.send(server.url)
        eventually(lambda: has_all(feed, sender), within_s=5)
    assert not all_sealed(server), "no record had to wait until a log was sealed"
    assert feed.status().counts.records_taken == 30
    assert feed.status().counts.duplicates_dropped == 0
    p50, p95, records = feed.feed.delay()
    assert records == 30
    assert 0 <= p50 <= p95 < 5000


def keep_sending(server, sender, until) -> None:
    """A trickle of records, as long as it takes."""

    def sent_enough() -> object:
        sender.send(server.url, 3)
        return until()

    eventually(sent_enough, every_s=0.1)


@pytest.mark.parametrize("form", ["jsonl", pytest.param("csv", marks=pytest.mark.soak), "parquet"])
def test_each_record_is_ingested_once_from_journal_or_sealed_log_and_the_mirror_is_identical(
    feedback_server, start_feed, sender, tmp_path, sha256, form
):
    server = feedback_server(form=form, roll=1)
    # Some polls per log: of most logs, some records come from the journal and the rest from the sealed log.
    feed = start_feed(server.url, poll_seconds=0.4)
    keep_sending(server, sender, until=lambda: len(catalogue(server)) >= 3)
    eventually(lambda: all_sealed(server, logs=3))
    eventually(lambda: sha256(mirrored(tmp_path)) == sha256(tmp_path / "fs1"))
    eventually(lambda: has_all(feed, sender))
    counts = feed.status().counts
    assert counts.records_taken == len(sender.acknowledged)
    assert counts.duplicates_dropped == 0, "skipping did it, not the table's dedupe"
    assert counts.refetches == counts.damaged_frames == counts.failures == 0
    eventually(lambda: not list(mirrored(tmp_path).glob(f"*.{Form.JOURNAL}")))


def test_records_written_twice_are_ingested_once_and_counted(feedback_server, start_feed, sender):
    server = feedback_server()
    feed = start_feed(server.url)
    sender.send(server.url, 10)
    sender.send(server.url, 10, again=True)
    eventually(lambda: feed.status().counts.duplicates_dropped == 10)
    assert feed.status().counts.records_taken == 10
    eventually(lambda: all_sealed(server))
    eventually(lambda: feed.status().counts.logs_mirrored)
    assert feed.status().counts.duplicates_dropped == 10, "not a second time when the log was sealed"


def test_a_restart_fetches_and_counts_nothing_twice(feedback_server, start_feed, sender):
    server = feedback_server(roll=3600)
    sender.send(server.url)
    first = start_feed(server.url)
    eventually(lambda: has_all(first, sender))
    first.stop()
    sender.send(server.url)
    second = start_feed(server.url)
    eventually(lambda: has_all(second, sender))
    [journal] = catalogue(server)
    fetched = [feed.status().counts.bytes_fetched for feed in (first, second)]
    assert sum(fetched) == journal["bytes"] == served_bytes(server)
    assert second.status().counts.duplicates_dropped == 0


def test_a_restart_with_everything_mirrored_fetches_nothing(feedback_server, start_feed, sender):
    server = feedback_server(roll=1)
    sender.send(server.url)
    eventually(lambda: all_sealed(server))
    first = start_feed(server.url)
    eventually(lambda: has_all(first, sender))
    first.stop()
    served = served_bytes(server)
    second = start_feed(server.url)
    eventually(lambda: second.status().counts.polls >= 2)
    assert has_all(second, sender)
    assert second.status().counts.bytes_fetched == 0
    assert served_bytes(server) == served


def test_a_log_that_was_sealed_while_the_platform_was_down_gives_only_its_new_records(
    feedback_server, start_feed, sender, tmp_path, sha256
):
    server = feedback_server(roll=2)
    sender.send(server.url)
    first = start_feed(server.url)
    eventually(lambda: has_all(first, sender))
    first.stop()
    sender.send(server.url)
    eventually(lambda: all_sealed(server))
    second = start_feed(server.url)
    eventually(lambda: has_all(second, sender))
    eventually(lambda: sha256(mirrored(tmp_path)) == sha256(tmp_path / "fs1"))
    assert second.status().counts.duplicates_dropped == 0


def test_a_killed_and_restarted_feedback_server_loses_nothing(feedback_server, start_feed, sender, tmp_path, sha256):
    server = feedback_server(listen=f"127.0.0.1:{free_port()}")
    feed = start_feed(server.url)
    sender.send(server.url)
    eventually(lambda: has_all(feed, sender))
    sender.send(server.url)
    server.kill()
    eventually(lambda: feed.status().servers[0].failures and feed.status().servers[0].error)
    server = feedback_server(listen=server.url.removeprefix("http://"))
    sender.send(server.url)
    eventually(lambda: has_all(feed, sender))
    eventually(lambda: not feed.status().servers[0].failures)
    assert feed.status().servers[0].error is None
    eventually(lambda: all_sealed(server, logs=2))
    eventually(lambda: sha256(mirrored(tmp_path)) == sha256(tmp_path / "fs1"))
    assert feed.status().counts.records_taken == 30
    assert feed.status().counts.duplicates_dropped == 0


@pytest.mark.parametrize("roll", [3600, 1], ids=["journal", "sealed"])
def test_a_fetch_longer_than_a_round_is_continued_by_the_next(feedback_server, start_feed, sender, monkeypatch, roll):
    monkeypatch.setattr(log_fetcher, "PIECE_BYTES", 100)
    server = feedback_server(roll=roll)
    sender.send(server.url, 50)
    sender.send(server.url, 500)
    eventually(lambda: roll > 1 or all_sealed(server))
    feed = start_feed(server.url, poll_seconds=0.002)
    eventually(lambda: feed.status().counts.records_taken == 550)
    counts = feed.status().counts
    assert counts.polls > 4, "it did take several rounds"
    assert counts.bytes_fetched == served_bytes(server) == sum(log["bytes"] for log in catalogue(server))
    assert (counts.duplicates_dropped, counts.damaged_frames) == (0, 0)


ON_ITS_OWN = """
import asyncio, sys
from pathlib import Path
from feedback_analysis.geo.locator import Locator
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.kind_tables import FeedbackRecords
from monitor_platform.retrieval.mirror import Mirror
table = FeedbackTable(Locator(), MosModel())
mirror = Mirror(Path(sys.argv[2]))
with mirror.owned():
    asyncio.run(Feed([sys.argv[1]], "", mirror, FeedbackRecords(table), poll_seconds=0.01).run())
"""


def test_a_platform_that_is_killed_repeatedly_ends_with_the_same_numbers(feedback_server, start_feed, sender, tmp_path, sha256):
    server = feedback_server(roll=1)
    for _ in range(2):
        before = served_bytes(server)
        killed = subprocess.Popen([sys.executable, "-c", ON_ITS_OWN, server.url, str(tmp_path / "mirror")])
        try:
            keep_sending(server, sender, until=lambda before=before: served_bytes(server) > before)
        finally:
            killed.kill()
        assert killed.wait() == -signal.SIGKILL
    feed = start_feed(server.url)
    eventually(lambda: has_all(feed, sender))
    eventually(lambda: all_sealed(server))
    eventually(lambda: sha256(mirrored(tmp_path)) == sha256(tmp_path / "fs1"))
    assert feed.status().counts.records_taken == len(sender.acknowledged)
    assert feed.status().counts.duplicates_dropped == 0


def test_a_dead_server_delays_no_other_and_is_reported(feedback_server, start_feed, sender):
    server = feedback_server(roll=3600)
    dead = f"http://127.0.0.1:{free_port()}"
    feed = start_feed(dead, server.url)
    sender.send(server.url)
    eventually(lambda: has_all(feed, sender), within_s=5)
    eventually(lambda: feed.status().servers[0].failures)
    absent, present = feed.status().servers
    assert (absent.url, absent.name, absent.last_success_ms) == (dead, None, None)
    assert absent.error.startswith("no connection to 127.0.0.1:")
    assert (present.name, present.failures, present.error, present.behind_bytes) == ("fs1", 0, None, 0)
    assert present.last_success_ms


def test_a_second_server_with_the_same_name_is_refused(feedback_server, start_feed, sender, tmp_path):
    first = feedback_server("fs1")
    impostor = feedback_server("fs1", data=tmp_path / "other")
    feed = start_feed(first.url, impostor.url)
    eventually(lambda: any(server.error for server in feed.status().servers))
    [error] = [server.error for server in feed.status().servers if server.error]
    assert "both have the name fs1" in error


@pytest.mark.parametrize("form", [pytest.param("csv", marks=pytest.mark.soak), "parquet"])
def test_a_damaged_copy_is_fetched_again(feedback_server, start_feed, sender, tmp_path, sha256, form):
    server = feedback_server(form=form, roll=1)
    sender.send(server.url)
    eventually(lambda: all_sealed(server))
    first = start_feed(server.url)
    eventually(lambda: first.status().counts.logs_mirrored)
    first.stop()
    copy = next(mirrored(tmp_path).iterdir())
    damage_middle(copy, at=end_of_a_page(copy) if form == "parquet" else None)
    assert sha256(mirrored(tmp_path)) != sha256(tmp_path / "fs1")
    second = start_feed(server.url)
    eventually(lambda: has_all(second, sender))
    eventually(lambda: sha256(mirrored(tmp_path)) == sha256(tmp_path / "fs1"))
    assert second.status().counts.damaged_frames >= 1
    assert second.status().counts.refetches == 1


def test_a_torn_journal_is_continued_and_a_damaged_one_restarted(feedback_server, start_feed, sender, tmp_path):
    server = feedback_server(roll=3600)
    sender.send(server.url)
    sender.send(server.url)
    first = start_feed(server.url)
    eventually(lambda: has_all(first, sender))
    first.stop()
    [journal] = mirrored(tmp_path).iterdir()
    whole = journal.read_bytes()

    journal.write_bytes(whole[:-100])
    torn = start_feed(server.url)
    eventually(lambda: has_all(torn, sender))
    torn.stop()
    assert journal.read_bytes() == whole
    assert torn.status().counts.bytes_fetched == 100
    assert torn.status().counts.damaged_frames == torn.status().counts.refetches == 0

    damage_middle(journal, at=200)
    damaged = start_feed(server.url)
    eventually(lambda: has_all(damaged, sender))
    damaged.stop()
    assert journal.read_bytes() == whole
    assert damaged.status().counts.damaged_frames == damaged.status().counts.refetches == 1


def test_a_log_that_is_damaged_on_its_server_gives_its_whole_frames_and_is_fetched_again_once(
    feedback_server, start_feed, sender, tmp_path
):
    server = feedback_server(roll=1)
    for _ in range(3):
        sender.send(server.url, 3000)  # a frame of a sealed log holds about 4096 records
    eventually(lambda: all_sealed(server))
    damage_middle(max((tmp_path / "fs1").glob(f"*.{Form.JSONL}"), key=lambda log: log.stat().st_size))
    feed = start_feed(server.url)
    eventually(lambda: feed.status().counts.logs_mirrored == len(catalogue(server)))
    counts = feed.status().counts
    assert (counts.damaged_frames, counts.refetches) == (1, 1)
    assert 0 < counts.records_taken < 9000
    assert counts.records_taken + counts.unreadable_records == 9000
    polls = counts.polls
    eventually(lambda: feed.status().counts.polls > polls + 1)
    assert feed.status().counts.refetches == 1
    assert feed.status().servers[0].failures == 0


def test_a_log_that_its_server_cannot_read_does_not_delay_the_others(feedback_server, start_feed, sender, tmp_path):
    server = feedback_server(roll=1)
    for logs in (1, 2, 3):
        sender.send(server.url)
        eventually(lambda logs=logs: all_sealed(server, logs))
    [_, _, newest] = sorted((tmp_path / "fs1").glob(f"*.{Form.JSONL}"))
    os.truncate(newest, 100)
    feed = start_feed(server.url)
    eventually(lambda: feed.status().counts.records_taken == 20)
    eventually(lambda: feed.status().servers[0].failures)
    assert "broke off" in feed.status().servers[0].error
    assert feed.status().servers[0].behind_bytes > 100
    assert len(list(mirrored(tmp_path).glob(f"*.{Form.JSONL}"))) == 2


def test_a_log_that_leaves_its_server_before_it_is_fetched_is_counted_and_named(
    feedback_server, start_feed, sender, tmp_path, caplog
):
    """Its messages were missing, and nothing showed why."""
    listen = f"127.0.0.1:{free_port()}"
    server = feedback_server(roll=1, listen=listen)
    for logs in (1, 2):
        sender.send(server.url)
        eventually(lambda logs=logs: all_sealed(server, logs))
    [oldest, _] = sorted((tmp_path / "fs1").glob(f"*.{Form.JSONL}"))
    os.truncate(oldest, 100)  # it cannot be fetched
    feed = start_feed(server.url)
    eventually(lambda: feed.status().counts.records_taken == 10 and feed.status().servers[0].failures)
    assert feed.status().counts.logs_removed == 0
    assert server.stop() == 0
    oldest.unlink()
    feedback_server(roll=1, listen=listen)
    eventually(lambda: feed.status().counts.logs_removed == 1)
    assert f"fetched completely: 1 logs, the first is {oldest.name.partition('.')[0]}" in caplog.text
    eventually(lambda: feed.status().servers[0].failures == 0)
    assert feed.status().counts.logs_removed == 1
    feed.stop()


def test_logs_that_leave_the_window_stay_in_the_mirror(feedback_server, start_feed, sender, tmp_path):
    server = feedback_server(roll=1)
    sender.send(server.url)
    eventually(lambda: all_sealed(server))
    sender.send(server.url)
    eventually(lambda: all_sealed(server, logs=2))
    feed = start_feed(server.url, keep_minutes=0.001)
    eventually(lambda: feed.status().counts.logs_mirrored == 2)
    assert feed.status().counts.records_taken == 10, "nothing of the older log was ingested"
    assert len(list(mirrored(tmp_path).iterdir())) == 2
    feed.stop()
    again = start_feed(server.url, keep_minutes=0.001)
    eventually(lambda: again.status().counts.polls)
    eventually(lambda: not again.identities())
    assert len(list(mirrored(tmp_path).iterdir())) == 2


def served_bytes(server) -> int:
    """Bytes of logs that the server has counted as sent."""
    with urllib.request.urlopen(server.url + routes.METRICS, timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    [line] = [line for line in lines if line.startswith("swarmscope_feedback_server_downloaded_bytes_total ")]
    return int(float(line.split()[1]))


def end_of_a_page(parquet: Path) -> int:
    """The last byte of a column: within a page, which has a checksum; the metadata have none."""
    column = pq.read_metadata(parquet).row_group(0).column(0)
    return (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 1


def damage_middle(path: Path, at: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[at or len(data) // 2] ^= 0x55
    path.write_bytes(data)


def test_a_restart_recognises_copies_of_messages_in_logs_that_are_no_longer_shown(feedback_server, start_feed, sender, tmp_path):
    server = feedback_server(roll=3600)
    sender.send(server.url)
    earlier_ms = (int(time.time()) - 2 * 3600) * 1000
    first = [record(session_id=session, seq=seq, received_ms=earlier_ms) for session, seq in sender.acknowledged]
    write_log(tmp_path / "mirror" / "fs1", first, begin_s=earlier_ms // 1000)
    write_log(tmp_path / "mirror" / "fs1", [record(session_id="other")], begin_s=earlier_ms // 1000 + 3600)  # where that log ends
    feed = start_feed(server.url, keep_minutes=1)
    eventually(lambda: feed.status().counts.duplicates_dropped == len(first))
    assert feed.status().counts.records_taken == 1, "the one of the log that ends with the window"
