"""Hostile peers at a running bootstrapper and a running node: refused, counted by name, and other nodes are not disturbed."""

import asyncio
import contextlib
import json
import pickle
import random
import socket
import time
from collections.abc import AsyncIterator, Callable

from overlay.bootstrapper import Bootstrapper
from overlay.control import MOST_HANDSHAKES, ControlConnection, HandshakeFailedError, perform_handshake
from overlay.handshake_side import Connecting, Identity
from overlay.messages import LENGTH, Ack, Error, GeneralMessage, InstallTree, encode
from overlay.node import OverlayNode
from overlay.node_settings import NodeSettings, StreamChoice
from overlay.null_stream import packets
from overlay.overlay_file import read_overlay_file
from overlay.proofs import node_key
from overlay.reception import Arrival

SECRET = b"s" * 32
TOPOLOGY = {
    "s": {"neighbors": ["r"], "role": "source"},
    "r": {"neighbors": ["p"]},
    "p": {"neighbors": [], "role": "player"},
    "x": {"neighbors": ["r"]},
    "streams": {"news": {"source": "s"}},
}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def swarm() -> AsyncIterator[tuple[Bootstrapper, int, dict[str, OverlayNode], list[int]]]:
    """A bootstrapper, a source, a relay and a player that receives, all in this process on the loopback interface."""
    bootstrapper, ready, received = Bootstrapper(read_overlay_file(json.dumps(TOPOLOGY)), SECRET), asyncio.Future(), []
    tasks = [asyncio.create_task(bootstrapper.serve("127.0.0.1", 0, ready.set_result))]
    port = await ready

    def arrived(arrival: Arrival) -> None:
        received.append(int.from_bytes(arrival.rtp[2:4], "big"))

    def node(name: str, *plays: str) -> OverlayNode:
        settings = NodeSettings(
            name=name,
            key=node_key(SECRET, name),
            bootstrapper=("127.0.0.1", port),
            plays=tuple(StreamChoice(stream=each) for each in plays),
        )
        made = OverlayNode(settings, arrived)
        tasks.append(asyncio.create_task(made.run()))
        return made

    nodes = {"s": node("s"), "r": node("r"), "p": node("p", "news")}
    tasks.append(asyncio.create_task(originate(nodes["s"])))
    try:
        await until(lambda: nodes["p"].streams and nodes["p"].streams["news"].counts["data_received"] > 20)
        yield bootstrapper, port, nodes, received
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def originate(source: OverlayNode) -> None:
    for _, rtp in packets(2000.0, 1):
        source.originate("news", rtp)
        await asyncio.sleep(0.005)


async def answer_to(port: int, data: bytes) -> bytes:
    """Send bytes and read until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    return answer


def test_hostile_bytes_and_joins_are_refused_by_name_and_the_stream_continues():
    async def scenario() -> None:
        async with swarm() as (bootstrapper, port, nodes, _):
            joined, chance = bootstrapper.counts["joined"], random.Random(3)
            await answer_to(port, LENGTH.pack(2**32 - 1) + b"x" * 100)
            await answer_to(port, LENGTH.pack(40) + pickle.dumps(list(range(20))).ljust(40, b"."))
            for _ in range(20):
                await answer_to(port, LENGTH.pack(50) + chance.randbytes(50))
            assert bootstrapper.counts["refused_unreadable_message"] == 22
            await refused(port, "r", node_key(SECRET, "x"))
            assert bootstrapper.counts["refused_wrong_proof"] == 1
            await refused(port, "stranger", node_key(SECRET, "stranger"))
            assert bootstrapper.counts["refused_unknown_node"] == 1
            assert await replayed(port) == "replayed"
            assert bootstrapper.counts["refused_replayed"] == 1
            assert bootstrapper.counts["joined"] == joined + 1  # the join that was recorded
            await still_received(nodes["p"])

    asyncio.run(scenario())


async def refused(port: int, name: str, key: bytes) -> None:
    connection = await ControlConnection.open("127.0.0.1", port)
    try:
        await perform_handshake(
            connection, Connecting(Identity(node=name, tcp_port=1, udp_port=1), key=key, nonce=random.randbytes(16))
        )
    except HandshakeFailedError:
        return
    raise AssertionError(f"{name} was let in")


async def replayed(port: int) -> str:
    """Join as `x`, then send the same ACK on a new connection; the reason of the error that answers."""
    connection = await ControlConnection.open("127.0.0.1", port)
    side, sent = (
        Connecting(Identity(node="x", tcp_port=1, udp_port=1), key=node_key(SECRET, "x"), nonce=random.randbytes(16)),
        [],
    )
    send = connection.send
    connection.send = lambda message: (sent.append(message), send(message))[1]  # type: ignore[method-assign]
    await perform_handshake(connection, side)
    assert isinstance(sent[0], Ack)
    again = await ControlConnection.open("127.0.0.1", port)
    again.send(sent[0])
    answer = await again.receive()
    assert isinstance(answer, GeneralMessage)
    connection.close()
    again.close()
    return answer.body.reason


async def still_received(player: OverlayNode) -> None:
    before = player.streams["news"].counts["data_received"]
    await until(lambda: player.streams["news"].counts["data_received"] > before + 20)


def test_a_node_that_comes_back_before_its_old_connection_ends_gets_its_place_again():
    async def scenario() -> None:
        async with swarm() as (bootstrapper, port, nodes, _):
            connection = await ControlConnection.open("127.0.0.1", port)
            me = Identity(node="r", tcp_port=1, udp_port=1)
            await perform_handshake(connection, Connecting(me, key=node_key(SECRET, "r"), nonce=random.randbytes(16)))
            assert nodes["r"].counts["not_joined_closed"] == 0  # the relay does not know yet
            async with asyncio.timeout(10):
                while not (
                    isinstance(message := await connection.receive(), GeneralMessage) and isinstance(message.body, InstallTree)
                ):
                    assert message is not None
            assert (message.body.parent, message.body.children) == ("s", ["p"])
            assert bootstrapper.counts["joined"] == 4
            connection.close()

    asyncio.run(scenario())


def test_a_node_that_was_stopped_does_not_treat_its_neighbours_as_silent():
    async def scenario() -> None:
        async with swarm() as (_, _, nodes, _):
            time.sleep(1.0)  # noqa: ASYNC251 - all nodes run in this process, and do not run meanwhile
            await still_received(nodes["p"])
            assert all(node.counts["beats_late"] >= 1 for node in nodes.values())
            assert all(node.counts["neighbor_silent"] == 0 for node in nodes.values())

    asyncio.run(scenario())


def test_a_flood_of_idle_connections_is_refused_beyond_a_number_and_the_stream_continues():
    async def scenario() -> None:
        async with swarm() as (bootstrapper, port, nodes, _):
            idle, counts = [], bootstrapper.counts
            # On a busy machine, the first ones time out while others are opened.
            while counts["refused_too_many_handshakes"] < 20 and len(idle) < 10 * MOST_HANDSHAKES:
                idle.append(await asyncio.open_connection("127.0.0.1", port))
            assert counts["refused_too_many_handshakes"] >= 20
            await still_received(nodes["p"])
            for _, writer in idle:
                writer.close()
            refused = ("refused_too_many_handshakes", "refused_closed", "refused_timeout")
            await until(lambda: sum(counts[each] for each in refused) == len(idle))
            connection = await ControlConnection.open("127.0.0.1", port)
            me = Identity(node="x", tcp_port=1, udp_port=1)
            await perform_handshake(connection, Connecting(me, key=node_key(SECRET, "x"), nonce=random.randbytes(16)))
            connection.close()

    asyncio.run(scenario())


def test_datagrams_of_strangers_are_counted_and_get_no_answer():
    async def scenario() -> None:
        async with swarm() as (_, _, nodes, received):
            relay = nodes["r"]
            udp_port = relay._me.udp_port
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("127.0.0.1", 0))
                stranger.settimeout(0.2)
                for _ in range(50):
                    stranger.sendto(b"\x12\x20" + bytes(1300), ("127.0.0.1", udp_port))
                await until(lambda: relay.counts["data_from_stranger"] == 50)
                with contextlib.suppress(TimeoutError):
                    raise AssertionError(f"answered with {stranger.recv(10)!r}")
            await still_received(nodes["p"])
            await until(lambda: len(received) == len(set(received)) * 2)  # relay and player each saw every packet once
            assert relay.streams["news"].counts["data_unreadable"] == 0

    asyncio.run(scenario())


def test_a_neighbour_that_claims_to_be_another_is_refused():
    async def scenario() -> None:
        async with swarm() as (bootstrapper, _, nodes, _):
            relay = nodes["r"]
            await refused(relay._me.tcp_port, "s", node_key(SECRET, "x"))
            assert relay.counts["refused_wrong_proof"] == 1
            await refused(relay._me.tcp_port, "x", node_key(SECRET, "x"))
            assert relay.counts["refused_unknown_node"] == 1  # x has not joined, so it is no neighbour yet
            assert "x" not in bootstrapper.members
            await still_received(nodes["p"])

    asyncio.run(scenario())


def test_a_receiver_that_does_not_read_is_disconnected():
    async def scenario() -> None:
        async with swarm() as (bootstrapper, port, nodes, _):
            connection = await ControlConnection.open("127.0.0.1", port)
            me = Identity(node="x", tcp_port=1, udp_port=1)
            await perform_handshake(connection, Connecting(me, key=node_key(SECRET, "x"), nonce=random.randbytes(16)))
            await until(lambda: "x" in bootstrapper.members)
            big = encode(GeneralMessage(node="b", body=_long_error()))
            member = bootstrapper.members["x"].connection
            for _ in range(20 * (1 << 20) // len(big)):
                member.send(GeneralMessage(node="b", body=_long_error()))
            await until(lambda: "x" not in bootstrapper.members)
            await still_received(nodes["p"])
            connection.close()

    asyncio.run(scenario())


def _long_error() -> Error:
    return Error(reason="x" * 1000)


def test_the_neighbours_of_a_node_with_several_addresses_learn_the_one_on_which_it_listens():
    async def scenario() -> None:
        async with swarm() as (_, port, nodes, _):
            settings = NodeSettings(name="x", key=node_key(SECRET, "x"), bootstrapper=("127.0.0.1", port), host="127.0.0.2")
            running = asyncio.create_task(OverlayNode(settings).run())
            await until(lambda: "x" in nodes["r"].neighbors and nodes["r"].neighbors["x"].connection is not None)
            assert nodes["r"].neighbors["x"].contact.host == "127.0.0.2"
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


def test_a_player_that_pauses_gets_nothing_until_it_plays_again():
    async def scenario() -> None:
        async with swarm() as (bootstrapper, _, nodes, _):
            player, received = nodes["p"], nodes["p"].streams["news"].counts
            player.membership.pause("news")
            await until(lambda: player.streams["news"].parent is None)
            await until(lambda: nodes["r"].streams["news"].children == [])
            before = received["data_received"]
            await asyncio.sleep(0.2)  # 40 packets of the source
            assert received["data_received"] <= before + 1
            player.membership.play("news")
            await until(lambda: received["data_received"] > before + 20)
            assert bootstrapper.counts["left"] == 0

    asyncio.run(scenario())
