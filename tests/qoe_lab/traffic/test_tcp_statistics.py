"""TCP statistics of connections that are made by hand, so that each value is known exactly."""

from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.traffic import FLOW_COLUMNS, LABEL_MANAGER_COLUMNS, TCP_COLUMNS, WRITTEN_AS, TcpStatistics, flow_row, label_manager_row
from qoe_lab.traffic.retransmission_kind import RetransmissionKind
from qoe_lab.traffic.sequence_space import SequenceSpace
from tests.qoe_lab.traffic.hand_made import (
    SACK_PERMITTED,
    Conversation,
    flows_of,
    mss,
    sack,
    timestamps,
    window_scale,
)

DOWN_NUMBER = 5000


def golden(**numbers) -> Conversation:
    """A request, and an answer with a loss, a receive window of zero and a probe of it. The capture is at the client."""
    made = Conversation(**numbers)
    block = tuple((numbers.get("down_number", DOWN_NUMBER) + edge) % 2**32 for edge in (3001, 3501))
    made.up(0, 0, 0, flags="S", options=mss(1460) + window_scale(7) + SACK_PERMITTED + timestamps(), window=29200)
    made.down(10, 0, 1, flags="SA", options=mss(1400) + window_scale(8) + SACK_PERMITTED, window=28960, ttl=55)
    made.up(10, 1, 1, window=500)
    made.up(20, 1, 1, data=100, window=500, options=timestamps())
    made.down(30, 1, 101, window=200, ttl=55)
    made.down(35, 1, 101, data=1000, window=200, ttl=54)
    made.down(36, 1001, 101, data=1000, window=200, ttl=55)
    made.up(37, 101, 2001, window=480)
    made.down(38, 3001, 101, data=500, window=200, ttl=55)
    made.up(39, 101, 2001, window=480, options=sack(block))
    made.down(60, 2001, 101, data=1000, window=200, ttl=55)
    made.up(61, 101, 3501, window=0)
    made.down(80, 3501, 101, data=1, window=200, ttl=55)
    made.down(180, 3501, 101, data=1, window=200, ttl=55)
    made.up(181, 101, 3502, window=490)
    made.up(200, 101, 3502, flags="FA", window=490)
    made.down(210, 3502, 102, flags="FA", window=201, ttl=55)
    made.up(211, 102, 3503, window=490)
    return made


GOLDEN_UP = {
    "packets": 9,
    "rst_sent": False,
    "ack_sent": 8,
    "pure_ack_sent": 6,
    "unique_bytes": 100,
    "data_pkts": 1,
    "data_bytes": 100,
    "rexmit_pkts": 0,
    "rexmit_bytes": 0,
    "out_seq_pkts": 0,
    "syn_count": 1,
    "fin_count": 1,
    "first_payload_ms": 20,
    "last_payload_ms": 20,
    "first_ack_ms": 10,
    "rtt_avg_ms": 10,
    "rtt_min_ms": 10,
    "rtt_max_ms": 10,
    "stdev_rtt_ms": 0,
    "rtt_count": 1,
    "handshake_rtt_ms": 10,
    "ttl_min": 64,
    "ttl_max": 64,
    "window_scale_sent": True,
    "timestamps_sent": True,
    "window_scale": 7,
    "sack_req": True,
    "sack_sent": 1,
    "mss_bytes": 1460,
    "max_seg_size_bytes": 100,
    "min_seg_size_bytes": 100,
    "win_max_bytes": 500 << 7,
    "win_min_bytes": 0,
    "win_zero": 1,
    "cwin_max_bytes": 100,
    "cwin_min_bytes": 100,
    "initial_cwin_bytes": 100,
    "rtx_rto": 0,
    "rtx_fr": 0,
    "reordering": 0,
    "net_dup": 0,
    "unknown": 0,
    "flow_control": 0,
    "unnece_rtx_rto": 0,
    "unnece_rtx_fr": 0,
    "different_syn_seqno": False,
}
GOLDEN_DOWN = {
    "packets": 9,
    "rst_sent": False,
    "ack_sent": 9,
    "pure_ack_sent": 1,
    "unique_bytes": 3501,
    "data_pkts": 6,
    "data_bytes": 3502,
    "rexmit_pkts": 1,  # the second probe
    "rexmit_bytes": 1,
    "out_seq_pkts": 1,  # what was lost before the capture and sent again
    "syn_count": 1,
    "fin_count": 1,
    "first_payload_ms": 35,
    "last_payload_ms": 180,
    "first_ack_ms": 30,
    "rtt_avg_ms": 1.25,  # 2, 1, 1 by the SACK block, and 1
    "rtt_min_ms": 1,
    "rtt_max_ms": 2,
    "stdev_rtt_ms": pytest.approx(0.1875**0.5),
    "rtt_count": 4,
    "handshake_rtt_ms": 0,
    "ttl_min": 54,
    "ttl_max": 55,
    "window_scale_sent": True,
    "timestamps_sent": False,
    "window_scale": 8,
    "sack_req": True,
    "sack_sent": 0,
    "mss_bytes": 1400,
    "max_seg_size_bytes": 1000,
    "min_seg_size_bytes": 1,
    "win_max_bytes": 201 << 8,
    "win_min_bytes": 200 << 8,
    "win_zero": 0,
    "cwin_max_bytes": 2000,
    "cwin_min_bytes": 1,
    "initial_cwin_bytes": 2000,
    "rtx_rto": 0,
    "rtx_fr": 1,
    "reordering": 0,
    "net_dup": 0,
    "unknown": 0,
    "flow_control": 1,
    "unnece_rtx_rto": 0,
    "unnece_rtx_fr": 0,
    "different_syn_seqno": False,
}


def test_a_golden_capture_gives_the_golden_value_of_each_column():
    flow = golden().flow()
    assert flow.up.tcp is not None
    assert flow.down.tcp is not None
    assert asdict(flow.up.tcp) == GOLDEN_UP
    assert asdict(flow.down.tcp) == GOLDEN_DOWN


def test_the_row_of_a_golden_flow_has_each_column_once():
    row = flow_row(golden().flow())
    assert list(row) == [column.name for column in FLOW_COLUMNS]
    own = {"protocol": "tcp", "client": "10.0.0.2", "client_port": 40000, "server": "10.0.0.1", "server_port": 80}
    times = {"begin_ns": 1_700_000_000_000_000_000, "end_ns": 1_700_000_000_211_000_000}
    up = {"frame_bytes": 634, "ip_bytes": 508, "payload_bytes": 100, "goodput_kbps": pytest.approx(0.8 / 0.211), **GOLDEN_UP}
    down = {
        "frame_bytes": 4000,
        "ip_bytes": 3874,
        "payload_bytes": 3502,
        "goodput_kbps": pytest.approx(28.008 / 0.211),
    } | GOLDEN_DOWN
    sides = {f"up_{name}": value for name, value in up.items()} | {f"down_{name}": value for name, value in down.items()}
    assert row == own | times | sides


def test_the_columns_are_the_fields_of_the_statistics():
    assert [column.name for column in TCP_COLUMNS] == [field.name for field in fields(TcpStatistics)]
    assert {kind.value for kind in RetransmissionKind} < {column.name for column in TCP_COLUMNS}


def test_the_label_manager_s_columns_have_the_values_of_their_names():
    assert label_manager_row([golden().flow(), golden().flow()]) == {
        "packets": 18,
        "data_pkts": 2,
        "data_bytes": 100,
        "rexmit_pkts": 0,
        "rexmit_bytes": 0,
        "rtt_avg": 10,
        "rtt_min": 10,
        "rtt_max": 10,
        "stdev_rtt": 0,
        "rtt_count": 2,
        "ttl_min": 64,
        "ttl_max": 64,
        "max_seg_size": 100,
        "min_seg_size": 100,
        "win_max": 64000,
        "win_min": 0,
        "rtx_RTO": 0,
        "rtx_FR": 0,
        "reordering": 0,
        "net_dup": 0,
        "flow_control": 0,
        "unnece_rtx_RTO": 0,
        "unnece_rtx_FR": 0,
    }
    assert set(label_manager_row([]).values()) == {None}


def test_twelve_of_the_22_columns_of_the_label_manager_have_a_wrong_name():
    assert len(WRITTEN_AS) == 22
    assert sum(name != right for name, right in WRITTEN_AS.items()) == 12
    assert {column.name for column in LABEL_MANAGER_COLUMNS} - set(WRITTEN_AS.values()) == {"ttl_min"}
    assert (WRITTEN_AS["ttl_max"], WRITTEN_AS["max_seg_size"], WRITTEN_AS["reordering"]) == (
        "max_seg_size",
        "min_seg_size",
        "net_dup",
    )


@given(up=st.integers(0, 2**32 - 1), down=st.integers(0, 2**32 - 1))
def test_no_initial_sequence_number_changes_a_value(up, down):
    flow = golden(up_number=up, down_number=down).flow()
    assert (asdict(flow.up.tcp), asdict(flow.down.tcp)) == (GOLDEN_UP, GOLDEN_DOWN)


@pytest.mark.parametrize("number", [2**32 - 1, 2**32 - 2, 2**32 - 1000, 2**32 - 2001, 2**32 - 3502])
def test_a_sequence_number_that_wraps_within_the_connection_changes_no_value(number):
    flow = golden(up_number=number, down_number=number).flow()
    assert (asdict(flow.up.tcp), asdict(flow.down.tcp)) == (GOLDEN_UP, GOLDEN_DOWN)


def test_ipv6_gives_the_same_values():
    flow = golden(version=6).flow()
    assert (asdict(flow.up.tcp), asdict(flow.down.tcp)) == (GOLDEN_UP, GOLDEN_DOWN)


# Why a segment is not the next in sequence


def kinds_of(statistics: TcpStatistics) -> dict[str, int]:
    """Without zeros."""
    values = asdict(statistics)
    return {kind.value: values[kind.value] for kind in RetransmissionKind if values[kind.value]}


def test_data_that_is_sent_again_after_a_long_time_counts_as_sent_after_a_timeout():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000)
    made.down(520, 1, data=1000)
    down = made.flow().down.tcp
    assert kinds_of(down) == {"rtx_rto": 1}
    assert (down.rexmit_pkts, down.rexmit_bytes, down.unique_bytes, down.out_seq_pkts) == (1, 1000, 1000, 0)


def test_retransmissions_in_the_recovery_after_a_timeout_count_as_sent_after_it():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(4):
        made.up(20 + number * 70, 1 + number * 100, data=100)
    made.up(800, 1, data=100)
    made.down(810, 1, 101)
    made.up(811, 101, data=100)
    made.up(812, 201, data=100)
    made.down(822, 1, 401)
    made.up(850, 301, data=100)  # the recovery is over, and this was acknowledged
    assert kinds_of(made.flow().up.tcp) == {"rtx_rto": 3, "unnece_rtx_rto": 1}


def test_data_that_is_sent_again_after_three_duplicate_acknowledgements_is_a_fast_retransmission():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(5):
        made.up(20 + number, 1 + number * 100, data=100)
    made.down(30, 1, 101)
    for number in range(3):
        made.down(32 + number, 1, 101)
    made.up(35, 101, data=100)
    assert kinds_of(made.flow().up.tcp) == {"rtx_fr": 1}


def test_two_duplicate_acknowledgements_report_no_loss():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(5):
        made.up(20 + number, 1 + number * 100, data=100)
    made.down(30, 1, 101)
    for number in range(2):
        made.down(32 + number, 1, 101)
    made.up(35, 101, data=100)
    assert kinds_of(made.flow().up.tcp) == {"unknown": 1}


def test_an_acknowledgement_with_another_window_or_with_data_is_no_duplicate():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(5):
        made.up(20 + number, 1 + number * 100, data=100)
    made.down(30, 1, 101)
    for number in range(3):
        made.down(31 + number, 1, 101, window=2000 + number)
        made.down(31 + number, 1 + number * 10, 101, data=10, window=2000 + number)
    made.up(35, 101, data=100)
    assert kinds_of(made.flow().up.tcp) == {"unknown": 1}


def test_one_sack_block_of_later_data_reports_a_loss():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(3):
        made.up(20 + number, 1 + number * 100, data=100)
    made.down(31, 1, 1, options=sack((1101, 1301)))
    made.up(33, 1, data=100)
    up = made.flow().up.tcp
    assert kinds_of(up) == {"rtx_fr": 1}
    assert (up.rtt_count, up.rtt_min_ms, up.rtt_max_ms) == (2, 9, 10)


def test_a_second_loss_in_the_same_recovery_is_a_fast_retransmission():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(6):
        made.up(20 + number, 1 + number * 100, data=100)
    for number in range(4):
        made.down(31 + number, 1, 1)
    made.up(36, 1, data=100)
    made.down(46, 1, 201)
    made.up(47, 201, data=100)
    assert kinds_of(made.flow().up.tcp) == {"rtx_fr": 2}


def test_a_segment_that_fills_a_gap_sooner_than_a_round_trip_was_reordered():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000)
    made.down(21, 2001, data=1000)
    made.down(23, 1001, data=1000)
    down = made.flow().down.tcp
    assert kinds_of(down) == {"reordering": 1}
    assert (down.out_seq_pkts, down.rexmit_pkts, down.unique_bytes) == (1, 0, 3000)


def test_a_segment_that_fills_a_gap_after_a_timeout_was_sent_again():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000)
    made.down(21, 2001, data=1000)
    made.down(400, 1001, data=1000)
    down = made.flow().down.tcp
    assert kinds_of(down) == {"rtx_rto": 1}
    assert (down.out_seq_pkts, down.rexmit_pkts) == (1, 0)


def test_a_packet_with_the_same_ip_identification_was_duplicated_by_the_network():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000, ip_id=77)
    made.down(20.1, 1, data=1000, ip_id=77)
    made.up(21, 1, 1001)
    made.down(22, 1, data=1000, ip_id=77)
    assert kinds_of(made.flow().down.tcp) == {"net_dup": 2}


def test_an_ip_identification_of_zero_does_not_show_a_duplicate():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000, ip_id=0)
    made.down(20.1, 1, data=1000, ip_id=0)
    assert kinds_of(made.flow().down.tcp) == {"unknown": 1}


def test_data_that_was_acknowledged_is_sent_again_without_need():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.down(40, 1, 101)
    made.up(600, 1, data=100)
    up = made.flow().up.tcp
    assert kinds_of(up) == {"unnece_rtx_rto": 1}
    assert (up.rtt_count, up.rtt_avg_ms) == (1, 20)


def test_data_that_was_reported_missing_and_came_late_is_sent_again_without_need():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(4):
        made.up(20 + number, 1 + number * 100, data=100)
    for number in range(4):
        made.down(31 + number, 1, 1)
    made.down(36, 1, 401)
    made.up(37, 1, data=100)
    assert kinds_of(made.flow().up.tcp) == {"unnece_rtx_fr": 1}


def test_one_byte_to_a_receiver_with_a_window_of_zero_is_flow_control():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, window=0)
    for number in range(3):
        made.down(300 + number * 400, 1, data=1)
    down = made.flow().down.tcp
    assert kinds_of(down) == {"flow_control": 2}  # the first one was new
    assert made.flow().up.tcp.win_zero == 1


def test_one_acknowledged_byte_to_keep_the_connection_alive_is_no_retransmission_of_a_known_kind():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000)
    made.up(21, 1, 1001)
    made.down(45_000, 1000, data=1)
    assert kinds_of(made.flow().down.tcp) == {"unknown": 1}


def test_a_tail_loss_probe_is_of_no_known_kind():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(45, 1, data=100)
    assert kinds_of(made.flow().up.tcp) == {"unknown": 1}


def test_a_gap_that_is_filled_after_a_round_trip_and_before_the_timeout_has_no_known_kind():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(20, 1, data=1000)
    made.down(21, 2001, data=1000)
    made.down(33, 1001, data=1000)
    assert kinds_of(made.flow().down.tcp) == {"unknown": 1}


@pytest.mark.parametrize(("waited_ms", "kind"), [(205, "unknown"), (215, "rtx_rto")])
def test_the_timeout_is_the_round_trip_and_200_ms(waited_ms, kind):
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(20 + waited_ms, 1, data=100)
    assert kinds_of(made.flow().up.tcp) == {kind: 1}


@pytest.mark.parametrize(("waited_ms", "kind"), [(899, "unknown"), (901, "rtx_rto")])
def test_without_a_round_trip_the_timeout_is_900_ms(waited_ms, kind):
    made = Conversation()
    made.up(20, 1, data=100)
    made.up(20 + waited_ms, 1, data=100)
    assert kinds_of(made.flow().up.tcp) == {kind: 1}


def test_repeated_acknowledgements_report_no_loss_while_nothing_is_in_flight():
    made = Conversation()
    made.handshake(rtt=10)
    for number in range(4):
        made.down(20 + number, 1, 1)
    made.up(30, 1, data=100)
    made.up(60, 1, data=100)
    assert kinds_of(made.flow().up.tcp) == {"unknown": 1}


def test_more_than_a_byte_to_a_window_of_zero_is_no_probe():
    made = Conversation()
    made.handshake(rtt=10)
    made.down(15, 1, data=1000)
    made.up(20, 1, window=0)
    made.up(30, 1, window=0)
    made.down(400, 1, data=1000)
    flow = made.flow()
    assert kinds_of(flow.down.tcp) == {"rtx_rto": 1}
    assert flow.up.tcp.win_zero == 2


def test_fin_is_not_in_flight():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(21, 101, flags="FA")
    made.up(400, 1, data=100)
    assert (made.flow().up.tcp.cwin_max_bytes, made.flow().up.tcp.cwin_min_bytes) == (100, 100)


def test_data_from_before_the_first_segment_of_the_capture_is_new():
    made = Conversation()
    made.down(20, 2001, data=1000)
    made.down(21, 1, data=500)
    made.down(22, 1501, data=1000)
    made.down(23, 501, data=1000)
    side = next(side for side in (made.flow().up.tcp, made.flow().down.tcp) if side.data_pkts)
    assert (side.unique_bytes, side.rexmit_bytes, side.out_seq_pkts, side.rexmit_pkts) == (3000, 500, 2, 1)


def test_a_segment_that_fills_two_gaps_was_missing_since_the_older_one():
    space = SequenceSpace(0)
    space.extend(10, 20, 100)
    space.extend(30, 40, 200)
    assert space.see(0, 40, 300) == (20, 20, 100)
    assert space.see(0, 40, 400) == (0, 40, None)


def test_a_window_scale_is_at_most_14():
    made = Conversation()
    made.handshake(options=window_scale(200), window=1)
    assert (made.flow().up.tcp.window_scale, made.flow().up.tcp.win_max_bytes) == (14, 1 << 14)


def test_syn_and_fin_are_sent_again_like_data():
    made = Conversation()
    made.up(0, 0, 0, flags="S")
    made.up(1000, 0, 0, flags="S")
    made.down(1010, 0, 1, flags="SA")
    made.up(1010, 1, 1)
    made.up(1020, 1, 1, flags="FA")
    made.up(1300, 1, 1, flags="FA")
    up = made.flow().up.tcp
    assert kinds_of(up) == {"rtx_rto": 2}
    assert (up.rexmit_pkts, up.rexmit_bytes, up.syn_count, up.fin_count, up.data_bytes) == (2, 0, 2, 2, 0)
    assert (up.different_syn_seqno, up.handshake_rtt_ms) == (False, None)  # Karn's rule holds for SYN too


def test_a_syn_with_another_sequence_number_before_any_data_belongs_to_the_same_flow():
    made = Conversation()
    made.up(0, 0, 0, flags="S")
    made.up(1000, 77, 0, flags="S")
    up = made.flow().up.tcp
    assert (up.different_syn_seqno, up.syn_count, up.rexmit_pkts) == (True, 2, 0)


def test_a_segment_that_repeats_old_data_and_adds_new_data_counts_each_byte_once():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(400, 51, data=100)
    up = made.flow().up.tcp
    assert (up.unique_bytes, up.data_bytes, up.rexmit_bytes, up.rexmit_pkts) == (150, 200, 50, 1)


# Round trips


def test_a_round_trip_is_from_data_to_the_acknowledgement_that_covers_it():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.down(50, 1, 101)
    made.up(60, 101, data=100)
    made.down(80, 1, 201)
    up = made.flow().up.tcp
    assert (up.rtt_count, up.rtt_min_ms, up.rtt_avg_ms, up.rtt_max_ms, up.stdev_rtt_ms) == (2, 20, 25, 30, 5)


def test_data_in_a_sack_block_has_its_round_trip_then_and_no_other_one_later():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(21, 101, data=100)
    made.down(31, 1, 1, options=sack((1101, 1201)))
    made.down(45, 1, 201)
    up = made.flow().up.tcp
    assert (up.rtt_count, up.rtt_min_ms, up.rtt_max_ms) == (2, 10, 25)


def test_data_that_was_sent_twice_has_no_round_trip():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(400, 1, data=100)
    made.down(410, 1, 101)
    assert (made.flow().up.tcp.rtt_count, made.flow().up.tcp.rtt_avg_ms) == (0, None)


def test_data_that_waited_at_the_receiver_for_what_was_lost_has_no_round_trip():
    made = Conversation()
    made.handshake(rtt=10)
    made.up(20, 1, data=100)
    made.up(21, 101, data=100)
    made.up(400, 1, data=100)
    made.down(410, 1, 201)
    assert made.flow().up.tcp.rtt_count == 0


# What the capture cannot show


def test_without_the_handshake_windows_and_options_are_unknown():
    made = Conversation()
    made.up(0, 1, 1, data=100)
    made.down(10, 1, 101, data=1000)
    made.up(11, 101, 1001, window=0)
    up = made.flow().up.tcp
    unknown = ("window_scale_sent", "timestamps_sent", "window_scale", "sack_req", "mss_bytes", "win_max_bytes", "win_min_bytes")
    assert [getattr(up, name) for name in (*unknown, "different_syn_seqno", "handshake_rtt_ms", "initial_cwin_bytes")] == [
        None
    ] * 10
    assert (up.win_zero, up.rtt_avg_ms, up.cwin_max_bytes) == (1, 10, None)


def test_without_the_other_direction_round_trips_and_flight_are_unknown():
    made = Conversation()
    for number in range(5):
        made.down(number, 1 + number * 1000, data=1000)
    flow = made.flow()
    sent = flow.up.tcp or flow.down.tcp
    side = sent if sent.data_pkts else flow.down.tcp
    assert (side.unique_bytes, side.rtt_count, side.rtt_avg_ms, side.cwin_max_bytes) == (5000, 0, None, None)


def test_a_reset_is_no_announcement_of_a_window():
    made = Conversation()
    made.handshake(window=500)
    made.up(20, 1, 1, flags="RA", window=0)
    up = made.flow().up.tcp
    assert (up.rst_sent, up.win_zero, up.win_min_bytes) == (True, 0, 500)


# Any packets


SEGMENTS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 2000),
        st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)),
        st.one_of(st.integers(0, 5000), st.integers(0, 2**32 - 1)),
        st.fixed_dictionaries(
            {
                "flags": st.sampled_from(["A", "A", "A", "PA", "S", "SA", "FA", "R", "RA", "", "SFRPA", "SF"]),
                "data": st.sampled_from([0, 0, 1, 100, 1460]),
                "window": st.sampled_from([0, 1, 65535]),
                "ip_id": st.integers(0, 3),
                "ttl": st.integers(0, 255),
                "options": st.sampled_from(
                    [b"", timestamps(), window_scale(14), SACK_PERMITTED, sack((5001, 6001), (1, 2)), bytes([5] * 8)]
                ),
            }
        ),
    ),
    max_size=40,
)


@given(segments=SEGMENTS)
def test_any_segments_in_any_order_give_values_that_agree_with_each_other(segments):
    made = Conversation()
    for from_client, ms, seq, ack, more in segments:
        (made.up if from_client else made.down)(ms, seq, ack, **more)
    flows = flows_of(made.packets())
    assert sum(flow.up.packets + flow.down.packets for flow in flows) == len(segments)
    for flow in flows:
        assert flow.begin_ns <= flow.end_ns
        for side in (flow.up.tcp, flow.down.tcp):
            agrees_with_itself(side)


def agrees_with_itself(side: TcpStatistics) -> None:
    assert sum(kinds_of(side).values()) == side.rexmit_pkts + side.out_seq_pkts <= side.packets
    assert side.pure_ack_sent <= side.ack_sent <= side.packets
    assert 0 <= side.rexmit_bytes <= side.data_bytes
    assert side.unique_bytes + side.rexmit_bytes == side.data_bytes
    assert side.ttl_max is None or side.ttl_max <= 255
    for least, most in (
        (side.ttl_min, side.ttl_max),
        (side.rtt_min_ms, side.rtt_max_ms),
        (side.rtt_min_ms, side.rtt_avg_ms),
        (side.min_seg_size_bytes, side.max_seg_size_bytes),
        (side.win_min_bytes, side.win_max_bytes),
        (side.cwin_min_bytes, side.cwin_max_bytes),
    ):
        assert (least is None) == (most is None)
        if least is not None and most is not None:
            assert 0 <= least <= most + 1e-9
