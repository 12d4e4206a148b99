"""Catalogues in pages, logs of other names, and a failing local disk: nothing hides the rest, and the right party is blamed."""

import errno
import os
import time
import tracemalloc

import pytest

from feedback_analysis.reading.log_files import Begins, find_logs
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval import feedback_server_client as client
from monitor_platform.retrieval.feed import Feed
from monitor_platform.retrieval.feedback_server_client import FeedbackServerClient
from monitor_platform.retrieval.mirror import Mirror
from tests.feedback_server.test_log_retention import write_logs
from tests.harness.logs import record, write_log
from tests.harness.waiting import eventually
from tests.monitor_platform.retrieval.conftest import lines_of

DAY_S = 86_400


def old_lines(session: str) -> bytes:
    return lines_of([(session, 0)], 1_344_331_800_000)


@pytest.fixture
def asked(monkeypatch) -> list[str | None]:
    """The log after which each page was requested."""
    found: list[str | None] = []
    ask = FeedbackServerClient.catalogue

    async def catalogue(self, *, after, **rest):
        found.append(None if after is None else str(after))
        return await ask(self, after=after, **rest)

    monkeypatch.setattr(FeedbackServerClient, "catalogue", catalogue)
    return found


def names(folder) -> set[str]:
    return {path.name for path in folder.glob("2*") if not path.name.endswith((".part", ".journal"))}


def test_recent_records_are_fetched_first_old_logs_page_by_page_and_a_restart_continues_after_the_mirror(
    feedback_server, start_feed, sender, tmp_path, monkeypatch, asked
):
    monkeypatch.setattr(client, "PAGE_LOGS", 7)
    now_s = int(time.time())
    write_logs(tmp_path / "fs1", range(now_s - 40 * DAY_S, now_s - 3 * DAY_S, DAY_S), old_lines("old"))
    server = feedback_server()
    sender.send(server.url)
    feed = start_feed(server.url, keep_minutes=60)
    eventually(lambda: feed.identities() == sender.acknowledged)
    first = LogName.parse(f"{asked[0]}")
    assert now_s - 2 * DAY_S < first.begins_s < now_s - DAY_S, "recent logs were requested first"
    eventually(lambda: names(tmp_path / "mirror" / "fs1") >= names(tmp_path / "fs1"))
    assert None in asked
    feed.stop()

    lost = tmp_path / "mirror" / "fs1" / sorted(names(tmp_path / "mirror" / "fs1"))[3]
    lost.unlink()
    write_logs(tmp_path / "fs1", [now_s - 3 * DAY_S + 60], old_lines("later"))
    server.stop()
    server = feedback_server(listen=server.url.removeprefix("http://"))
    asked.clear()
    feed = start_feed(server.url, keep_minutes=60)
    eventually(lambda: names(tmp_path / "mirror" / "fs1") >= names(tmp_path / "fs1"))
    assert lost.exists(), "what the mirror has lost is fetched again"
    assert feed.status().counts.logs_mirrored <= 4
    feed.stop()


def test_settled_logs_are_not_kept_in_memory(feedback_server, start_feed, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "PAGE_LOGS", 10)
    now_s = int(time.time())
    write_logs(tmp_path / "fs1", range(now_s - 60 * DAY_S, now_s - 3 * DAY_S, DAY_S // 2), old_lines("old"))
    server = feedback_server()
    held: list[dict] = []
    share = Feed._shared

    def shared(self, worker):
        made = share(self, worker)
        held[:] = [made.held]
        return made

    monkeypatch.setattr(Feed, "_shared", shared)
    feed = start_feed(server.url, keep_minutes=60)
    eventually(lambda: names(tmp_path / "mirror" / "fs1") >= names(tmp_path / "fs1"))
    eventually(lambda: len(held[0]) < 5)
    feed.stop()


@pytest.mark.parametrize("mirrored", [False, True], ids=["fetched", "read back"])
def test_a_copy_of_a_message_that_was_received_before_the_time_in_memory_is_no_message(
    feedback_server, start_feed, tmp_path, mirrored
):
    """The copy is loaded first: the newest logs are fetched first, and a mirror is read back server by server."""
    now_s = int(time.time())
    had, later = tmp_path / ("mirror" if mirrored else ""), now_s - 30
    for folder, server, at_s, sessions in (
        (had, "fs1", now_s - 60, ("copied", "new")),
        (had, "fs2", now_s - 7200, ("copied",)),
        (had, "fs2", now_s - 7100, ("old",)),  # the log before ends here
        (tmp_path, "fs1", later, ("later",)),
        (tmp_path, "fs2", later, ("later",)),
    ):
        sent = [record(session_id=session, received_ms=at_s * 1000) for session in sessions]
        path = write_log(folder / server, sent, begin_s=at_s)
        path.rename(path.with_name(path.name.replace("Z-fs1-", f"Z-{server}-")))
    feed = start_feed(*(feedback_server(name).url for name in ("fs1", "fs2")), keep_minutes=60)
    eventually(lambda: len(names(tmp_path / "mirror" / "fs2")) == 3 and not feed.status().reading_back)
    eventually(lambda: feed.identities().keys() >= {("new", 0), ("later", 0)})
    feed.table.drop_before((now_s - 3600) * 1000)
    assert feed.identities() == {("new", 0): 1, ("later", 0): 1}
    feed.stop()


def test_a_renamed_server_is_followed_and_its_former_logs_are_not_fetched_again(feedback_server, start_feed, sender, tmp_path):
    server = feedback_server("fs1", roll=1)
    sender.send(server.url)
    feed = start_feed(server.url)
    eventually(lambda: names(tmp_path / "mirror" / "fs1"))
    server.stop()
    feed.stop()
    mirrored = names(tmp_path / "mirror" / "fs1")
    server = feedback_server("fs2", roll=1, data=tmp_path / "fs1")
    assert "have another server name than fs2" in server.log_text()
    sender.send(server.url)
    feed = start_feed(server.url)
    eventually(lambda: feed.identities() == sender.acknowledged)
    eventually(lambda: names(tmp_path / "mirror" / "fs2"))
    assert names(tmp_path / "mirror" / "fs1") == mirrored
    assert feed.status().counts.logs_skipped == 0
    feed.stop()


def test_logs_of_another_followed_server_are_named_counted_and_skipped(feedback_server, start_feed, sender, tmp_path):
    one = feedback_server("fs1", roll=1)
    sender.send(one.url)
    eventually(lambda: names(tmp_path / "fs1"))
    copied = min((tmp_path / "fs1").glob("2*zst"))
    (tmp_path / "fs2").mkdir()
    (tmp_path / "fs2" / copied.name).write_bytes(copied.read_bytes())
    two = feedback_server("fs2", roll=1)
    sender.send(two.url)
    feed = start_feed(two.url, one.url)
    eventually(lambda: feed.identities() == sender.acknowledged)
    [status] = [server for server in feed.status().servers if server.name == "fs2"]
    assert status.skipped == "1 logs are not fetched: 1 carry the name of fs1, which is followed at its own address"
    assert status.error is None
    assert feed.status().counts.logs_skipped == 1
    feed.stop()


def test_an_unwritable_mirror_is_blamed_itself_and_works_again_when_it_is_writable(
    feedback_server, start_feed, sender, monkeypatch
):
    server = feedback_server()
    write, full = Mirror.write, [True]

    def fail(self, path, at, data):
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(self, path, at, data)

    monkeypatch.setattr(Mirror, "write", fail)
    feed = start_feed(server.url)
    sender.send(server.url)
    error = str(eventually(lambda: feed.status().mirror_error))
    assert "the mirror of this platform cannot be used" in error
    assert "/mirror/fs1/" in error
    assert "No space left on device" in error
    [status] = feed.status().servers
    assert (status.failures, status.error) == (0, None), "the server is not to blame"
    full[0] = False
    eventually(lambda: feed.identities() == sender.acknowledged)
    eventually(lambda: feed.status().mirror_error is None)
    feed.stop()


def test_in_a_mirror_with_many_logs_all_names_and_few_files_are_read(tmp_path):
    now_s = int(time.time()) // 60 * 60
    (tmp_path / "fs1").mkdir()
    for begins_s in range(now_s - 10 * DAY_S, now_s, 3600):
        (tmp_path / "fs1" / str(LogName(begins_s, "fs1", 0, Form.JSONL))).touch()
    replaced = LogName(now_s - 3600, "fs1", 0, Form.JOURNAL)
    old_replaced = LogName(now_s - 9 * DAY_S, "fs1", 0, Form.JOURNAL)
    left = LogName(now_s - 5 * DAY_S + 7, "fs1", 0, Form.JOURNAL)
    for journal in (left, replaced, old_replaced):
        (tmp_path / "fs1" / str(journal)).touch()
    wanted, newest = Mirror(tmp_path).overview("fs1", now_s * 1000 - 3_600_000)
    assert newest == LogName(now_s - 3600, "fs1", 0, Form.JSONL)
    assert left in wanted
    assert len(wanted) <= 1 + 26
    assert [path.name for path in (tmp_path / "fs1").glob("*.journal")] == [str(left)]


def test_the_names_of_old_logs_are_not_kept_in_memory(tmp_path):
    """All names together took 250 MB for five years of minutes at a start, and 1 GB for each look at an older time."""
    first, *paths = (tmp_path / "fs1" / str(LogName(60 * number, "fs1", 0, Form.JSONL)) for number in range(20_000))
    first.parent.mkdir()
    first.touch()
    for path in paths:
        path.hardlink_to(first)
    hour_ms = 60 * 10_000_000
    tracemalloc.start()
    try:
        assert len(find_logs([tmp_path], Begins.between(hour_ms, hour_ms + 3_600_000)).logs) == 62
        _, newest = Mirror(tmp_path).overview("fs1", 60_000 * len(paths))
        assert newest is not None
        assert newest.begins_s == 60 * len(paths)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * len(paths)
