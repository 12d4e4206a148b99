"""One simulation from the first join to the last acknowledgement. Each end host has two tasks: a player and the message
delivery.
"""

import asyncio
from collections.abc import Iterator

import aiohttp

from endhost_sdk.telemetry_settings import feedback_urls
from swarmscope.audience.addresses import hong_kong_networks
from swarmscope.audience.delivery import MessageDelivery, OnAcknowledged
from swarmscope.audience.end_hosts import EndHost, end_host, random_for
from swarmscope.audience.lateness import Lateness
from swarmscope.audience.message_counts import MessageCounts
from swarmscope.audience.planned_sessions import arrives_s, ramp_s
from swarmscope.audience.scenario import scenario
from swarmscope.audience.settings import Settings
from swarmscope.audience.simulated_player import SimulatedPlayer
from swarmscope.audience.steps import ScenarioStep

GIVE_UP_S = 30.0
"""After the end, seconds without a final answer until the waiting messages are given up."""
TIMEOUT_S = 10.0
CONNECTIONS = 256
KEEP_ALIVE_S = 10.0
"""Shorter than the servers' keep-alive time, so a request rarely uses a connection that the server is closing."""


async def simulate(
    settings: Settings, *, counts: MessageCounts, lateness: Lateness, on_acknowledged: OnAcknowledged, stop: asyncio.Event
) -> None:
    """Run until the duration is over or `stop` is set. Then all end hosts leave, and waiting messages are sent while answers
    arrive.
    """
    closing = asyncio.Event()
    urls = feedback_urls(settings.coordinator)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S)
    # Waiting for a free connection of the pool is not a failure of the coordinator, so there is no total timeout.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http, asyncio.TaskGroup() as group:
        deliveries, players, sending = [], [], []
        began_s = asyncio.get_running_loop().time()
        for number, host in enumerate(end_hosts(settings)):
            first = number % len(urls)
            delivery = MessageDelivery(
                urls=urls[first:] + urls[:first],
                ip=host.ip,
                key=settings.key,
                http=http,
                counts=counts,
                on_acknowledged=on_acknowledged,
                closing=closing,
            )
            player = SimulatedPlayer(host, delivery.send, counts, lateness)
            players.append(group.create_task(player.run(steps(host, number, settings), began_s=began_s)))
            deliveries.append(delivery)
            sending.append(group.create_task(delivery.deliver()))
        await _until(stop, settings.duration)
        _cancel(players)
        await asyncio.wait(players)  # now each player has queued its last message
        closing.set()
        await _wait_until_empty(deliveries, counts)
        _cancel(sending)


def end_hosts(settings: Settings) -> Iterator[EndHost]:
    """All end hosts of the simulation."""
    networks = hong_kong_networks()
    return (end_host(number, seed=settings.seed, networks=networks) for number in range(settings.peers))


def steps(host: EndHost, number: int, settings: Settings) -> Iterator[ScenarioStep]:
    """The scenario of the end host with this number."""
    rng = random_for("life", number, settings.seed)
    arrival_s = arrives_s(rng, ramp_s=ramp_s(settings.duration), crowd=settings.crowd)
    return scenario(host, rng, arrives_s=arrival_s, period_s=settings.period, crowd=settings.crowd)


async def _until(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _wait_until_empty(deliveries: list[MessageDelivery], counts: MessageCounts) -> None:
    """Wait until all messages have a final answer, or until no answer arrives for `GIVE_UP_S`."""
    emptying = {asyncio.create_task(delivery.wait_until_empty()) for delivery in deliveries}
    waiting = None
    while emptying and counts.waiting != waiting:
        waiting = counts.waiting
        _, emptying = await asyncio.wait(emptying, timeout=GIVE_UP_S)


def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
