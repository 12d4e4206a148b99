"""TCP statistics of connections made by hand: each value is known exactly."""

from tests.qoe_lab.traffic.hand_made import Conversation


def test_a_round_trip_is_from_data_to_the_acknowledgement_that_covers_it():
    conversation = Conversation()
    conversation.handshake(rtt=10)
    conversation.up(20, 1, data=100)
    conversation.down(50, 1, 101)
    conversation.up(60, 101, data=100)
    conversation.down(80, 1, 201)
    up = conversation.flow().up.tcp
    assert (up.rtt_count, up.rtt_min_ms, up.rtt_avg_ms, up.rtt_max_ms, up.stdev_rtt_ms) == (2, 20, 25, 30, 5)
    assert up.handshake_rtt_ms == 10


def test_a_retransmission_after_a_timeout_is_one():
    conversation = Conversation()
    conversation.handshake(rtt=10)
    conversation.down(20, 1, data=1000)
    conversation.down(520, 1, data=1000)
    down = conversation.flow().down.tcp
    assert (down.rexmit_pkts, down.rexmit_bytes, down.unique_bytes, down.rtx_rto) == (1, 1000, 1000, 1)
