"""Tests of the simulated disk: what it keeps, what it may lose, and that a call can be made to fail."""

import errno
import os
from pathlib import Path
from random import Random

import pytest

from tests.faults.recorded_calls import SHORT, NthCall, RecordedCalls
from tests.faults.simulated_disk import Call, Survivor, after, kept, left_to, lost


def written(root: Path, *, sync: bool, sync_folder: bool) -> list[Call]:
    with RecordedCalls(root) as recorded:
        fd = os.open(root / "file", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(fd, b"0123456789")
        if sync:
            os.fdatasync(fd)
        os.close(fd)
        if sync_folder:
            folder = os.open(root, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    return recorded.calls


def left(calls: list[Call], survivor: Survivor, into: Path) -> dict[str, bytes]:
    into.mkdir()
    after(calls, survivor).write_to(into)
    return {path.name: path.read_bytes() for path in into.iterdir()}


@pytest.mark.parametrize(
    ("sync", "sync_folder", "at_worst"),
    [(True, True, {"file": b"0123456789"}), (False, True, {"file": b""}), (True, False, {}), (False, False, {})],
)
def test_only_synced_data_in_a_synced_folder_survives_a_power_cut(tmp_path: Path, sync: bool, sync_folder: bool, at_worst: dict):
    (tmp_path / "disk").mkdir()
    calls = written(tmp_path / "disk", sync=sync, sync_folder=sync_folder)
    assert left(calls, lost, tmp_path / "lost") == at_worst
    assert left(calls, kept, tmp_path / "kept") == {"file": b"0123456789"}


def test_unsynced_data_may_be_whole_torn_anywhere_or_zeros(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    calls = written(tmp_path / "disk", sync=False, sync_folder=True)
    found = {left(calls, left_to(Random(seed)), tmp_path / str(seed))["file"] for seed in range(300)}
    data = b"0123456789"
    prefixes = {data[:cut] for cut in range(11)}
    zeros_behind = {data[:cut] + bytes(10 - cut) for cut in range(11)}
    zeros_before = {bytes(cut) + data[cut:] for cut in range(11)}
    assert found == prefixes | zeros_behind | zeros_before


def test_an_unsynced_rename_may_be_undone_done_or_half_done(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    for name in ("draft", "name"):
        (tmp_path / "disk" / name).write_text(name)
    with RecordedCalls(tmp_path / "disk") as recorded:
        (tmp_path / "disk" / "draft").replace(tmp_path / "disk" / "name")
    found = [left(recorded.calls, left_to(Random(seed)), tmp_path / str(seed)) for seed in range(100)]
    assert {tuple(sorted(each.items())) for each in found} == {
        (("draft", b"draft"), ("name", b"name")),
        (("draft", b"draft"), ("name", b"draft")),
        (("name", b"draft"),),
    }


def test_a_later_sync_does_not_repair_a_failed_one(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    with RecordedCalls(tmp_path / "disk", fault=NthCall(1, errno.EIO, ["fdatasync"])) as recorded:
        fd = os.open(tmp_path / "disk" / "file", os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"first")
        with pytest.raises(OSError, match="made to fail: fdatasync"):
            os.fdatasync(fd)
        os.write(fd, b"second")
        os.fdatasync(fd)
        os.close(fd)
    assert after(recorded.calls, lost).files == {1: bytearray(b"\0\0\0\0\0second")}


def test_only_the_nth_call_fails_and_a_run_with_fewer_calls_is_reported(tmp_path: Path):
    def try_three(fault: NthCall) -> list[bool]:
        done = []
        with RecordedCalls(tmp_path, fault=fault):
            for name in "abc":
                try:
                    (tmp_path / name).mkdir(exist_ok=True)
                    done.append(True)
                except OSError as error:
                    done.append(error.errno != errno.ENOSPC)
        return done

    assert try_three(second := NthCall(2, errno.ENOSPC)) == [True, False, True]
    assert second.reached
    assert not (tmp_path / "b").exists()
    assert try_three(fourth := NthCall(4, errno.ENOSPC)) == [True, True, True]
    assert not fourth.reached


def test_a_simulated_short_write_writes_half_of_the_bytes(tmp_path: Path):
    with RecordedCalls(tmp_path, fault=NthCall(1, SHORT, ["write"])):
        fd = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
        assert os.write(fd, b"0123456789") == 5
        os.close(fd)
    assert (tmp_path / "file").read_bytes() == b"01234"
