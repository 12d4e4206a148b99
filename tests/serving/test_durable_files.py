"""Replacing files: all or nothing, in the right order, with nothing left behind."""

import errno
import os
import stat
from pathlib import Path

import pytest

from serving.durable_files import lock, make_folder, replace_file, replacing, sync_ancestors


def test_a_replaced_file_has_the_new_content_and_leaves_no_draft(tmp_path: Path):
    path = tmp_path / "state"
    replace_file(path, b"old")
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failed_call_keeps_the_old_content_and_removes_the_draft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str):
    path = tmp_path / "state"
    replace_file(path, b"old")
    failed = []

    def failing(*arguments: object, **_: object) -> None:
        failed.append(arguments)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OSError, match="Input/output error"):
            replace_file(path, b"new")
    assert len(failed) == 1
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_in_the_block_keeps_the_old_content_and_removes_the_draft(tmp_path: Path):
    path = tmp_path / "state"
    replace_file(path, b"old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_draft_of_a_killed_process_is_replaced_and_a_link_in_its_place_is_not_followed(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    (tmp_path / "state.new").symlink_to(elsewhere)
    replace_file(tmp_path / "state", b"new")
    assert elsewhere.read_bytes() == b"untouched"
    assert (tmp_path / "state").read_bytes() == b"new"
    assert not (tmp_path / "state").is_symlink()


def test_content_is_synced_before_the_rename_and_the_folder_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        calls.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def noted_rename(*arguments: object, **more: object) -> None:
        calls.append("rename")
        rename(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    replace_file(tmp_path / "state", b"durable")
    assert calls == ["sync file", "rename", "sync folder"]
    calls.clear()
    replace_file(tmp_path / "state", b"not durable", durable=False)
    assert calls == ["rename"]


def test_permission_bits_are_those_asked_for_whatever_the_umask(tmp_path: Path):
    before = os.umask(0o077)
    try:
        with replacing(tmp_path / "exact", mode=0o640) as file:
            file.write(b"x")
        make_folder(tmp_path / "folder" / "inner", 0o750)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "exact").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "folder" / "inner").stat().st_mode) == 0o750


def test_a_second_lock_is_refused_until_the_first_holder_closes(tmp_path: Path):
    first, second = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    try:
        lock(first, "in use")
        with pytest.raises(BlockingIOError, match="in use"):
            lock(second, "in use")
        os.close(first)
        lock(second, "in use")
    finally:
        os.close(second)


def test_folders_that_cannot_be_synced_stop_nothing_but_other_errors_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for error, is_refused in ((errno.EACCES, False), (errno.EINVAL, False), (errno.EIO, True)):

        def failing(_: int, error: int = error) -> None:
            raise OSError(error, os.strerror(error))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            if is_refused:
                with pytest.raises(OSError, match="Input/output error"):
                    sync_ancestors(tmp_path / "folder")
            else:
                sync_ancestors(tmp_path / "folder")
