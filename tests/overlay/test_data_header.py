"""The data header: 20 bytes are decoded as they were encoded, and invalid ones are refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.data_header import HEADER_BYTES, MOST_HOPS, DataHeader, DataHeaderError, Flags, read_data_header

HEADER = DataHeader(stream=7, tree_epoch=3, link_sequence=2**32 - 1, origin_us=1_700_000_000_000_000, flags=Flags.PARITY)
GOLDEN = bytes.fromhex("1220000700000003ffffffff00060a24181e4000")


def test_the_golden_bytes_are_written_and_read():
    assert HEADER.packed() == GOLDEN
    assert read_data_header(GOLDEN + b"rtp") == HEADER


@settings(max_examples=50)
@given(
    st.builds(
        DataHeader,
        stream=st.integers(0, 2**16 - 1),
        tree_epoch=st.integers(0, 2**32 - 1),
        link_sequence=st.integers(0, 2**32 - 1),
        origin_us=st.integers(0, 2**64 - 1),
        hops_left=st.integers(1, MOST_HOPS),
        flags=st.integers(0, 15),
    )
)
def test_a_header_is_decoded_as_it_was_encoded(header: DataHeader):
    packed = header.packed()
    assert len(packed) == HEADER_BYTES
    assert read_data_header(packed + b"x") == header


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused_or_read_as_they_are(packet: bytes):
    try:
        header = read_data_header(packet)
    except DataHeaderError:
        return
    assert header.packed() == packet[:HEADER_BYTES]


@pytest.mark.parametrize(
    ("packet", "error"),
    [
        (GOLDEN, "more than 20 bytes, this one 20"),
        (b"\x20" + GOLDEN[1:] + b"x", "version 2 of the data header; this node knows version 1"),
        (GOLDEN[:1] + b"\x00" + GOLDEN[2:] + b"x", "0 hops are left"),
        (GOLDEN[:1] + b"\xff" + GOLDEN[2:] + b"x", "255 hops are left"),
    ],
)
def test_a_packet_that_cannot_be_forwarded_is_refused_with_the_reason(packet: bytes, error: str):
    with pytest.raises(DataHeaderError, match=error):
        read_data_header(packet)
