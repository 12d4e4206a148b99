"""A journal cut at every byte, bits flipped in journals and sealed logs: the remaining records are exactly the predicted ones.

The prediction comes from the position of the frames: undamaged frames are kept, damaged ones go into quarantine.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from feedback_server.forms.reading import Records, read_log
from feedback_wire.frames import PREAMBLE, Frame, FrameKind, walk
from feedback_wire.log_name import LogName
from serving.few_lines import MOST_LINES
from tests.faults.recorded_calls import RecordedCalls, memory_folder
from tests.faults.stepped_server import Format, SteppedServer, batch, stored
from tests.harness.tested_counts import FLIPPED_BIT

FORMS: list[Format] = ["jsonl", "csv", "parquet"]


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def made(batches: int, form: Format = "jsonl", *, sealed: bool) -> tuple[str, bytes]:
    """Name and bytes of a log with so many batches."""
    with memory_folder() as root, RecordedCalls(root):
        server = SteppedServer(root / "data", lambda _: None, form)
        for number in range(batches):
            server.store(number)
        if sealed:
            server.stop()
        else:
            server.die()
        [path] = (root / "data").glob("2*")
        return path.name, path.read_bytes()


def recovered(name: str, data: bytes) -> tuple[Counter[int], bytes]:
    """The batches that a server recovers from a journal, and what it puts into quarantine."""
    with memory_folder() as root, RecordedCalls(root):
        (root / name).write_bytes(data)
        SteppedServer(root, lambda _: None).stop()
        quarantined = sorted((root / "quarantine").glob("*"), key=lambda path: int(path.name.rsplit(".", 1)[1]))
        return stored(root), b"".join(path.read_bytes() for path in quarantined)


def frames(data: bytes) -> list[Frame]:
    return [found for found in walk(data) if isinstance(found, Frame)]


def cut_at_every_byte(batches: int) -> None:
    name, data = made(batches, sealed=False)
    ends = [frame.end for frame in frames(data)]
    for length in range(len(data) + 1):
        whole = [number for number, end in enumerate(ends) if end <= length]
        good = ends[len(whole) - 1] if whole else len(PREAMBLE) if length >= len(PREAMBLE) else 0
        assert recovered(name, data[:length]) == (Counter(whole), data[good:length]), length


def flip_bits(batches: int, times: int) -> None:
    name, data = made(batches, sealed=False)
    found, chance = frames(data), Random(500)
    for _ in range(times):
        bit = chance.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        hit = [number for number, frame in enumerate(found) if frame.offset <= bit // 8 < frame.end]
        begin, end = (found[hit[0]].offset, found[hit[0]].end) if hit else (0, len(PREAMBLE))
        left = Counter(number for number in range(batches) if number not in hit)
        assert recovered(name, bytes(flipped)) == (left, bytes(flipped[begin:end])), bit


def test_a_journal_cut_at_every_byte_keeps_exactly_its_whole_frames():
    cut_at_every_byte(2)


def test_each_of_100_flipped_bits_in_a_journal_costs_only_its_batch(record_property):
    flip_bits(6, 100)
    record_property(FLIPPED_BIT, 100)


@pytest.mark.soak
def test_a_longer_journal_cut_at_every_byte_keeps_exactly_its_whole_frames():
    cut_at_every_byte(30)


@pytest.mark.soak
def test_each_of_5000_flipped_bits_in_a_journal_costs_only_its_batch(record_property):
    flip_bits(40, 5_000)
    record_property(FLIPPED_BIT, 5_000)


def numbers(path: Path) -> Counter[int]:
    """How many records of each batch can be read, unaltered."""
    lines = [
        line
        for part in read_log(path, LogName.parse(path.name).form)
        if isinstance(part, Records)
        for line in part.lines.splitlines()
    ]
    sessions = Counter(int(line.partition(b'"session_id":"')[2].partition(b'"')[0]) for line in lines)
    assert all(count <= batch(number).records for number, count in sessions.items())
    return sessions


@pytest.mark.parametrize("form", FORMS)
def test_a_flipped_bit_in_a_sealed_log_costs_its_frame_and_never_invents_or_alters_a_record(form: Format, tmp_path: Path):
    name, data = made(6, form, sealed=True)
    path, chance = tmp_path / name, Random(7)
    path.write_bytes(data)
    whole = numbers(path)
    assert whole == Counter({number: batch(number).records for number in range(6)})
    noticed = 0
    for _ in range(170):
        bit = chance.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        left = numbers(path)
        assert left in (whole, Counter()), bit  # the log is one frame, or one row group
        noticed += left != whole
        if form != "parquet":
            records = next(frame for frame in frames(data) if frame.header.kind is FrameKind.RECORDS)
            assert (left == whole) == (not records.offset <= bit // 8 < records.end), bit
    assert noticed >= 20, "most of the bits were in records"


@pytest.mark.parametrize("form", FORMS)
def test_a_server_starts_on_a_damaged_sealed_log_and_deletes_nothing(form: Format):
    name, data = made(3, form, sealed=True)
    chance = Random(9)
    for _ in range(20):
        bit = chance.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with memory_folder() as root, RecordedCalls(root):
            (root / name).write_bytes(flipped)
            SteppedServer(root, lambda _: None, form).stop()
            assert (root / name).read_bytes() == flipped


def with_every_second_frame_damaged(batches: int) -> tuple[str, bytes]:
    name, data = made(batches, sealed=False)
    damaged = bytearray(data)
    for frame in frames(data)[::2]:
        damaged[frame.end - 1] ^= 1
    return name, bytes(damaged)


def test_a_journal_with_many_damaged_parts_is_logged_in_few_lines(caplog: pytest.LogCaptureFixture):
    name, data = with_every_second_frame_damaged(60)
    logging.disable(logging.NOTSET)
    kept, _ = recovered(name, data)
    assert kept == Counter(range(1, 60, 2))
    lines = [record.getMessage() for record in caplog.records if name in record.getMessage()]
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == f"10 more damaged parts of {name}"


def test_the_check_detects_a_recovery_that_keeps_too_little(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("feedback_server.recovery.whole_frames", lambda data: _only_the_first(data))
    with pytest.raises(AssertionError):
        cut_at_every_byte(2)


def _only_the_first(data: bytes):
    from feedback_server.recovery import WholeFrames

    first = next((found for found in walk(data) if isinstance(found, Frame)), None)
    end, records = (first.end, first.header.records) if first else (0, 0)
    return WholeFrames(end, records, (), ())
