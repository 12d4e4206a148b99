"""Recorded folders as they are: several forms, journals beside their sealed logs, other files between them."""

import shutil

import pytest

from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.column_table import SUMMARIZED
from feedback_analysis.messages.load import TooManyMessages, logs_for, open_logs
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.log_files import find_logs
from feedback_wire.log_name import Form, LogName
from tests.harness.logs import BEGIN_MS, lines_of, record, write_log

BEGIN_S = BEGIN_MS // 1000


@pytest.fixture
def opened(locator):
    tables = []

    def opened(*paths, **options):
        tables.append(open_logs(paths, locator=locator, mos=MosModel(), **options))
        return tables[-1]

    yield opened
    for table in tables:
        table.close()


def test_a_folder_of_every_form_is_one_table(tmp_path, opened):
    for at, form in enumerate(Form):
        write_log(tmp_path / "deep" / form, [record(session_id=form, seq=seq) for seq in range(3)], form, begin_s=BEGIN_S + at)
    (tmp_path / "deep" / "README.txt").write_text("no log")
    done = []
    summary = summarize(opened(tmp_path, progress=lambda read, whole: done.append((read, whole))))
    assert (summary["messages"], summary["sessions"], summary["duplicates"]) == (12, 4, 0)
    assert done[-1][0] == done[-1][1] > 0


def test_a_journal_next_to_its_sealed_log_is_skipped(tmp_path):
    journal = write_log(tmp_path, [record()], Form.JOURNAL)
    sealed = journal.with_name(journal.name.replace(".journal", ".csv.zst"))
    shutil.copy(write_log(tmp_path / "other", [record()], Form.CSV), sealed)
    assert find_logs([journal, sealed, tmp_path / "other"]).logs[0] == sealed
    assert len(find_logs([tmp_path]).logs) == 2


def test_a_path_given_twice_is_read_once(tmp_path, opened):
    path = write_log(tmp_path, [record()])
    assert summarize(opened(path, path, tmp_path))["duplicates"] == 0


def test_bare_json_lines_are_read_too(tmp_path, opened):
    path = tmp_path / "saved.jsonl"
    path.write_bytes(b"".join([*lines_of([record(seq=0), record(seq=1)]), b"no json\n", b"[1]\n"]))
    summary = summarize(opened(path))
    assert (summary["messages"], summary["unreadable"]) == (2, 2)


def test_only_files_that_can_hold_the_span_are_read(tmp_path):
    logs = [write_log(tmp_path, [record()], begin_s=BEGIN_S + 600 * at) for at in range(6)]
    span = Span((BEGIN_S + 1500) * 1000, (BEGIN_S + 1800) * 1000)
    assert logs_for(logs, span) == [logs[2]]
    assert logs_for(logs, Span((BEGIN_S + 1800 + 30) * 1000, (BEGIN_S + 2400) * 1000)) == logs[2:4]
    assert logs_for(logs, Span((BEGIN_S + 10**6) * 1000, (BEGIN_S + 10**7) * 1000)) == [logs[5]]
    assert logs_for(logs, None) == logs


@pytest.mark.parametrize("form", list(Form))
def test_a_flipped_byte_anywhere_is_damage_and_never_a_crash(form, tmp_path, opened):
    whole = write_log(tmp_path / "whole", [record(seq=seq, extra={"n": seq}) for seq in range(40)], form)
    data = whole.read_bytes()
    for at in range(0, len(data), max(1, len(data) // 12)):
        damaged = tmp_path / str(at) / whole.name
        damaged.parent.mkdir()
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        table = opened(damaged)
        assert table.damages or summarize(table)["messages"] == 40


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_torn_file_is_named(form, keep, tmp_path, opened):
    path = write_log(tmp_path, [record(seq=seq) for seq in range(40)], form)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    table = opened(path)
    # A journal is empty before its first batch.
    assert [damage.source for damage in table.damages] == ([] if form is Form.JOURNAL and not keep else [path])


def test_a_file_that_is_not_a_log_is_refused(tmp_path, opened):
    (tmp_path / "notes.txt").write_text("no log")
    with pytest.raises(ValueError, match="is not a log"):
        opened(tmp_path / "notes.txt")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        opened(tmp_path / "nowhere")


def test_a_span_of_a_large_mirror_parses_only_the_names_around_it(tmp_path, opened, monkeypatch):
    """A mirror may have millions of names; those of other days are skipped by their text order."""
    day_s = 86_400
    for day in range(60):
        begin_s = BEGIN_S + day * day_s
        sent = record(session_id=f"s{day // 2}", seq=day % 2, received_ms=begin_s * 1000 + 5_000)
        write_log(tmp_path / "fs1", [sent], begin_s=begin_s)
    (tmp_path / "20120101T000000Z-copies").mkdir()
    # A log of another server that has no end: it may contain the span, although it begins long before.
    long = [record(session_id="long", seq=day, received_ms=(BEGIN_S + day * day_s) * 1000) for day in range(60)]
    write_log(tmp_path / "20120101T000000Z-copies", long, begin_s=BEGIN_S)
    span = Span((BEGIN_S + 30 * day_s) * 1000, (BEGIN_S + 31 * day_s) * 1000)
    whole = summarize(opened(tmp_path, span=span), span=span)
    parsed = []
    parse = LogName.parse
    monkeypatch.setattr(LogName, "parse", lambda name: parsed.append(name) or parse(name))
    assert summarize(opened(tmp_path, span=span, look_around_ms=day_s * 1000), span=span) == whole
    assert whole["messages"] == 2
    assert 0 < len({name for name in parsed if name.endswith(f".{Form.JSONL}")}) <= 6


@pytest.mark.parametrize("columns", [None, SUMMARIZED])
def test_a_table_is_closed_if_reading_fails(columns, tmp_path, opened, monkeypatch):
    write_log(tmp_path, [record()])
    closed, close = [], FeedbackTable.close
    monkeypatch.setattr(FeedbackTable, "close", lambda table: closed.append(table) or close(table))

    def interrupt(read, whole):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, columns=columns, progress=interrupt)
    with pytest.raises(TooManyMessages):
        opened(tmp_path, columns=columns, most=0)
    assert len(closed) == 2


def test_the_progress_ends_at_100_percent_if_all_logs_are_compared(tmp_path, opened):
    """The clock of the server was set back, so the names of the logs do not show which of them has a copy."""
    first = record(session_id="s")
    for at, sent in enumerate((first, record(session_id="other", received_ms=BEGIN_MS + 600_000), first)):
        write_log(tmp_path, [sent], begin_s=BEGIN_S + 600 * at)
    done = []
    table = opened(tmp_path, columns=SUMMARIZED, progress=lambda read, whole: done.append((read, whole)))
    assert summarize(table)["duplicates"] == 1
    assert len(done) == 3  # the records, the log that can have the copy by its name, the other logs
    assert all(read <= whole for read, whole in done), done
    assert done[-1][0] == done[-1][1]
