import os
import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.carriers import spool as spool_module
from coordinator.carriers.batch import SpoolFull
from coordinator.carriers.spool import Spool
from feedback_wire.frames import records_frame, walk

ROOM = 10**9


def batch(number: int) -> tuple[bytes, bytes, int]:
    """Name, lines and count of the `number`th batch; lines do not compress to nothing."""
    noise = random.Random(number).randbytes(20).hex()
    return number.to_bytes(16), b'{"n":%d,"noise":"%s"}\n' % (number, noise.encode()) * 2, 2


def filled(folder: Path, numbers: range) -> None:
    spool = Spool(folder, ROOM)
    for number in numbers:
        spool.append(*batch(number))
    spool.close()


def drained(folder: Path) -> list[int]:
    """The numbers of all batches, in the order in which a new process drains them; checks that none has changed."""
    spool = Spool(folder, ROOM)
    numbers = []
    while (found := spool.oldest()) is not None:
        number = int.from_bytes(found.batch_id)
        assert (found.batch_id, found.lines, found.messages) == batch(number)
        numbers.append(number)
        spool.drop(found)
    assert spool.messages == 0
    spool.close()
    return numbers


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_batches_are_drained_unchanged_and_oldest_first_after_a_restart(tmp_path: Path):
    filled(tmp_path, range(3))
    filled(tmp_path, range(3, 5))
    assert drained(tmp_path) == [0, 1, 2, 3, 4]
    assert not segments(tmp_path)


def test_a_batch_that_was_not_dropped_is_drained_again(tmp_path: Path):
    filled(tmp_path, range(3))
    spool = Spool(tmp_path, ROOM)
    first = spool.oldest()
    assert first is not None
    spool.drop(first)
    assert spool.oldest() is not None
    spool.rewind()
    again = spool.oldest()
    assert again is not None
    assert int.from_bytes(again.batch_id) == 1
    spool.close()
    assert drained(tmp_path) == [1, 2]


def test_a_crash_that_tears_the_last_batch_at_any_byte_costs_only_that_batch_and_keeps_its_bytes(tmp_path: Path):
    whole = tmp_path / "whole"
    filled(whole, range(2))
    [segment] = segments(whole)
    data = segment.read_bytes()
    spool = Spool(whole, ROOM)
    first = spool.oldest()
    assert first is not None
    spool.close()
    for length in range(first.end, len(data)):
        folder = tmp_path / str(length)
        folder.mkdir()
        (folder / segment.name).write_bytes(data[:length])
        spool = Spool(folder, ROOM)
        assert spool.messages == 2
        spool.append(*batch(7))  # after the tear, in a segment of its own
        spool.close()
        assert drained(folder) == [0, 7]
        aside = [path.read_bytes() for path in folder.glob("*.damaged")]
        assert aside == ([data[first.end : length]] if length > first.end else [])


def test_a_crash_before_the_first_batch_leaves_nothing_to_drain(tmp_path: Path):
    filled(tmp_path, range(1))
    [segment] = segments(tmp_path)
    data = segment.read_bytes()
    for length in range(20):
        segment.write_bytes(data[:length])
        assert drained(tmp_path) == []


@pytest.mark.parametrize("byte", [15, 30, 90, 130])
def test_a_flipped_bit_costs_one_batch_and_is_counted(tmp_path: Path, byte: int):
    filled(tmp_path, range(3))
    [segment] = segments(tmp_path)
    data = bytearray(segment.read_bytes())
    data[byte] ^= 1
    segment.write_bytes(data)
    spool = Spool(tmp_path, ROOM)
    numbers = []
    while (found := spool.oldest()) is not None:
        numbers.append(int.from_bytes(found.batch_id))
        spool.drop(found)
    assert numbers == [1, 2]
    assert spool.damaged_bytes > 0
    assert list(tmp_path.glob("*.damaged"))
    spool.close()


def test_a_whole_but_unreadable_batch_is_set_aside_and_delays_no_other(tmp_path: Path):
    filled(tmp_path, range(3))
    [segment] = segments(tmp_path)
    first, second, third = walk(segment.read_bytes())
    garbage = records_frame(b"no zstd at all", number=1, first_record=2, records=2, inflated=99, batch=second.header.batch)
    data = segment.read_bytes()
    segment.write_bytes(data[: first.end] + garbage + data[third.offset :])
    assert drained(tmp_path) == [0, 2]
    [aside] = tmp_path.glob("*.damaged")
    assert aside.read_bytes() == garbage


def test_a_stale_cursor_never_skips_a_later_segment(tmp_path: Path):
    filled(tmp_path, range(3))
    assert drained(tmp_path) == [0, 1, 2]
    assert (tmp_path / "cursor").exists()
    filled(tmp_path, range(3, 6))
    assert drained(tmp_path) == [3, 4, 5]


@pytest.mark.parametrize(
    "text", ["", "nonsense", "1", "99999999999 7", "1 x", "\xff", pytest.param("9" * 5000 + " 13\n", id="5,000 digits")]
)
def test_a_damaged_cursor_only_repeats_batches(tmp_path: Path, text: str):
    filled(tmp_path, range(2))
    (tmp_path / "cursor").write_text(text, encoding="latin-1")
    assert drained(tmp_path) == [0, 1]


@given(st.lists(st.sampled_from(["append", "drain", "restart", "oldest"]), max_size=30))
@settings(max_examples=60)
def test_every_batch_is_drained_once_and_in_order_over_any_sequence_of_events(tmp_path_factory, steps: list[str]):
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, ROOM)
    appended, out = 0, []
    for step in [*steps, "restart"]:
        if step == "append":
            spool.append(*batch(appended))
            appended += 1
        elif step == "restart":
            spool.close()
            spool = Spool(folder, ROOM)
        elif (found := spool.oldest()) is not None and step == "drain":
            out.append(int.from_bytes(found.batch_id))
            spool.drop(found)
        else:
            spool.rewind()
        assert spool.messages == 2 * (appended - len(out))
    spool.close()
    assert out + drained(folder) == list(range(appended))


def test_a_full_spool_refuses_keeps_its_batches_and_accepts_more_after_draining(tmp_path: Path):
    spool = Spool(tmp_path, 1000)
    appended = 0
    with suppress(SpoolFull):
        for number in range(100):
            spool.append(*batch(number))
            appended += 1
    assert 2 < appended < 10
    assert spool.size_bytes <= 1000
    for number in range(appended):
        found = spool.oldest()
        assert found is not None
        assert int.from_bytes(found.batch_id) == number
        spool.drop(found)
    assert spool.oldest() is None
    assert spool.size_bytes == 0
    spool.append(*batch(appended))
    spool.close()


def test_segments_end_at_their_size_and_are_removed_when_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 500)
    filled(tmp_path, range(10))
    assert len(segments(tmp_path)) > 2
    assert drained(tmp_path) == list(range(10))
    assert not segments(tmp_path)


def test_a_disk_error_is_reported_and_nothing_is_written_after_the_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spool = Spool(tmp_path, ROOM)
    spool.append(*batch(0))
    real = os.fdatasync
    failures = []

    def failing(file: int) -> None:
        failures.append(file)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", failing)
    with pytest.raises(OSError, match="Input/output"):
        spool.append(*batch(1))
    assert failures
    monkeypatch.setattr(os, "fdatasync", real)
    spool.append(*batch(2))
    spool.close()
    assert len(segments(tmp_path)) == 2
    assert [number for number in drained(tmp_path) if number != 1] == [0, 2]


def test_a_permanently_refused_batch_is_set_aside_for_the_operator(tmp_path: Path):
    filled(tmp_path, range(2))
    spool = Spool(tmp_path, ROOM)
    found = spool.oldest()
    assert found is not None
    assert spool.set_aside(found).read_bytes() == batch(0)[1]
    spool.close()
    assert drained(tmp_path) == [1]


def test_two_coordinators_cannot_share_a_spool(tmp_path: Path):
    spool = Spool(tmp_path, ROOM)
    with pytest.raises(BlockingIOError, match="in use by another coordinator"):
        Spool(tmp_path, ROOM)
    spool.close()
    Spool(tmp_path, ROOM).close()


def test_nothing_is_acknowledged_into_a_removed_segment(tmp_path: Path):
    spool = Spool(tmp_path, ROOM)
    spool.append(*batch(0))
    for segment in segments(tmp_path):
        segment.unlink()
    with pytest.raises(FileNotFoundError, match="another program removed it"):
        spool.append(*batch(1))
    spool.append(*batch(2))
    found = spool.oldest()
    assert found is not None
    assert int.from_bytes(found.batch_id) == 2
    assert spool.messages == 2  # the batches of the removed segment are no longer pending
    assert spool.damaged_bytes > 0
    spool.drop(found)
    assert spool.oldest() is None
    spool.close()


def test_nothing_is_acknowledged_into_a_spool_whose_folder_was_moved(tmp_path: Path):
    folder, moved = tmp_path / "spool", tmp_path / "moved"
    spool = Spool(folder, ROOM)
    spool.append(*batch(0))
    folder.rename(moved)
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="moved its folder away"):
        spool.append(*batch(1))
    spool.append(*batch(2))  # where a later start will find it
    spool.close()
    assert drained(folder) == [2]
    assert drained(moved) == [0]
