import gzip
import json
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from coordinator.dialects.native_body import BATCH_MESSAGES, BodyForm, check_array, split
from coordinator.http.content_encoding import MEMBERS, inflate
from feedback_wire.limits import BATCH_INFLATED_BYTES
from feedback_wire.problem import Problem


def zstd_stream(body: bytes) -> bytes:
    """zstd as a stream writes it: the frame does not contain the length of its content."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(body) + compressor.flush()


SHRINKERS = {"gzip": gzip.compress, "zstd": zstandard.compress, "zstd stream": zstd_stream}
shrinkers = pytest.mark.parametrize(("name", "shrink"), SHRINKERS.items(), ids=SHRINKERS)


def status_of(body: bytes, encoding: str) -> int:
    with pytest.raises(Problem) as refused:
        inflate(body, encoding.split()[0])
    return refused.value.status


@shrinkers
@given(body=st.binary(max_size=2000))
def test_a_compressed_body_is_decompressed_unchanged(name: str, shrink, body: bytes):
    assert inflate(shrink(body), name.split()[0]) == body
    assert inflate(shrink(body) + shrink(body), name.split()[0]) == body + body


@shrinkers
def test_a_body_that_inflates_to_the_limit_is_accepted_and_one_byte_more_is_refused(name: str, shrink):
    assert len(inflate(shrink(bytes(BATCH_INFLATED_BYTES)), name.split()[0])) == BATCH_INFLATED_BYTES
    assert status_of(shrink(bytes(BATCH_INFLATED_BYTES + 1)), name) == 413


@shrinkers
def test_a_decompression_bomb_is_refused_without_being_inflated(name: str, shrink):
    assert status_of(shrink(bytes(256 * 1024 * 1024)), name) == 413


@shrinkers
def test_a_truncated_body_is_refused_wherever_it_is_cut(name: str, shrink):
    whole = shrink(b'{"v":1}' * 100 + b"\n")
    assert {status_of(whole[:cut], name) for cut in range(1, len(whole))} == {400}


@shrinkers
def test_bytes_after_the_end_are_refused(name: str, shrink):
    assert status_of(shrink(b"{}") + b"more", name) == 400


def test_a_frame_with_a_window_of_gigabytes_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    greedy = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    assert status_of(greedy.compress(b"x") + greedy.flush(), "zstd") == 400


def test_raw_deflate_and_other_encodings_are_refused():
    assert status_of(zlib.compress(b"{}"), "gzip") == 400
    assert status_of(b"{}", "br") == 415


def test_an_array_and_ndjson_are_split_into_the_messages_own_bytes():
    assert split(b' [ {"a": 1} ,{"b":"\\u0041"}] ', BodyForm.JSON) == [b'{"a": 1}', b'{"b":"\\u0041"}']
    assert split(b'{"a": 1}\n\n \r\n{"b":2}\r\n{"c"', BodyForm.LINES) == [b'{"a": 1}', b'{"b":2}\r', b'{"c"']
    assert split(b'{"a":\n1}', BodyForm.JSON) == [b'{"a":\n1}']
    assert split(b"[]", BodyForm.JSON) == []


@pytest.mark.parametrize("body", [b"[", b"[1,]", b"[1] 2", b"[" * 100_000])
def test_an_invalid_array_is_refused_as_a_whole(body: bytes):
    with pytest.raises(Problem) as refused:
        split(body, BodyForm.JSON)
    assert refused.value.status == 400


def test_too_many_messages_are_refused():
    assert len(split(json.dumps([1] * BATCH_MESSAGES).encode(), BodyForm.JSON)) == BATCH_MESSAGES
    for body, form in (
        (json.dumps([1] * (BATCH_MESSAGES + 1)).encode(), BodyForm.JSON),
        (b"1\n" * (BATCH_MESSAGES + 1), BodyForm.LINES),
        (b"\n" * 10**6, BodyForm.LINES),
    ):
        with pytest.raises(Problem) as refused:
            split(body, form)
        assert refused.value.status == 413


@shrinkers
def test_a_body_may_have_the_maximum_number_of_compressed_frames_and_no_more(name: str, shrink):
    assert inflate(shrink(b"{}") * MEMBERS, name.split()[0]) == b"{}" * MEMBERS
    with pytest.raises(Problem) as refused:
        inflate(shrink(b"{}") * (MEMBERS + 1), name.split()[0])
    assert (refused.value.status, refused.value.reason) == (413, "too_many_members")


def test_skippable_frames_count_as_frames():
    skippable = b"\x5f\x2a\x4d\x18\0\0\0\0"
    assert inflate(skippable * (MEMBERS - 1) + zstandard.compress(b"{}"), "zstd") == b"{}"
    assert status_of(skippable * MEMBERS + zstandard.compress(b"{}"), "zstd") == 413


def test_a_large_array_may_contain_only_messages():
    """Its elements are counted after all are parsed, so the parser must not be made to parse millions."""
    messages = b"[" + b",".join([b'{"a":1,"b":[1,2,3,4,5]}'] * BATCH_MESSAGES) + b"]"
    check_array(messages, BodyForm.JSON)
    assert len(split(messages, BodyForm.JSON)) == BATCH_MESSAGES
    check_array(b"[" + b"1," * 40_000 + b"1]", BodyForm.JSON)  # few enough to be counted one by one
    check_array(b"1," * 10**6, BodyForm.LINES)
    for element in (b"1", b"{}", b"[{}]", b'""'):
        with pytest.raises(Problem) as refused:
            check_array(b"[" + b",".join([element] * 100_000) + b"]", BodyForm.JSON)
        assert (refused.value.status, refused.value.reason) == (413, "too_many_values")
