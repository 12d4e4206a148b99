"""One simulation from first join to last acknowledgement: two coroutines an end host, one that lives and one that delivers."""

import asyncio
from collections.abc import Iterator

import aiohttp

from endhost_sdk.terms import feedback_urls
from swarmscope.audience.addresses import neighbourhoods
from swarmscope.audience.cast import EndHost, dice_of, end_host
from swarmscope.audience.life import life
from swarmscope.audience.moments import Step
from swarmscope.audience.settings import Settings
from swarmscope.audience.tally import Tally
from swarmscope.audience.uplink import Uplink, Witness
from swarmscope.audience.viewer import Viewer
from swarmscope.audience.viewing import arrives_s, ramp_s

LAST_WORDS_S = 30.0
"""After the end, how long without a final answer until what still waits is given up."""
TIMEOUT_S = 10.0
CONNECTIONS = 256
KEEP_ALIVE_S = 10.0
"""Shorter than servers keep an idle connection, so that a request seldom meets one that is just being closed."""


async def simulate(settings: Settings, *, tally: Tally, witness: Witness, stop: asyncio.Event) -> None:
    """Run until the duration is over or `stop` is set; then all leave, and what waits is sent for as long as answers come."""
    closing = asyncio.Event()
    urls = feedback_urls(settings.coordinator)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S)
    # Waiting for a free connection is the simulation's own affair, no failure of a coordinator.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http, asyncio.TaskGroup() as group:
        uplinks, living, delivering = [], [], []
        began_s = asyncio.get_running_loop().time()
        for number, host in enumerate(cast(settings)):
            turned = number % len(urls)
            uplink = Uplink(
                urls=urls[turned:] + urls[:turned],
                ip=host.ip,
                key=settings.key,
                http=http,
                tally=tally,
                witness=witness,
                closing=closing,
            )
            viewer = Viewer(host, uplink.send, tally)
            living.append(group.create_task(viewer.live(steps(host, number, settings), began_s=began_s)))
            uplinks.append(uplink)
            delivering.append(group.create_task(uplink.deliver()))
        await _until(stop, settings.duration)
        _cancel(living)
        await asyncio.wait(living)  # by now everybody has said their last word
        closing.set()
        await _emptied(uplinks, tally)
        _cancel(delivering)


def cast(settings: Settings) -> Iterator[EndHost]:
    """Everybody who comes."""
    places = neighbourhoods()
    return (end_host(number, seed=settings.seed, places=places) for number in range(settings.peers))


def steps(host: EndHost, number: int, settings: Settings) -> Iterator[Step]:
    """The life of the end host of that number."""
    dice = dice_of("life", number, settings.seed)
    arrival_s = arrives_s(dice, ramp_s=ramp_s(settings.duration), surge=settings.surge)
    return life(host, dice, arrives_s=arrival_s, period_s=settings.period, surge=settings.surge)


async def _until(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _emptied(uplinks: list[Uplink], tally: Tally) -> None:
    """Wait until nothing waits any more, or nobody has answered for too long."""
    emptying = {asyncio.create_task(uplink.emptied()) for uplink in uplinks}
    waiting = None
    while emptying and tally.waiting != waiting:
        waiting = tally.waiting
        _, emptying = await asyncio.wait(emptying, timeout=LAST_WORDS_S)


def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
