"""Results of active measurement on their way to the dashboard: agents, master, coordinator, feedback server, page Network.

The agents only speak the protocol, because real probes would take the processor time. What they report has the size of real
results. Each waits for its operations, as a real agent does, so the slowest part of the way sets the pace.
"""

import asyncio
import statistics
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from benchmarks.measured_process import MeasuredProcess, serving
from benchmarks.onlookers import onlookers
from measurement.agent.master_link import MasterLink
from measurement.agent.settings import Settings
from measurement.client.master_client import MasterAt, MasterClient
from measurement.control_messages import Keepalive, Registered, Registration, Report, Start
from measurement.measurement_request import MeasurementRequest
from measurement.operation import Technique
from measurement.outcome import Hop, Outcome, Status, Value
from tests.harness.deployment import metrics

AGENTS, DESTINATIONS = 100, 50
ISPS = ("HKBN", "PCCW", "HGC")
WANTED_PER_S = 500
LOOK_EVERY_S = 0.25
GIVE_UP_S = 240.0

_IN_MEMORY = 'swarmscope_monitor_kind_records{kind="measurement"}'
_PING = {
    "packets_sent": 20,
    "packets_answered": 20,
    "duplicates": 0,
    "loss_ratio": 0.0,
    "loss_ratio_low": 0.0,
    "loss_ratio_high": 0.161,
    "rtt_min_ms": 11.25,
    "rtt_mean_ms": 12.5,
    "rtt_max_ms": 19.75,
    "rtt_median_ms": 12.25,
    "rtt_p95_ms": 17.5,
    "rtt_stddev_ms": 1.75,
    "reply_ttl": 57,
    "ipdv_mean_ms": 0.75,
    "pdv_p95_ms": 4.25,
}
_HOPS = [
    Hop(ttl=ttl, address=f"10.0.{ttl}.1", rtt_ms=1.5 * ttl, sent=3, answered=3, icmp_type=11, icmp_code=0) for ttl in range(1, 9)
]


def main() -> None:
    """Print how many results per second arrive, how long each takes, and the processor time of each part."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, ExitStack() as stack:
        parts = _pipeline(stack, Path(folder))
        results = asyncio.run(_measured(parts))
        print(f"{AGENTS} agents, {AGENTS * DESTINATIONS * len(_TECHNIQUES)} results, one page Network open; goal: {WANTED_PER_S}/s")
        results.report()


def _pipeline(stack: ExitStack, folder: Path) -> dict[str, MeasuredProcess]:
    server = stack.enter_context(serving("feedback-server", "--data", str(folder / "fs1"), "--name", "fs1"))
    coordinator = stack.enter_context(serving("coordinator", "--spool", str(folder / "spool"), "--feedback-server", server.url))
    allowed = ("--allow-network", "127.0.0.0/8", "--destination-packets", "1000000", "--destination-bytes", "1000000000")
    to = ("--coordinator", coordinator.url, "--data", str(folder / "master"))
    master = stack.enter_context(serving("measurement-master", *allowed, *to))
    poll = ("--poll-seconds", "1", "--mirror", str(folder / "mirror"), "--feedback-server", server.url)
    monitor = stack.enter_context(serving("monitor", *poll))
    return {"master": master, "coordinator": coordinator, "feedback server": server, "platform": monitor}


_TECHNIQUES = (Technique.PING, Technique.TRACEROUTE)


class _Results:
    """The times at which results were acknowledged by the master, and at which they were in the platform's memory."""

    def __init__(self, parts: dict[str, MeasuredProcess]) -> None:
        self._parts = parts
        self._before = {name: part.cpu_s() for name, part in parts.items()}
        self.delivered_s: list[float] = []
        """The time at which the master acknowledged each of them."""
        self.seen: list[tuple[float, int]] = []
        """Times, each with the number of results in the platform's memory."""
        self.began_s = time.monotonic()
        self._used: dict[str, float] = {}

    def end(self) -> None:
        self._used = {name: part.cpu_s() - self._before[name] for name, part in self._parts.items()}

    def report(self) -> None:
        number = len(self.delivered_s)
        acknowledged = number / (self.delivered_s[-1] - self.began_s)
        through = number / (self.seen[-1][0] - self.began_s)
        delays = sorted(self._delays())
        cuts = statistics.quantiles(delays, n=20)
        print(f"acknowledged by the master, durable: {acknowledged:.0f} results/s")
        print(f"in the platform's memory: {through:.0f} results/s")
        print(f"from the acknowledgement into the platform's memory: median {cuts[9]:.2f} s, p95 {cuts[18]:.2f} s")
        for name, used in self._used.items():
            print(f"processor time of the {name}: {used * 1000 / number:.2f} ms per result: at most {number / used:.0f}/s and core")

    def _delays(self) -> list[float]:
        """Of each result; they arrive about in the order in which they ended."""
        found, at = [], 0
        for number, delivered_s in enumerate(self.delivered_s, 1):
            while self.seen[at][1] < number:
                at += 1
            found.append(max(0.0, self.seen[at][0] - delivered_s))
        return found


async def _measured(parts: dict[str, MeasuredProcess]) -> _Results:
    master, monitor = parts["master"].url, parts["platform"].url
    async with MasterClient(MasterAt(master=master)) as client, asyncio.timeout(GIVE_UP_S):
        await _all_delivered(client, master, destinations=2, results=_Results(parts))  # the page has something to show
        first = 2 * AGENTS * len(_TECHNIQUES)
        while await asyncio.to_thread(_in_memory, monitor) < first:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(LOOK_EVERY_S)
        with onlookers(f"{monitor}/network", 1):
            results = _Results(parts)
            looking = asyncio.create_task(_look(monitor, results, first, first + AGENTS * DESTINATIONS * len(_TECHNIQUES)))
            await _all_delivered(client, master, destinations=DESTINATIONS, results=results)
            await looking
            results.end()
    return results


async def _look(monitor: str, results: _Results, first: int, wanted: int) -> None:
    while not results.seen or results.seen[-1][1] < wanted - first:
        seen = await asyncio.to_thread(_in_memory, monitor)
        results.seen.append((time.monotonic(), seen - first))
        await asyncio.sleep(LOOK_EVERY_S)


def _in_memory(monitor: str) -> int:
    return int(metrics(monitor)[_IN_MEMORY])


async def _all_delivered(client: MasterClient, master: str, *, destinations: int, results: _Results) -> None:
    """Let agents come, measure everything once, and leave."""
    agents = [asyncio.create_task(_agent(master, number, results)) for number in range(AGENTS)]
    while sum(each["connected"] for each in await client.agents()) != AGENTS:  # noqa: ASYNC110 - in another process
        await asyncio.sleep(LOOK_EVERY_S)
    results.began_s = time.monotonic()
    addresses = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(destinations)]
    for technique in _TECHNIQUES:
        request = MeasurementRequest(technique=technique, destinations=addresses, agents=["ALL"])
        await client.submit(request)
    wanted = AGENTS * destinations * len(_TECHNIQUES)
    while len(results.delivered_s) < wanted:
        for agent in agents:
            if agent.done():
                agent.result()
        await asyncio.sleep(LOOK_EVERY_S)
    for agent in agents:
        agent.cancel()
    await asyncio.gather(*agents, return_exceptions=True)


async def _agent(url: str, number: int, results: _Results) -> None:
    """An agent that reports a result for each operation at once."""
    name, tags = f"agent-{number}", {"isp": ISPS[number % len(ISPS)], "country": "HK"}
    async with MasterLink(Settings(master=url, name=name)) as link:
        registered = await link.register(Registration(name=name, techniques=list(_TECHNIQUES), tags=tags))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_keep_alive(link, name, registered))
            async for command in link.commands(name, registered.epoch, 60.0):
                if isinstance(command, Start):
                    report = Report(lease_id=command.lease_id, outcome=_outcome(command))
                    await link.deliver(name, registered.epoch, [report], 30.0)
                    results.delivered_s.append(time.monotonic())


async def _keep_alive(link: MasterLink, name: str, registered: Registered) -> None:
    for number in count(1):
        await asyncio.sleep(registered.keepalive_s)
        await link.keep_alive(name, Keepalive(epoch=registered.epoch, number=number), GIVE_UP_S)


def _outcome(command: Start) -> Outcome:
    """As real agents report it."""
    traced = command.operation.technique is Technique.TRACEROUTE
    numbers = {"hop_count": 9, "reached": 1, "rtt_min_ms": 12.0} if traced else _PING
    return Outcome(
        operation_id=command.operation.operation_id,
        status=Status.OK,
        started_ms=time.time_ns() // 1_000_000,
        duration_ms=800.0,
        values=[Value(name=name, value=float(value), method="RFC 2681") for name, value in numbers.items()],
        hops=_HOPS if traced else [],
    )
