"""Damage in a spool costs only the damaged batches, is kept, and is counted once, however often its segment is read."""

import logging
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random

import pytest

from coordinator.carriers.spool import Spool
from feedback_wire.frames import PREAMBLE, Frame, records_frame, walk
from serving.few_lines import MOST_LINES
from tests.faults.recorded_calls import memory_folder
from tests.faults.test_power_cuts_of_a_spool import batch

ROOM = 10**6
SEGMENT = "000000000001.spool"


def segment(batches: int) -> bytes:
    with memory_folder() as folder:
        spool = Spool(folder, ROOM)
        for number in range(batches):
            spool.append(*batch(number))
        spool.close()
        return (folder / SEGMENT).read_bytes()


def numbers(spool: Spool) -> list[int]:
    """Everything that is drained, accepted by a feedback server."""
    found = []
    while (each := spool.oldest()) is not None:
        number = int.from_bytes(each.batch_id) - 1
        assert (each.batch_id, each.lines, each.messages) == batch(number)
        found.append(number)
        spool.drop(each)
    return found


def drained(data: bytes) -> tuple[list[int], bytes, Spool]:
    """What a spool of this one segment drains, what it sets aside, and the spool afterwards."""
    with memory_folder() as folder:
        (folder / SEGMENT).write_bytes(data)
        spool = Spool(folder, ROOM)
        out = numbers(spool)
        aside = b"".join(path.read_bytes() for path in sorted(folder.glob("*.damaged"), key=lambda path: int(path.stem[13:])))
        spool.close()
        return out, aside, spool


def frames(data: bytes) -> list[Frame]:
    return [frame for frame in walk(data) if isinstance(frame, Frame)]


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_a_spool_cut_at_every_byte_drains_the_whole_batches_and_keeps_the_rest():
    data = segment(4)
    ends = [frame.end for frame in frames(data)]
    for length in range(len(data)):
        out, aside, spool = drained(data[:length])
        whole = [number for number, end in enumerate(ends) if end <= length]
        good = ends[len(whole) - 1] if whole else len(PREAMBLE) if length >= len(PREAMBLE) else 0
        assert (out, aside) == (whole, data[good:length]), length
        assert (spool.damaged_bytes, spool.messages) == (length - good, 0), length


def test_each_of_500_flipped_bits_costs_only_its_batch_whose_bytes_are_kept():
    data, chance = segment(8), Random(8)
    found = frames(data)
    costs = set()
    for _ in range(500):
        bit = chance.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        out, aside, spool = drained(bytes(flipped))
        if bit // 8 < len(PREAMBLE):
            hit, lost = (0, len(PREAMBLE)), -1
        else:
            lost = next(number for number, frame in enumerate(found) if frame.offset <= bit // 8 < frame.end)
            hit = (found[lost].offset, found[lost].end)
        assert out == [number for number in range(8) if number != lost]
        assert (aside, spool.damaged_bytes, spool.messages) == (bytes(flipped[slice(*hit)]), hit[1] - hit[0], 0)
        costs.add(lost)
    assert costs >= set(range(8)), "every batch was hit"


def damaged(folder: Path) -> int:
    """A spool of three batches whose first one is damaged; how many bytes that is."""
    data = bytearray(segment(3))
    first = frames(bytes(data))[0]
    data[first.end - 1] ^= 1
    (folder / SEGMENT).write_bytes(data)
    return first.end - first.offset


def test_a_segment_with_many_damaged_batches_is_logged_in_few_lines(caplog: pytest.LogCaptureFixture):
    data = bytearray(segment(60))
    for frame in frames(bytes(data))[::2]:
        data[frame.end - 1] ^= 1
    logging.disable(logging.NOTSET)
    out, _, spool = drained(bytes(data))
    assert (out, spool.messages) == (list(range(1, 60, 2)), 0)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "10 more damaged parts of spool segment 1"


def test_damage_is_counted_once_although_draining_starts_again(tmp_path: Path):
    size = damaged(tmp_path)
    spool = Spool(tmp_path, ROOM)
    for _ in range(3):
        assert spool.oldest() is not None
        spool.rewind()
    assert numbers(spool) == [1, 2]
    assert (spool.damaged_bytes, spool.messages) == (size, 0)
    spool.close()


def test_damage_that_an_earlier_run_counted_is_not_counted_again(tmp_path: Path):
    size = damaged(tmp_path)
    first = Spool(tmp_path, ROOM)
    first.oldest()
    first.close()
    second = Spool(tmp_path, ROOM)
    assert numbers(second) == [1, 2]
    assert (first.damaged_bytes, second.damaged_bytes) == (size, 0)
    second.close()


def test_the_number_of_a_segment_that_was_set_aside_is_not_used_again(tmp_path: Path):
    damaged(tmp_path)
    first = Spool(tmp_path, ROOM)
    numbers(first)
    first.close()
    [kept] = tmp_path.glob("*.damaged")
    before = kept.read_bytes()
    for _ in range(2):
        spool = Spool(tmp_path, ROOM)  # the second one finds neither segments nor a cursor
        spool.close()
    spool = Spool(tmp_path, ROOM)
    spool.append(*batch(3))
    spool.close()
    assert SEGMENT not in {path.name for path in tmp_path.iterdir()}
    assert kept.read_bytes() == before


def test_a_truncated_cursor_is_not_trusted(tmp_path: Path):
    (tmp_path / SEGMENT).write_bytes(segment(3))
    second = frames((tmp_path / SEGMENT).read_bytes())[1]
    (tmp_path / "cursor").write_text(f"1 {second.offset}"[:-1])
    spool = Spool(tmp_path, ROOM)
    assert numbers(spool) == [0, 1, 2]
    assert spool.damaged_bytes == 0
    spool.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def unreadable(folder: Path) -> int:
    """Like `damaged`, but the first frame is whole and its payload is not readable."""
    data = segment(3)
    first = frames(data)[0]
    batch_id, records = first.header.batch, first.header.records
    garbage = records_frame(b"no zstd", number=0, first_record=0, records=records, inflated=9, batch=batch_id)
    (folder / SEGMENT).write_bytes(data[: first.offset] + garbage + data[first.end :])
    return len(garbage)


@pytest.mark.parametrize("harm", [damaged, unreadable])
@pytest.mark.parametrize("full_at_the_end", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_damage_found_on_a_full_disk_is_kept_although_draining_starts_again_behind_it(
    tmp_path: Path, harm: Callable[[Path], int], *, full_at_the_end: bool, restart: bool
):
    size = harm(tmp_path)
    harmed = (tmp_path / SEGMENT).read_bytes()[len(PREAMBLE) :][:size]
    spool = Spool(tmp_path, ROOM)
    with full_disk():
        first = spool.oldest()
    assert first is not None
    assert not list(tmp_path.glob("*.damaged")), "the disk was full"
    spool.drop(first)
    assert spool.oldest() is not None
    if restart:
        spool.close()
        spool = Spool(tmp_path, ROOM)
    else:
        spool.rewind()
    with full_disk() if full_at_the_end else nullcontext():
        assert numbers(spool) == [2]
    assert (spool.damaged_bytes, spool.messages) == (size, 0)
    spool.close()
    assert not list(tmp_path.glob("*.spool"))
    [kept] = tmp_path.glob("*.damaged")
    assert harmed in kept.read_bytes()
