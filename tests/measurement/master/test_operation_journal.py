"""The durable journal of finished operations, and its cursor."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from measurement.checked_json import checked
from measurement.master.operation_journal import OperationJournal

LINE_BYTES = len(checked(b"record 0") + b"\n")


def lines_of(journal, most=1000):
    return journal.read(most)[0]


def lines_of_folder(folder):
    journal = OperationJournal(folder)
    try:
        return lines_of(journal)
    finally:
        journal.close()


def move(journal, cursor):
    with ThreadPoolExecutor(1) as threads:
        asyncio.run(journal.move(cursor, threads))


def test_after_a_crash_all_records_are_kept_except_a_line_that_was_cut_off(tmp_path):
    journal = OperationJournal(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        for number in range(3):
            journal.append(b"record %d" % number)
        asyncio.run(journal.synced(threads))
    journal.close()
    with (tmp_path / "operations-0000000001.ndjson").open("ab") as file:
        file.write(b"cut o")
    journal = OperationJournal(tmp_path)
    assert lines_of(journal) == [b"record 0", b"record 1", b"record 2"]
    journal.append(b"record 3")
    assert lines_of(journal)[3:] == [b"record 3"]
    journal.close()


def test_a_forwarder_continues_at_its_cursor_and_whole_segments_before_it_are_removed(tmp_path):
    journal = OperationJournal(tmp_path, segment_bytes=2 * LINE_BYTES + 2)
    for number in range(10):
        journal.append(b"record %d" % number)
    lines, cursor = journal.read(7)
    assert lines[-1] == b"record 6"
    before = journal.waiting_bytes
    move(journal, cursor)
    assert journal.waiting_bytes == before - 7 * LINE_BYTES
    assert len(list(tmp_path.glob("*.ndjson"))) < 4
    journal.close()
    journal = OperationJournal(tmp_path, segment_bytes=2 * LINE_BYTES + 2)
    assert lines_of(journal) == [b"record 7", b"record 8", b"record 9"]
    move(journal, journal.read(1000)[1])
    assert journal.waiting_bytes == 0
    journal.close()
    assert lines_of_folder(tmp_path) == []


def test_only_one_process_at_a_time_opens_a_journal(tmp_path):
    journal = OperationJournal(tmp_path)
    with pytest.raises(BlockingIOError, match="in use by another master"):
        OperationJournal(tmp_path)
    journal.close()


def test_a_damaged_cursor_is_named(tmp_path):
    (tmp_path / "cursor.json").write_text("[]")
    with pytest.raises(ValueError, match=r"cursor\.json is damaged"):
        OperationJournal(tmp_path)


def test_the_journal_has_a_limit_beyond_which_the_oldest_records_are_dropped_and_counted(tmp_path):
    journal = OperationJournal(tmp_path, segment_bytes=2 * LINE_BYTES, most_bytes=10 * LINE_BYTES)
    for number in range(100):
        journal.append(b"record %02d" % number)
        assert sum(each.stat().st_size for each in tmp_path.glob("*.ndjson")) <= 10 * (LINE_BYTES + 1)
    _, behind = journal.read(1)
    kept = lines_of(journal)
    assert kept == [b"record %02d" % number for number in range(journal.dropped, 100)]
    assert len(kept) >= 6
    # What a forwarder had read before it was dropped is behind the cursor: nothing is sent twice.
    move(journal, behind)
    for number in range(100, 110):
        journal.append(b"record %d" % number)
    moved = journal.cursor
    move(journal, behind)
    assert journal.cursor == moved > behind
    journal.close()
    assert lines_of_folder(tmp_path) == [b"record %d" % number for number in range(journal.dropped + 1, 110)]


def test_a_forwarded_segment_that_the_next_start_reads_is_not_removed(tmp_path):
    journal = OperationJournal(tmp_path, segment_bytes=2 * LINE_BYTES + 2)
    for number in range(4):
        journal.append(b"record %d" % number)
    saved = journal.end
    journal.needed_from = saved.segment
    for number in range(4, 10):
        journal.append(b"record %d" % number)
    move(journal, journal.read(1000)[1])
    assert list(journal.lines_from(saved)) == [b"record %d" % number for number in range(4, 10)]
    journal.close()
