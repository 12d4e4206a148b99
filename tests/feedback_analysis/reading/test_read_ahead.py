"""Verifying logs ahead does not change which logs come, their order, or the errors, and leaves nothing behind."""

import tempfile
from pathlib import Path

import pytest

from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.read_ahead import verified_ahead
from feedback_wire.log_name import Form
from tests.harness.logs import record, write_log


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder for the salvaged parts of damaged logs."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def damaged(folder: Path, at: int) -> Path:
    """A log of `at` whole records whose footer was cut off."""
    path = write_log(folder, [record(seq=seq) for seq in range(at)])
    path.write_bytes(path.read_bytes()[:-1])
    return path


def test_batches_come_in_order_each_log_with_its_own_records(tmp_path):
    forms = list(Form)
    paths = [write_log(tmp_path, [record(seq=seq) for seq in range(at + 1)], forms[at % len(forms)]) for at in range(20)]
    with verified_ahead([paths[:1], paths[1:13], paths[13:]]) as batches:
        found = [[(log.source, log.records) for log in batch] for batch in batches]
    each = [(path, at + 1) for at, path in enumerate(paths)]
    assert found == [each[:1], each[1:13], each[13:]]


def test_without_logs_there_is_no_batch():
    with verified_ahead([]) as batches:
        assert list(batches) == []


def test_salvaged_parts_stay_while_their_batch_is_read_and_at_most_one_batch_is_prepared(tmp_path, scratch):
    paths = [damaged(tmp_path / "logs", at) for at in range(1, 9)]
    with verified_ahead([paths[at : at + 2] for at in range(0, 8, 2)]) as batches:
        for logs in batches:
            assert all(log.damages and log.path.read_bytes() for log in logs)
            assert len(list(scratch.iterdir())) <= 4
    assert list(scratch.iterdir()) == []


def test_a_reader_that_stops_early_leaves_nothing_behind(tmp_path, scratch):
    paths = [damaged(tmp_path / "logs", at) for at in range(1, 9)]
    with verified_ahead([[path] for path in paths]) as batches:
        assert next(batches)[0].damages
        assert list(scratch.iterdir())
    assert list(scratch.iterdir()) == []


def test_a_missing_log_is_named_in_its_place(tmp_path, scratch):
    first, gone = damaged(tmp_path / "logs", 1), damaged(tmp_path / "logs", 2)
    gone.unlink()
    with verified_ahead([[first], [first, gone]]) as batches:
        assert next(batches)[0].source == first
        again, unread = next(batches)
        assert (again.source, unread) == (first, UnreadLog(gone, "it is no longer there"))
    assert list(scratch.iterdir()) == []
