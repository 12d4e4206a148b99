"""A file system may lock only files, only folders, or neither, as NFS does: one lock is enough to refuse a second server."""

import errno
import fcntl
import logging
import os
import stat

import pytest

from feedback_server.stores.data_folder import DataFolder

LOCK_FILE, FOLDER = stat.S_IFREG, stat.S_IFDIR


@pytest.fixture
def fail_locks(monkeypatch: pytest.MonkeyPatch):
    """Make the kernel's lock call fail for these types of files; return the list of failures."""
    real = fcntl.flock

    def start(types: set[int]) -> list[int]:
        failed: list[int] = []

        def flock(descriptor: int, operation: int) -> None:
            kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
            if kind in types:
                failed.append(kind)
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            real(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", flock)
        return failed

    return start


@pytest.mark.parametrize("kind", [LOCK_FILE, FOLDER], ids=["the lock file fails", "the folder fails"])
def test_one_failing_lock_causes_no_warning_and_a_second_server_is_refused(tmp_path, fail_locks, kind, caplog):
    failed = fail_locks({kind})
    folder = DataFolder(tmp_path)
    try:
        assert failed == [kind]
        assert "not locked" not in caplog.text
        with pytest.raises(BlockingIOError, match="in use by another feedback server"):
            DataFolder(tmp_path)
    finally:
        folder.close()
    DataFolder(tmp_path).close()


def test_a_folder_without_any_lock_causes_one_warning(tmp_path, fail_locks, caplog):
    failed = fail_locks({LOCK_FILE, FOLDER})
    with caplog.at_level(logging.WARNING):
        DataFolder(tmp_path).close()
    assert failed == [LOCK_FILE, FOLDER]
    assert caplog.text.count("is not locked against a second feedback server: Bad file descriptor") == 1
