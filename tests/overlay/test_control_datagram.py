"""Control messages on UDP: signed with the key of the link, short, and unreadable for a node that knows only media."""

import pytest

from overlay.control_datagram import LONGEST_BYTES, control_datagram, is_control, read_control_datagram
from overlay.data_header import DataHeaderError, read_data_header
from overlay.messages import Error, GeneralMessage, Nack, Ping, ProtocolError
from overlay.proofs import Purpose, proof

KEY = b"k" * 32
NACK = GeneralMessage(node="p", body=Nack(stream="news", ranges=[(2**32 - 1 - 2 * each, 2**32 - 1) for each in range(64)]))


@pytest.mark.parametrize("message", [Ping(node="p", number=7), NACK])
def test_a_message_is_read_as_it_was_sent(message: Ping | GeneralMessage):
    datagram = control_datagram("p", KEY, message)
    assert is_control(datagram)
    assert read_control_datagram("p", KEY, datagram) == message


def test_a_datagram_of_another_sender_key_or_text_is_refused():
    datagram = control_datagram("p", KEY, NACK)
    assert read_control_datagram("q", KEY, datagram) is None
    assert read_control_datagram("p", b"x" * 32, datagram) is None
    for changed in (0x20, 5, 20, len(datagram) - 1):
        wrong = bytearray(datagram)
        wrong[min(changed, len(wrong) - 1)] ^= 1
        assert read_control_datagram("p", KEY, bytes(wrong)) is None
    for end in range(1, 30):
        assert read_control_datagram("p", KEY, datagram[:end]) is None


def test_an_invalid_message_with_a_valid_proof_is_a_protocol_error():
    signed = b"\x20" + proof(KEY, Purpose.DATAGRAM, "p", b"\x01")[:16] + b"\x01"
    with pytest.raises(ProtocolError):
        read_control_datagram("p", KEY, signed)
    with pytest.raises(ProtocolError, match=r"the longest has 1200"):
        read_control_datagram("p", KEY, b"\x20" + bytes(LONGEST_BYTES))


def test_a_message_that_does_not_fit_is_not_sent():
    with pytest.raises(ValueError, match="send less at once"):
        control_datagram("p", KEY, GeneralMessage(node="p", body=Error(reason="x" * 1024), path=["n" * 64] * 3))


def test_a_node_of_the_first_version_counts_the_datagram_as_unreadable():
    with pytest.raises(DataHeaderError, match="version 2"):
        read_data_header(control_datagram("p", KEY, NACK))
