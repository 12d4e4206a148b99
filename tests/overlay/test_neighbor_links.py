"""Links with TCP: media waits for a slow receiver in a queue of bounded size, and what does not fit is dropped and counted."""

import asyncio
import socket
import time
from collections import Counter

import pytest

from overlay.control import ControlConnection
from overlay.control_datagram import read_control_datagram
from overlay.datagrams import LONGEST_BYTES, Datagrams, bound_socket
from overlay.known_neighbor import KnownNeighbor
from overlay.messages import Data, GeneralMessage, Nack, Neighbor
from overlay.neighbor_links import IP_TCP_BYTES, MOST_QUEUED_BYTES, NeighborLinks
from overlay.overlay_file import OverlayFileError, read_overlay_file

KEY = b"k" * 32
PACKETS = [number.to_bytes(4, "big") + bytes(1344) for number in range(20_000)]


def neighbor(transport: str) -> KnownNeighbor:
    return KnownNeighbor(Neighbor(node="b", host="127.0.0.1", tcp_port=1, udp_port=9, transport=transport), KEY)


async def pair() -> tuple[ControlConnection, ControlConnection]:
    one, other = socket.socketpair()
    found = []
    for end in (one, other):
        end.setblocking(False)
        found.append(await asyncio.open_connection(sock=end))
    for _, writer in found:  # the ends of a pair have no address
        writer.transport._extra["peername"] = ("127.0.0.1", 1)
    return ControlConnection(*found[0]), ControlConnection(*found[1])


def test_a_slow_receiver_loses_what_does_not_fit_into_the_queue_and_gets_all_else_in_order():
    async def scenario() -> None:
        known, counts = neighbor("tcp"), Counter[str]()
        known.connection, receiver = await pair()
        links = NeighborLinks("a", {"b": known}, counts)
        for packet in PACKETS[:1000]:
            links.send("b", packet)
        dropped = counts["data_dropped_for_slow_receiver"]
        assert 0 < dropped < 1000
        assert known.connection.unsent_bytes() < MOST_QUEUED_BYTES + 2 * len(PACKETS[0])
        got = [await receiver.receive() for _ in range(1000 - dropped)]
        assert got == [Data(packet=packet) for packet in PACKETS[: 1000 - dropped]]
        links.send("b", PACKETS[1000])  # there is room again
        assert await receiver.receive() == Data(packet=PACKETS[1000])
        assert counts["data_dropped_for_slow_receiver"] == dropped
        assert links.sent_bytes == (1001 - dropped) * (len(PACKETS[0]) + IP_TCP_BYTES)

    asyncio.run(scenario())


def test_datagrams_that_the_kernel_does_not_take_wait_in_a_queue_of_bounded_size_and_the_rest_is_counted_by_child():
    async def scenario() -> None:
        known, counts = neighbor("udp"), Counter[str]()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as full:
            full.setblocking(False)
            full.bind(("127.0.0.1", 0))
            blocked = BlockedSocket(full)
            links, datagrams = NeighborLinks("a", {"b": known}, counts), Datagrams(blocked, received=lambda *_: None)
            links.datagrams = datagrams
            for packet in PACKETS[:1000]:
                links.send("b", packet)
            waiting, sent_s = datagrams.queued_bytes, known.media_sent_s
            links.send("b", PACKETS[1000])
            assert known.media_sent_s == sent_s > 0  # what is dropped is no sign of life
            async with asyncio.timeout(30):
                blocked.blocks = False
                while datagrams.queued_bytes:  # noqa: ASYNC110 - it is no event
                    await asyncio.sleep(0.01)
            datagrams.close()
        assert waiting < MOST_QUEUED_BYTES + 10 * len(PACKETS[0])
        assert counts["data_dropped_for_full_interface"] == known.dropped == 1001 - blocked.taken > 800

    asyncio.run(scenario())


class BlockedSocket(socket.socket):
    """A socket whose interface takes nothing as long as `blocks` is true."""

    def __init__(self, real: socket.socket) -> None:
        super().__init__(fileno=real.dup().detach())
        self.blocks, self.taken = True, 0

    def sendto(self, *_: object) -> int:
        if self.blocks:
            raise BlockingIOError
        self.taken += 1
        return 0


def test_on_a_link_with_tcp_requests_travel_on_the_connection_and_on_others_in_datagrams():
    async def scenario() -> None:
        known, counts = neighbor("tcp"), Counter[str]()
        links = NeighborLinks("a", {"b": known}, counts)
        nack = Nack(stream="news", ranges=[(1, 2)])
        links.send("b", PACKETS[0])
        links.request("b", nack)  # nothing happens without a connection
        assert counts == {"data_without_connection": 1}
        known.connection, receiver = await pair()
        links.request("b", nack)
        assert await receiver.receive() == GeneralMessage(node="a", body=nack)

        arrived = asyncio.Queue[tuple[bytes, object, float]]()
        listening = Datagrams(await bound_socket("127.0.0.1"), lambda *each: arrived.put_nowait(each))
        listening.read_each(True)
        port = listening.socket.getsockname()[1]
        on_udp = KnownNeighbor(Neighbor(node="c", host="127.0.0.1", tcp_port=1, udp_port=port), KEY)
        links = NeighborLinks("a", {"c": on_udp}, counts)
        links.datagrams = Datagrams(await bound_socket("127.0.0.1"), lambda *_: None)
        links.request("c", nack)
        async with asyncio.timeout(30):
            data, sender, _ = await arrived.get()
        assert read_control_datagram("a", KEY, data) == GeneralMessage(node="a", body=nack)
        assert sender == links.datagrams.socket.getsockname()
        await _arrives_when_it_is_sent(links, nack, listening, arrived)
        listening.close()
        links.datagrams.close()

    asyncio.run(scenario())


async def _arrives_when_it_is_sent(
    links: NeighborLinks, nack: Nack, listening: Datagrams, arrived: "asyncio.Queue[tuple[bytes, object, float]]"
) -> None:
    """Datagrams that wait are read with the times at which they arrived, and what is too long is none of the overlay."""
    listening.read_each(False)
    before_s = time.monotonic()
    links.request("c", nack)
    sent_s = time.monotonic()
    assert links.datagrams is not None
    links.datagrams.send(bytes(LONGEST_BYTES + 1), listening.socket.getsockname())
    links.request("c", nack)
    while time.monotonic() < sent_s + 0.02:  # noqa: ASYNC110 - the time of reading has to be another one
        await asyncio.sleep(0)
    assert arrived.empty()
    listening.read()
    assert arrived.qsize() == 2
    assert before_s - 0.001 < arrived.get_nowait()[2] < sent_s + 0.001


def test_the_topology_names_the_links_with_tcp():
    nodes = '"a": {"neighbors": ["b"]}, "b": {"neighbors": []}'
    overlay = read_overlay_file(f'{{{nodes}, "links": [{{"between": ["a", "b"], "transport": "tcp"}}]}}')
    assert overlay.links["a", "b"].transport == "tcp"
    with pytest.raises(OverlayFileError, match="write udp or tcp"):
        read_overlay_file(f'{{{nodes}, "links": [{{"between": ["a", "b"], "transport": "sctp"}}]}}')
