"""The streams of one node: it leaves an old parent last, asks a silent parent again, and replays without a burst."""

import asyncio
import time
from collections import Counter

from overlay.control_datagram import LONGEST_BYTES, control_datagram
from overlay.distribution import LOSSY_S, REPLAYED_AT_ONCE, Distribution
from overlay.link_repair import MOST_MISSING
from overlay.messages import Body, GeneralMessage, Graft, InstallTree, Nack, Prune
from overlay.reception import Arrival
from tests.overlay.test_forwarding import packet, place


class Written:
    """The messages and packets that a node has sent; `connected` names the neighbours that a control message reaches."""

    def __init__(self, *connected: str) -> None:
        self.connected = {*connected}
        self.sent: list[tuple[str, Body]] = []
        self.requests: list[tuple[str, Nack]] = []
        self.packets: list[tuple[str, bytes]] = []

    def send_message(self, neighbor: str, body: Body) -> bool:
        if neighbor in self.connected:
            self.sent.append((neighbor, body))
        return neighbor in self.connected

    def send(self, neighbor: str, data: bytes) -> None:
        self.packets.append((neighbor, data))

    def request(self, neighbor: str, body: Nack) -> None:
        self.requests.append((neighbor, body))

    def round_trip_s(self, neighbor: str) -> float:
        return 0.01


def node(links: Written, tree: InstallTree, *, heard: list[Arrival] | None = None) -> tuple[Distribution, Counter[str]]:
    counts: Counter[str] = Counter()
    made = Distribution(links, counts, heard.append if heard is not None else None)
    made.install(tree)
    return made, counts


def test_packets_are_urgent_for_a_node_with_children_and_for_one_whose_link_loses_some():
    async def scenario() -> None:
        links, now_s = Written("up"), time.monotonic()
        relay, _ = node(links, place("child", parent="up"))
        leaf, _ = node(links, place(parent="up"))
        assert (relay.is_urgent(now_s), leaf.is_urgent(now_s)) == (True, False)
        leaf.arrived("up", packet(1), now_s)
        assert not leaf.is_urgent(now_s)
        leaf.arrived("up", packet(3), now_s)
        assert leaf.is_urgent(time.monotonic())
        assert not leaf.is_urgent(time.monotonic() + LOSSY_S)
        leaf.handle_request("child", Graft(stream="news"))
        assert leaf.is_urgent(time.monotonic() + LOSSY_S)
        leaf.close()

    asyncio.run(scenario())


def test_a_fast_stream_would_fill_the_buffer_of_the_socket_so_its_packets_are_urgent():
    for every_s, urgent in ((0.01, False), (0.0005, True)):
        leaf, _ = node(Written("up"), place(parent="up"))
        for number in range(20):
            leaf.arrived("up", packet(number), 100.0 + number * every_s)
        assert leaf.is_urgent(101.0) == urgent


def test_the_old_parent_is_left_when_the_new_one_delivers():
    links = Written("old", "new")
    made, _ = node(links, place(parent="old"))
    made.arrived("old", packet(1), time.monotonic())
    made.install(place(parent="new", epoch=2))
    assert links.sent == [("old", Graft(stream="news")), ("new", Graft(stream="news", from_sequence=2))]
    made.arrived("old", packet(2), time.monotonic() + 0.1)
    assert len(links.sent) == 2
    made.arrived("new", packet(3), time.monotonic() + 0.2)
    assert links.sent[2:] == [("old", Prune(stream="news"))]


def test_a_parent_that_delivers_nothing_is_asked_again_for_what_is_missing_then():
    links = Written("up")
    made, counts = node(links, place(parent="up"))
    asked_s = made.streams["news"].asked_s
    assert asked_s is not None
    made.retry_requests(asked_s + 0.2)
    assert counts["grafts_repeated"] == 0
    made.retry_requests(asked_s + 0.4)
    assert [body for _, body in links.sent] == [Graft(stream="news")] * 2
    made.arrived("up", packet(1), asked_s + 0.5)
    made.retry_requests(asked_s + 10)
    assert counts["grafts_repeated"] == 1


def test_a_parent_without_a_backup_is_asked_when_it_returns():
    links = Written("up")
    made, counts = node(links, place(parent="up"))
    made.arrived("up", packet(1), time.monotonic())
    made.lost("up")
    assert (made.streams["news"].parent, counts["failovers"]) == (None, 0)
    made.connected("up")
    assert links.sent[1:] == [("up", Graft(stream="news", from_sequence=2))]
    assert made.streams["news"].parent == "up"


def test_a_backup_that_the_bootstrapper_does_not_know_stays_until_it_names_another_one():
    made, _ = node(Written("up", "b"), place(parent="up", backup="b"))
    news = made.streams["news"]
    made.install(place(parent="up", epoch=2), {"b"})
    assert news.tree.backup == "b"
    made.install(place(parent="up", epoch=3), {"c"})
    assert news.tree.backup is None  # it knows the neighbour, and does not want it as a backup
    made.install(place(parent="up", backup="c", epoch=4), {"b"})
    assert news.tree.backup == "c"
    made.install(place(parent="c", epoch=5), {"c"})
    assert news.tree.backup is None


def test_a_node_without_a_parent_takes_the_planned_one_back_even_if_it_waits_for_its_backup():
    links = Written("up")
    made, _ = node(links, place(parent="up", backup="b"))
    links.connected.remove("up")
    made.lost("up")
    assert (made.streams["news"].parent, made.streams["news"].wanted) == (None, "b")
    links.connected.add("up")
    made.connected("up")
    assert (made.streams["news"].parent, made.streams["news"].wanted) == ("up", None)


def test_when_a_parent_fails_its_backup_is_asked_at_once():
    links = Written("up", "backup")
    made, counts = node(links, place(parent="up", backup="backup"))
    made.arrived("up", packet(1), time.monotonic())
    made.lost("up")
    assert links.sent[1:] == [("backup", Graft(stream="news", from_sequence=2))]
    assert (made.streams["news"].parent, counts["failovers"]) == ("backup", 1)


def test_a_relay_that_returns_to_a_stream_requests_no_earlier_packets():
    links, heard = Written("up"), []
    made, counts = node(links, place("child", parent="up"), heard=heard)
    for number in (1, 2, 3):
        made.arrived("up", packet(number), time.monotonic())
    made.install(place(parent=None, epoch=2))
    made.handle_request("child", Prune(stream="news"))
    made.arrived("up", packet(4), time.monotonic() + 0.1)
    assert counts["data_not_wanted"] == 1
    made.install(place("child", parent="up", epoch=3))
    assert links.sent[-2:] == [("up", Prune(stream="news")), ("up", Graft(stream="news"))]
    made.arrived("up", packet(200), time.monotonic() + 1)
    assert links.requests == []  # what it was not sent meanwhile is not missing
    assert len(heard) == 4


def test_a_standby_asks_for_what_its_child_misses():
    links = Written("up")
    made, _ = node(links, place(parent=None, backup="up"))
    made.handle_request("child", Graft(stream="news", from_sequence=70))
    assert links.sent == [("up", Graft(stream="news", from_sequence=70))]


def test_a_stream_that_is_not_known_yet_is_counted():
    links = Written("up")
    made, counts = node(links, place(parent="up"))
    made.handle_request("child", Graft(stream="other"))
    assert counts["unknown_stream"] == 1
    made.repeat("child", Nack(stream="other", ranges=[(1, 1)]))
    assert counts["unknown_stream"] == 2


def test_a_replay_begins_with_a_few_packets_and_continues_faster_than_the_stream():
    async def scenario() -> None:
        links = Written("up")
        made, _ = node(links, place(parent="up"))
        for number in range(100):
            made.arrived("up", packet(number), time.monotonic() + number / 1000)
        made.handle_request("child", Graft(stream="news", from_sequence=0))
        assert len(links.packets) == REPLAYED_AT_ONCE
        async with asyncio.timeout(10):
            while len(links.packets) < 100:  # noqa: ASYNC110 - a replay has no event
                await asyncio.sleep(0.005)
        made.close()

    asyncio.run(scenario())


def test_gaps_are_requested_on_udp_and_a_child_gets_its_packets_again():
    async def scenario() -> None:
        links = Written("up")
        made, counts = node(links, place("child", parent="up"))
        for number in (1, 2, 5):
            made.arrived("up", packet(number), time.monotonic())
        assert links.requests == [("up", Nack(stream="news", ranges=[(3, 4)]))]
        links.packets.clear()
        made.repeat("child", Nack(stream="news", ranges=[(2, 2), (3, 9)]))
        assert [data[-13:] for _, data in links.packets] == [packet(2)[-13:], packet(5)[-13:]]
        assert made.streams["news"].counts["repeats_too_old"] == 6
        assert not counts
        made.close()

    asyncio.run(scenario())


def test_the_largest_request_fits_into_a_datagram():
    async def scenario() -> None:
        links = Written("up")
        made, _ = node(links, place(parent="up"))
        made.arrived("up", packet(1), time.monotonic())
        for number in range(3, MOST_MISSING, 2):
            made.arrived("up", packet(number), time.monotonic())
        async with asyncio.timeout(30):
            while not links.requests:  # noqa: ASYNC110 - a request has no event
                await asyncio.sleep(0.005)
        made.close()
        for neighbor, body in links.requests:
            assert len(control_datagram("n" * 64, bytes(32), GeneralMessage(node="n" * 64, body=body))) <= LONGEST_BYTES
            assert neighbor == "up"

    asyncio.run(scenario())
