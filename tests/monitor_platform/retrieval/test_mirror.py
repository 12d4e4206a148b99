"""Files with the name of a log are whole or verified again; other files are not touched."""

import errno
import fcntl
import os
import stat

import pytest

from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.mirror import Mirror, size

SEALED = LogName.parse("20120807T093000Z-fs1-0000.jsonl.zst")
JOURNAL = SEALED.sealed(Form.JOURNAL)


@pytest.fixture
def mirror(tmp_path) -> Mirror:
    return Mirror(tmp_path)


def test_a_log_gets_its_name_when_it_is_complete_and_its_journal_is_removed(mirror):
    mirror.write(mirror.path(JOURNAL), 0, b"journal")
    mirror.write(mirror.part(SEALED), 0, b"sealed")
    assert mirror.overview("fs1", None)[0] == [JOURNAL], "a part is missing"
    mirror.complete(SEALED)
    assert mirror.overview("fs1", None)[0] == [SEALED]
    assert mirror.path(SEALED).read_bytes() == b"sealed"
    assert not mirror.path(JOURNAL).exists()


def test_a_journal_that_a_crash_left_next_to_its_sealed_log_is_removed(mirror):
    mirror.write(mirror.path(JOURNAL), 0, b"journal")
    mirror.write(mirror.path(SEALED), 0, b"sealed")
    assert mirror.overview("fs1", None)[0] == [SEALED]
    assert not mirror.path(JOURNAL).exists()


def test_writing_replaces_the_bytes_at_and_after_the_position(mirror):
    path = mirror.path(JOURNAL)
    mirror.write(path, 0, b"0123456789")
    mirror.write(path, 4, b"ab")
    assert path.read_bytes() == b"0123ab"
    mirror.cut(path, 2)
    assert (size(path), path.read_bytes()) == (2, b"01")


def test_other_files_are_not_touched(mirror, tmp_path):
    mirror.write(mirror.path(SEALED), 0, b"sealed")
    (tmp_path / "fs1" / "notes.txt").write_text("mine")
    (tmp_path / "fs1" / "20120807T093000Z-fs2-0000.jsonl.zst").write_text("a log of another server")
    (tmp_path / "Not A Server").mkdir()
    assert mirror.servers() == ["fs1"]
    assert mirror.overview("fs1", None)[0] == [SEALED]


def test_a_mirror_has_one_owner_at_a_time(mirror, tmp_path):
    with mirror.owned(), pytest.raises(BlockingIOError, match="another monitoring platform"), Mirror(tmp_path).owned():
        pytest.fail("two owners")
    with mirror.owned():
        pass


def test_where_a_file_system_locks_only_files_a_second_platform_is_refused(mirror, tmp_path, monkeypatch):
    failed = locking_only({stat.S_IFREG}, monkeypatch)
    with mirror.owned(), pytest.raises(BlockingIOError, match="another monitoring platform"), Mirror(tmp_path).owned():
        pytest.fail("two owners")
    assert failed


def test_a_lockable_mirror_has_no_file_open_for_writing_that_would_prevent_a_read_only_remount(mirror, tmp_path):
    with mirror.owned():
        assert not (tmp_path / ".lock").exists()


def test_a_mirror_that_cannot_be_locked_is_used_with_one_warning(mirror, monkeypatch, caplog):
    failed = locking_only(set(), monkeypatch)
    with mirror.owned():
        pass
    assert len(failed) == 2
    [line] = caplog.messages
    assert line == f"the mirror {mirror.directory} is not locked against a second monitoring platform: Bad file descriptor"


def locking_only(lockable: set[int], monkeypatch) -> list[int]:
    """Make the kernel's lock call fail for other types of files, as network file systems do; returns the list of failures."""
    failed: list[int] = []
    flock = fcntl.flock

    def lock(descriptor: int, operation: int) -> None:
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind not in lockable:
            failed.append(kind)
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock)
    return failed
