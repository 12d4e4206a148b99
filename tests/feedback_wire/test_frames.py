"""Frames guarantee that damage stays local and that any zstd tool can read a log."""

import io
import os
import shutil
import subprocess
import tracemalloc
from unittest import mock

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from feedback_wire.frames import HEADER_BYTES, PREAMBLE, Damage, Frame, FrameKind, footer_frame, records_frame, walk, walk_file

LINES = [b'{"n":%d}\n' % n for n in range(12)]


def log_of(groups: list[list[bytes]], *, footer: bool = True) -> tuple[bytes, list[int]]:
    """A log with a frame per group, and the offset at which each frame ends."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
    data, ends, first = PREAMBLE, [], 0
    for number, group in enumerate(groups):
        text = b"".join(group)
        data += records_frame(
            compressor.compress(text),
            number=number,
            first_record=first,
            records=len(group),
            inflated=len(text),
            batch=bytes([number] * 16),
        )
        first += len(group)
        ends.append(len(data))
    return (data + footer_frame(number=len(groups), records=first) if footer else data), ends


def inflate(frame: Frame) -> bytes:
    return zstandard.ZstdDecompressor().decompress(bytes(frame.payload), max_output_size=1 << 20)


GROUPS = [LINES[:5], LINES[5:6], LINES[6:]]
LOG, ENDS = log_of(GROUPS)


def test_a_whole_log_gives_every_frame_and_no_damage():
    frames = list(walk(LOG))
    assert [frame.header.kind for frame in frames] == [FrameKind.RECORDS] * 3 + [FrameKind.FOOTER]
    assert b"".join(inflate(frame) for frame in frames[:3]) == b"".join(LINES)
    assert [frame.header.first_record for frame in frames] == [0, 5, 6, 12]
    assert frames[1].header.batch == bytes([1] * 16)
    assert frames[-1].end == len(LOG)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd tool is not installed")
def test_the_zstd_tool_reads_a_log_as_plain_lines(tmp_path):
    path = tmp_path / "log.jsonl.zst"
    path.write_bytes(LOG)
    assert subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout == b"".join(LINES)


def test_a_log_cut_at_any_byte_keeps_exactly_the_whole_frames():
    journal, ends = log_of(GROUPS, footer=False)
    for cut in range(len(journal) + 1):
        found = list(walk(journal[:cut]))
        whole = [item for item in found if isinstance(item, Frame)]
        damage = [item for item in found if isinstance(item, Damage)]
        assert len(whole) == sum(end <= cut for end in ends)
        lost = cut - max((end for end in ends if end <= cut), default=min(cut, len(PREAMBLE)) if cut >= len(PREAMBLE) else 0)
        assert sum(item.size for item in damage) == lost
        assert all(item.torn for item in damage)


def test_a_flipped_bit_costs_only_the_frame_it_hits():
    for offset in range(len(PREAMBLE), ENDS[-1]):
        broken = bytearray(LOG)
        broken[offset] ^= 1 << (offset % 8)
        found = list(walk(bytes(broken)))
        whole = [item.header.number for item in found if isinstance(item, Frame) and item.header.kind is FrameKind.RECORDS]
        hit = sum(end <= offset for end in ENDS)
        assert whole == [number for number in range(3) if number != hit]
        assert [item for item in found if isinstance(item, Damage)]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_make_the_walk_raise_or_miss_a_byte(noise, at):
    data = LOG[:at] + noise + LOG[at:]
    position = len(PREAMBLE) if data.startswith(PREAMBLE) else 0
    for item in walk(data):
        assert item.offset == position
        position = item.end if isinstance(item, Frame) else item.offset + item.size
    assert position == len(data) or data == PREAMBLE


@given(st.binary(max_size=300), st.integers(0, 1000), st.integers(0, 1000), st.integers(13, 200))
def test_a_file_read_in_windows_gives_the_same_frames_and_damage(noise, at, cut, window):
    data = (LOG[:at] + noise + LOG[at:])[: -cut or None]
    with mock.patch("feedback_wire.frames._WINDOW_BYTES", window):
        assert list(walk_file(io.BytesIO(data))) == list(walk(data))


def test_a_large_file_is_read_in_bounded_memory(tmp_path):
    payload, path = os.urandom(2**20), tmp_path / "log"
    frame = records_frame(payload, number=0, first_record=0, records=1, inflated=2**20)
    path.write_bytes(PREAMBLE + b"".join([frame, b"damage"] * 60))
    tracemalloc.start()
    with path.open("rb") as file:
        kinds = [type(item) for item in walk_file(file)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert kinds == [Frame, Damage] * 60
    assert peak < 20 * 2**20


def test_a_short_text_is_no_frame_and_a_truncated_header_is_half_a_frame():
    assert list(walk(b"a note")) == [Damage(0, 6, "no frame begins here", torn=True)]
    for length in range(1, HEADER_BYTES):
        cut = LOG[len(PREAMBLE) : len(PREAMBLE) + length]
        assert list(walk(cut)) == [Damage(0, length, "the file ends within a frame header", torn=True)]


def test_damage_in_the_middle_is_not_torn_and_has_a_reason():
    broken = LOG[: ENDS[0] + HEADER_BYTES] + b"XX" + LOG[ENDS[0] + HEADER_BYTES + 2 :]
    damage = [item for item in walk(broken) if isinstance(item, Damage)]
    assert damage == [Damage(ENDS[0], ENDS[1] - ENDS[0], "the frame's checksum is wrong")]
