"""The frames of a damaged file say exactly which records it still holds."""

import zstandard
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.reading.survey import survey
from feedback_wire.frames import PREAMBLE, footer_frame, records_frame

PAYLOAD = zstandard.compress(b"x" * 50)
COUNTS = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def frames_of(counts, *, footer=True):
    frames, first = [], 0
    for number, records in enumerate(counts):
        frames.append(records_frame(PAYLOAD, number=number, first_record=first, records=records, inflated=50))
        first += records
    return [*frames, footer_frame(number=len(counts), records=first)] if footer else frames


@given(COUNTS)
def test_a_complete_log_is_recognised_as_complete(counts):
    data = PREAMBLE + b"".join(frames_of(counts))
    found = survey(data, sealed=True)
    assert found.whole
    assert (found.records, found.lost, found.end, len(found.stretches)) == (sum(counts), 0, len(data), len(counts))


@given(COUNTS, st.data())
def test_each_flipped_byte_costs_the_records_of_its_frame(counts, data):
    frames = frames_of(counts)
    hit = data.draw(st.integers(0, len(counts) - 1))
    at = data.draw(st.integers(0, len(frames[hit]) - 1))
    frames[hit] = frames[hit][:at] + bytes([frames[hit][at] ^ 1]) + frames[hit][at + 1 :]
    found = survey(PREAMBLE + b"".join(frames), sealed=True)
    assert not found.whole
    assert (found.records, found.lost) == (sum(counts) - counts[hit], counts[hit])


@given(COUNTS, st.data())
def test_a_cleanly_removed_frame_is_reported_as_missing(counts, data):
    frames = frames_of(counts)
    hit = data.draw(st.integers(0, len(counts) - 1))
    found = survey(PREAMBLE + b"".join(frames[:hit] + frames[hit + 1 :]), sealed=True)
    assert (found.records, found.lost) == (sum(counts) - counts[hit], counts[hit])
    assert f"{counts[hit]} records before this frame are missing" in found.damages[0].reason


def test_a_sealed_file_that_ends_between_two_frames_is_recognised_as_truncated():
    data = PREAMBLE + b"".join(frames_of([2, 3], footer=False))
    assert survey(data, sealed=False).whole
    [damage] = survey(data, sealed=True).damages
    assert (damage.torn, damage.offset) == (True, len(data))


@given(COUNTS, st.integers(1, 60))
def test_a_torn_tail_leaves_the_frames_before_it(counts, cut):
    frames = frames_of(counts, footer=False)
    data = PREAMBLE + b"".join(frames)
    found = survey(data[:-cut], sealed=False)
    assert found.end == len(data) - len(frames[-1])
    assert found.records == sum(counts[:-1])
    assert found.damages[-1].torn


@given(COUNTS, st.integers(0, 5))
def test_reading_continues_in_the_middle_of_a_journal(counts, skip):
    frames = frames_of(counts, footer=False)
    found = survey(b"".join(frames[skip:]), sealed=False, midway=True)
    assert (found.whole, found.records, found.lost) == (True, sum(counts[skip:]), 0)


@given(st.binary(max_size=300))
def test_no_bytes_make_the_survey_of_a_log_fail(data):
    assert survey(data, sealed=True).end <= len(data)


def test_a_frame_that_inflates_to_another_size_than_stated_is_damage():
    bomb = zstandard.compress(b" " * 2**27)
    stream = zstandard.ZstdCompressor().compressobj()
    unsized = stream.compress(b" " * 2**22) + stream.flush()
    for payload, inflated in ((bomb, 50), (bomb, 2**27), (PAYLOAD + bomb, 50), (unsized, 50)):
        frame = records_frame(payload, number=0, first_record=0, records=1, inflated=inflated)
        found = survey(PREAMBLE + frame + footer_frame(number=1, records=1), sealed=True)
        assert found.stretches == ()
        assert (found.lost, len(found.damages)) == (1, 1)
