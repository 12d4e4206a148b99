"""One stream at one node: forwarded once, replayed when asked, counted by name."""

from overlay.data_header import HEADER_BYTES, MOST_HOPS, DataHeader, Flags, read_data_header
from overlay.forwarding import RING_S, Forwarding, rtp_sequence
from overlay.messages import InstallTree


def place(*children: str, epoch: int = 1, parent: str | None = "up", backup: str | None = None) -> InstallTree:
    return InstallTree(stream="news", stream_number=7, tree_epoch=epoch, parent=parent, children=list(children), backup=backup)


def packet(sequence: int, *, hops_left: int = MOST_HOPS) -> bytes:
    header = DataHeader(stream=7, tree_epoch=1, link_sequence=sequence, origin_us=5, hops_left=hops_left)
    return header.packed() + b"\x80\x21" + (sequence % 65536).to_bytes(2, "big") + bytes(8) + b"media"


def test_each_child_gets_each_packet_once_with_its_own_link_sequence_and_one_hop_less():
    forwarding = Forwarding(place("a", "b"))
    for sequence in range(3):
        sent = forwarding.arrived(packet(sequence), sequence / 10)
        assert [child for child, _ in sent] == ["a", "b"]
        for _, copy in sent:
            header = read_data_header(copy)
            assert (header.link_sequence, header.hops_left) == (sequence + 1, MOST_HOPS - 1)
            assert copy[HEADER_BYTES:] == packet(sequence)[HEADER_BYTES:]
    assert forwarding.arrived(packet(1), 1.0) == []
    assert (forwarding.counts["data_received"], forwarding.counts["data_sent"], forwarding.counts["data_duplicate"]) == (3, 6, 1)


def test_a_child_that_grafts_gets_what_it_misses_first_and_then_everything():
    forwarding = Forwarding(place())
    for number in range(65530, 65540):  # over the wrap of the sequence number
        assert forwarding.arrived(packet(number), 0.0) == []
    replayed = list(forwarding.graft("late", 65534))
    assert [rtp_sequence(copy) for _, copy in replayed] == [65534, 65535, 0, 1, 2, 3]
    assert all(read_data_header(copy).flags & Flags.RETRANSMITTED for _, copy in replayed)
    assert [child for child, _ in forwarding.arrived(packet(65540), 0.1)] == ["late"]
    assert forwarding.counts["data_replayed"] == 6


def test_a_child_that_asks_for_no_earlier_packet_gets_none():
    forwarding = Forwarding(place())
    forwarding.arrived(packet(1), 0.0)
    assert list(forwarding.graft("late", None)) == []


def test_the_ring_holds_two_seconds():
    forwarding = Forwarding(place(parent="up"))
    forwarding.parent = "up"
    for tenth in range(40):
        forwarding.arrived(packet(tenth), tenth / 10)
    kept = [rtp_sequence(copy) for _, copy in forwarding.graft("late", 0)]
    assert kept == list(range(39 - round(RING_S * 10), 40))
    assert forwarding.lacks(0)
    assert not forwarding.lacks(30)


def test_a_gap_between_the_packets_of_two_parents_is_requested():
    forwarding = Forwarding(place())
    assert forwarding.first_missing() is None
    for number in (65534, 65535, 65538, 65539):
        forwarding.arrived(packet(number), 0.0)
    assert forwarding.first_missing() == 0
    forwarding.arrived(packet(65536), 0.0)
    forwarding.arrived(packet(65537), 0.0)
    assert forwarding.first_missing() == 4


def test_a_node_without_a_parent_has_no_packets_for_a_child():
    forwarding = Forwarding(place(parent=None, backup="up"))
    assert forwarding.lacks(None)
    forwarding.parent = "up"
    assert not forwarding.lacks(None)


def test_a_child_that_a_new_tree_moves_elsewhere_is_fed_until_it_leaves():
    forwarding = Forwarding(place("a"))
    list(forwarding.graft("late", None))
    forwarding.install(place("b", epoch=2))
    assert forwarding.children == ["b", "a", "late"]
    forwarding.prune("a")
    forwarding.prune("late")
    assert forwarding.children == ["b"]


def test_a_child_that_left_before_the_tree_came_is_not_fed_again():
    forwarding = Forwarding(place("a", "b"))
    forwarding.prune("a")
    forwarding.install(place("b", epoch=2))
    assert forwarding.children == ["b"]
    list(forwarding.graft("a", None))
    assert forwarding.children == ["b", "a"]


def test_an_older_tree_changes_nothing():
    forwarding = Forwarding(place("a"))
    forwarding.install(place("b", epoch=0))
    assert forwarding.children == ["a"]
    assert forwarding.counts["tree_older"] == 1


def test_a_packet_with_too_many_hops_is_not_forwarded():
    forwarding = Forwarding(place("a"))
    assert forwarding.arrived(packet(1, hops_left=1), 0.0) == []
    assert forwarding.counts["data_too_far"] == 1


def test_an_invalid_data_packet_is_dropped_and_counted():
    forwarding = Forwarding(place("a"))
    for wrong in (b"", b"x" * 40, packet(1)[: HEADER_BYTES + 11], b"\xff" + packet(1)[1:]):
        assert forwarding.arrived(wrong, 0.0) == []
    assert forwarding.counts["data_unreadable"] == 4


def test_a_source_sends_its_packets_with_all_hops_but_one():
    forwarding = Forwarding(place("a", parent=None))
    ((child, sent),) = forwarding.originated(packet(9)[HEADER_BYTES:], 0.0, 123)
    header = read_data_header(sent)
    assert (child, header.stream, header.origin_us, header.hops_left) == ("a", 7, 123, MOST_HOPS - 1)
