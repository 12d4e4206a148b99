"""The search for new logs: it finds every new and changed log, and its memory does not grow much with the known ones."""

import os
import tracemalloc

import pytest

from feedback_analysis.history import new_logs
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.log_file import LogFile, note
from feedback_analysis.history.new_logs import SettledFiles, search
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.reading import log_files
from feedback_analysis.reading.log_files import UnreadLog
from feedback_wire.log_name import Form, LogName
from tests.feedback_analysis.history.conftest import BASIS
from tests.harness.logs import BEGIN_MS, record, write_log

BEGIN_S = BEGIN_MS // 1000
KNOWN = 20_000


@pytest.fixture
def store(tmp_path):
    with HistoryStore(tmp_path / "history", BASIS) as opened:
        yield opened


def found(store, folder, settled):
    with store.searching() as cursor:
        return [file.path for file in search(cursor, [folder], settled).by_time()]


def test_a_log_that_is_replaced_is_found_by_the_next_search_and_one_that_is_changed_in_place_in_its_turn(
    store, tmp_path, locator, monkeypatch
):
    monkeypatch.setattr(new_logs, "LOOK_AGAIN", 10)
    logs = tmp_path / "logs"
    paths = [write_log(logs, [record(seq=seq)], begin_s=BEGIN_S + 60 * seq) for seq in range(100)]
    settled = SettledFiles()
    assert catch_up(store, [logs], locator, settled=settled).logs == len(paths)
    assert found(store, logs, settled) == [], "the search that settles them"
    write_log(tmp_path / "again", [record(seq=200)]).replace(paths[7])
    assert found(store, logs, settled) == [paths[7]]
    os.utime(paths[50], (1, 1))
    with os.scandir(logs) as entries:
        assert len(settled.unsettled(list(entries))) < len(paths) // 2, "no search looks at all files"
    assert [paths[7], paths[50]] in [found(store, logs, settled) for _ in range(12)]


def test_a_log_that_was_not_added_is_found_again(store, tmp_path, locator):
    path = write_log(tmp_path / "logs", [record()])
    settled = SettledFiles()
    assert found(store, path.parent, settled) == found(store, path.parent, settled) == [path]
    assert catch_up(store, [path.parent], locator, settled=settled).logs == 1
    assert found(store, path.parent, settled) == []
    path.unlink()
    assert found(store, path.parent, settled) == []
    write_log(tmp_path / "other", [record(seq=1)]).replace(path)
    assert found(store, path.parent, settled) == [path]


def test_logs_are_found_in_the_order_of_their_time_from_all_folders(store, tmp_path):
    paths = [write_log(tmp_path / f"fs{number % 3}", [record()], begin_s=BEGIN_S - 60 * number) for number in range(9)]
    named = paths[0].rename(tmp_path / "fs0" / "friday.jsonl.zst")
    write_log(tmp_path / "fs1", [record()], Form.JOURNAL)
    (tmp_path / "fs1" / "notes.txt").touch()
    assert found(store, tmp_path, SettledFiles()) == [*reversed(paths[1:])], (
        "a file without the name of a log is no log in a folder"
    )
    with store.searching() as cursor:
        assert [file.path for file in search(cursor, [*paths[1:], named], SettledFiles()).by_time()] == [
            *reversed(paths[1:]),
            named,
        ]


def test_a_file_whose_name_is_not_utf_8_is_named_as_unread_and_the_others_are_added(store, tmp_path, locator):
    odd = write_log(tmp_path, [record()]).rename(tmp_path / os.fsdecode(b"caf\xe9.jsonl.zst"))
    good = write_log(tmp_path / os.fsdecode(b"caf\xe9"), [record(seq=1)])
    taken = catch_up(store, [odd, good], locator)
    assert (taken.messages, taken.unreadable, taken.unread) == (1, 0, (UnreadLog(odd, "its name is not UTF-8; rename it"),))


def test_one_log_in_two_forms_is_found_once_in_the_form_that_is_faster_to_read(store, tmp_path):
    lines = write_log(tmp_path / "logs", [record()])
    parquet = write_log(tmp_path / "parquet", [record()], Form.PARQUET).replace(
        lines.with_name(lines.name.replace("jsonl.zst", "parquet"))
    )
    assert found(store, lines.parent, SettledFiles()) == [parquet]


def test_searching_many_known_logs_takes_a_few_bytes_for_each(store, tmp_path, monkeypatch):
    """Reading the table and all names took more than 1,500 bytes for each, which is 4 GB for five years of minutes."""
    monkeypatch.setattr(new_logs, "LOOK_AGAIN", 100)
    monkeypatch.setattr(new_logs, "_AT_ONCE", 500)
    monkeypatch.setattr(log_files, "_ENTRIES_AT_ONCE", 500)
    first = write_log(tmp_path, [record()])
    logs = tmp_path / "fs1"
    logs.mkdir()
    paths = [logs / str(LogName(BEGIN_S + 60 * number, "fs1", 0, Form.JSONL)) for number in range(KNOWN)]
    for path in paths:
        path.hardlink_to(first)
    with store.writing() as db:
        note(db, {LogFile.at(path): str(number) for number, path in enumerate(paths)}, {})
    settled = SettledFiles()
    assert found(store, logs, settled) == []
    tracemalloc.start()
    try:
        assert found(store, logs, settled) == []
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 60 * KNOWN
