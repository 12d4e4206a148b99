"""Folders that change while they are read: a journal is sealed, or a log is removed, between the listing and the opening."""

import os
import tempfile
from contextlib import closing

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history import add_logs as adding
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages import load as opening
from feedback_analysis.messages.column_table import columns_for
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading import parquet
from feedback_analysis.reading.log_files import Found, UnreadLog, find_logs
from feedback_analysis.reading.verified_log import open_if_readable
from feedback_analysis.record_table import RecordTable
from feedback_server.forms import log_writer
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, lines_of, record, write_log
from tests.harness.measurements import measurement_record, write_measurements
from tests.harness.unreadable_logs import make_unreadable_logs

BEGIN_S = BEGIN_MS // 1000
RECORDS = [record(seq=seq) for seq in range(6)]


@pytest.fixture(scope="module")
def locator():
    with Locator() as opened:
        yield opened


def seal(journal, form=Form.JSONL):
    """As a feedback server does: the sealed log gets its name, then the journal is removed."""
    sealed = journal.with_suffix(f".{form}")
    with sealed.open("wb") as file:
        writer = log_writer(form, file)
        writer.add(b"".join(lines_of(RECORDS)), len(RECORDS))
        writer.finish()
    journal.unlink()
    return sealed


def after_listing(monkeypatch, module, act):
    """Call `act` once, between the listing of the logs and what `module` does next."""
    pending = [act]

    def listed(paths, begins=None):
        found = find_logs(paths)
        while pending:
            pending.pop()()
        return found

    monkeypatch.setattr(module, "find_logs", listed)
    return pending


@pytest.mark.parametrize("columns", [None, columns_for(())], ids=["whole table", "gathering"])
@pytest.mark.parametrize("form", [Form.JSONL, Form.CSV, Form.PARQUET])
def test_a_journal_that_is_sealed_after_the_listing_is_read_as_its_sealed_log(tmp_path, monkeypatch, locator, form, columns):
    journal = write_log(tmp_path, RECORDS, Form.JOURNAL)
    pending = after_listing(monkeypatch, opening, lambda: seal(journal, form))
    with closing(opening.open_logs([tmp_path], locator=locator, mos=MosModel(), columns=columns)) as table:
        summary = summarize(table)
        assert table.unread == ()
    assert not pending
    assert not journal.exists()
    assert (summary["messages"], summary["duplicates"], summary["unreadable"]) == (6, 0, 0)


def test_a_log_that_is_removed_after_the_listing_is_named_and_counted_and_the_rest_is_read(tmp_path, monkeypatch, locator):
    old = write_log(tmp_path, RECORDS, begin_s=BEGIN_S - 60)
    write_log(tmp_path, [record(seq=9)])
    after_listing(monkeypatch, opening, old.unlink)
    with closing(opening.open_logs([tmp_path], locator=locator, mos=MosModel())) as table:
        assert table.unread == (UnreadLog(old, "it is no longer there"),)
        assert summarize(table)["messages"] == 1


def removing(monkeypatch, module, path):
    """Remove `path` after it was verified, and before DuckDB opens it."""

    def alike(logs):
        logs = list(logs)
        if any(log.source == path for log in logs):
            path.unlink(missing_ok=True)
        return verified_alike(logs)

    verified_alike = module.alike
    monkeypatch.setattr(module, "alike", alike)


SEALED = [form for form in Form if form is not Form.JOURNAL]


@pytest.mark.parametrize("columns", [None, columns_for(())], ids=["whole table", "gathering"])
@pytest.mark.parametrize("form", SEALED)
def test_a_log_that_is_removed_after_it_was_verified_is_no_damage_and_the_rest_is_read(
    tmp_path, monkeypatch, locator, form, columns
):
    old = write_log(tmp_path, RECORDS, form, begin_s=BEGIN_S - 60)
    write_log(tmp_path, [record(seq=9)], form)
    removing(monkeypatch, opening, old)
    with closing(opening.open_logs([tmp_path], locator=locator, mos=MosModel(), columns=columns)) as table:
        assert not old.exists()
        assert (table.unread, table.damages) == ((UnreadLog(old, "it is no longer there"),), ())
        summary = summarize(table)
        assert (summary["messages"], summary["unreadable"]) == (1, 0)


def test_a_history_does_not_take_a_removed_log_for_one_that_it_has_read(tmp_path, monkeypatch, locator):
    old = write_log(tmp_path / "logs", RECORDS, begin_s=BEGIN_S - 60)
    write_log(tmp_path / "logs", [record(seq=9)])
    content = old.read_bytes()
    with HistoryStore(tmp_path / "history", Basis(mos=MosModel(), period_s=30.0)) as store:
        with monkeypatch.context() as patched:
            removing(patched, adding, old)
            taken = catch_up(store, [tmp_path / "logs"], locator)
        assert (taken.messages, taken.logs, taken.unreadable) == (1, 1, 0)
        assert taken.unread == (UnreadLog(old, "it is no longer there"),)
        copy = tmp_path / "mirror" / old.name
        copy.parent.mkdir()
        copy.write_bytes(content)
        assert catch_up(store, [tmp_path / "mirror"], locator).messages == len(RECORDS)


def test_a_log_of_another_kind_that_is_removed_after_it_was_verified_is_no_damage(tmp_path):
    path = write_measurements(tmp_path, [measurement_record()])
    table = RecordTable(RecordKind.MEASUREMENT)
    with closing(table), open_if_readable(path) as log:
        path.unlink()
        added = table.add([log])
    assert (added.unread, added.damages, added.unreadable) == ((UnreadLog(path, "it is no longer there"),), (), 0)


def test_a_parquet_log_that_is_removed_while_it_is_verified_is_no_damage(tmp_path, monkeypatch):
    path = write_log(tmp_path, RECORDS, Form.PARQUET)

    def damaged_groups(file):
        path.unlink()
        return verified_groups(file)

    verified_groups = parquet.damaged_groups
    monkeypatch.setattr(parquet, "damaged_groups", damaged_groups)
    with open_if_readable(path) as found:
        assert found == UnreadLog(path, "it is no longer there")


def test_a_path_whose_journal_was_sealed_before_the_command_began_is_read(tmp_path):
    journal = write_log(tmp_path, RECORDS, Form.JOURNAL)
    sealed = seal(journal)
    assert find_logs([journal]).logs == find_logs([journal, sealed]).logs == (sealed,)
    sealed.unlink()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_logs([journal])


def test_a_listing_that_misses_both_names_of_a_log_is_repeated(tmp_path, monkeypatch):
    journal = write_log(tmp_path, RECORDS, Form.JOURNAL)
    missed = []
    scandir = os.scandir

    class _Listing(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def too_late(folder):
        """The listing has passed the place of the new name when it is made, and the old name is removed when the listing arrives
        there.
        """
        with scandir(folder) as entries:
            each = _Listing(entry for entry in entries if missed or entry.name != journal.name)
        if not missed:
            missed.append(seal(journal))
        return each

    monkeypatch.setattr(os, "scandir", too_late)
    assert find_logs([tmp_path]).logs == tuple(missed)


def test_the_history_ingests_the_rest_when_a_log_is_removed_or_unreadable(tmp_path, locator):
    logs = tmp_path / "logs"
    old = write_log(logs, RECORDS, begin_s=BEGIN_S - 60)
    write_log(logs, [record(seq=9)])
    pending = [old.unlink]
    with HistoryStore(tmp_path / "history", Basis(mos=MosModel(), period_s=30.0)) as store:
        taken = catch_up(store, [logs], locator, progress=lambda done, _of: done or pending.pop()())
        assert (taken.messages, taken.logs, taken.unread) == (1, 1, (UnreadLog(old, "it is no longer there"),))
        os.mkfifo(old)
        taken = catch_up(store, [logs], locator)
        assert (taken.messages, [each.path for each in taken.unread]) == (0, [old])
        old.unlink()
        write_log(tmp_path / "again", RECORDS).rename(old)
        assert catch_up(store, [logs], locator).messages == 6, "a log that was not read is tried again"


def test_unreadable_files_with_the_name_of_a_log_are_named_in_a_folder_and_as_a_path(tmp_path):
    good = write_log(tmp_path, RECORDS)
    reasons = make_unreadable_logs(tmp_path)
    found = find_logs([tmp_path])
    assert found.logs == (good,)
    assert {each.path: each.reason for each in found.unread} == reasons
    for path in [path for path in reasons if not path.is_symlink() and not path.is_dir()]:
        assert find_logs([path]).unread == (UnreadLog(path, reasons[path]),)
        with open_if_readable(path) as opened:
            assert opened == UnreadLog(path, reasons[path])


@pytest.mark.parametrize("form", Form)
def test_a_folder_whose_name_is_not_utf_8_is_read(tmp_path, locator, form):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    path = write_log(folder, RECORDS, form)
    (folder / "all.jsonl").write_bytes(b"".join(lines_of(RECORDS)))
    for paths in ([folder], [path], [folder / "all.jsonl"]):
        with closing(opening.open_logs(paths, locator=locator, mos=MosModel())) as table:
            summary = summarize(table)
            assert (table.damages, table.unread, summary["messages"], summary["unreadable"]) == ((), (), 6, 0)


def test_a_log_is_named_as_unread_if_no_path_to_it_is_utf_8(tmp_path, locator, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    path = write_log(folder, RECORDS)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with open_if_readable(path) as found:
        assert found == UnreadLog(path, "its path is not UTF-8, and neither is that of temporary files (TMPDIR)")


def test_hidden_folders_are_not_searched(tmp_path, locator):
    """A running platform has temporary files in one, in its mirror. They vanish at any time, which is no loss."""
    good = write_log(tmp_path / "fs1", RECORDS)
    write_log(tmp_path / ".scratch", [record(seq=9)])
    assert find_logs([tmp_path]) == Found((good,), ())
    with HistoryStore(tmp_path / "history", Basis(mos=MosModel())) as store:
        assert catch_up(store, [tmp_path], locator).messages == len(RECORDS)


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.JOURNAL])
def test_an_empty_file_is_a_damage_of_its_own(tmp_path, locator, form):
    write_log(tmp_path, RECORDS)
    empty = tmp_path / f"20120807T000000Z-fs2-0000.{form}"
    empty.touch()
    with closing(opening.open_logs([tmp_path], locator=locator, mos=MosModel())) as table:
        assert [damage.source for damage in table.damages] == [empty]
        assert summarize(table)["messages"] == 6
