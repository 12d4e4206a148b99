"""The master of active measurement: plans, idle agents, outcomes per second, and the return of agents after its restart.

The agents that return are the real ones, many in one process. The idle ones and the busy ones only speak the protocol.
"""

import asyncio
import logging
import resource
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import aiohttp

from measurement.agent.agent_process import MeasurementAgent
from measurement.agent.master_link import MasterLink
from measurement.agent.outcome_spool import OutcomeSpool
from measurement.agent.settings import Settings
from measurement.client.master_client import MasterAt, MasterClient
from measurement.control_messages import Registration, Report, Start
from measurement.master.dry_run_plan import dry_run
from measurement.measurement_request import MeasurementRequest, SyncAlgorithm
from measurement.operation import Destination, Technique
from measurement.outcome import Outcome, Status
from measurement.technique_parameters import Cost
from tests.harness.processes import Server, start_server

IDLE_AGENTS, IDLE_S, KEEPALIVE_S = 1000, 20.0, 5.0
RETURNING_AGENTS = 100
BUSY_AGENTS, BUSY_DESTINATIONS = 20, 250


def main() -> None:
    """Print one line for each figure."""
    logging.disable(logging.WARNING)  # the agents report the restart of the master
    _plans()
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(files, 16_384)), most))
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        asyncio.run(_masters(Path(folder)))


def _plans() -> None:
    destinations = [Destination(name=f"d{number}", address=f"203.0.{number // 250}.{number % 250}") for number in range(1000)]
    agents = [f"a{number}" for number in range(100)]
    for order in SyncAlgorithm:
        begin = time.process_time()
        plan = dry_run(
            MeasurementRequest(technique=Technique.PING, order=order),
            agents,
            destinations,
            Cost(packets=1, size_bytes=1, seconds=1.0),
        )
        taken = time.process_time() - begin
        print(
            f"plan of 100 agents × 1,000 destinations, {order}: {taken:.2f} s; {plan.operations} operations in {plan.seconds:.0f} s"
        )


async def _masters(folder: Path) -> None:
    master = _start(folder)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        idle = [asyncio.ensure_future(_idle_agent(session, master.url, f"idle-{number}")) for number in range(IDLE_AGENTS)]
        await _until_present(master.url, IDLE_AGENTS)
        before = _cpu_s(master)
        await asyncio.sleep(IDLE_S)
        cores = (_cpu_s(master) - before) / IDLE_S
        await _until_present(master.url, IDLE_AGENTS)  # all of them are still there
        print(f"{IDLE_AGENTS} idle agents, a keep-alive every {KEEPALIVE_S:g} s: {cores:.2f} cores of the master", flush=True)
        await _end(idle)
    agents = [asyncio.ensure_future(_agent(master.url, folder, number)) for number in range(RETURNING_AGENTS)]
    await _until_present(master.url, RETURNING_AGENTS)
    master.kill()
    await asyncio.sleep(5.0)
    master = _start(folder, listen=f"127.0.0.1:{master.port}")
    begin = time.monotonic()
    await _until_present(master.url, RETURNING_AGENTS)
    print(f"{RETURNING_AGENTS} agents after a restart of the master: all back after {time.monotonic() - begin:.1f} s")
    await _end(agents)
    master.stop()
    await _outcomes(folder)


async def _outcomes(folder: Path) -> None:
    master = _start(folder)
    workers = [asyncio.ensure_future(_busy_agent(master.url, number)) for number in range(BUSY_AGENTS)]
    async with MasterClient(MasterAt(master=master.url)) as client:
        await _until_present(master.url, BUSY_AGENTS)
        destinations = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(BUSY_DESTINATIONS)]
        request = MeasurementRequest(technique=Technique.PING, destinations=destinations, agents=["ALL"])
        begin, before = time.monotonic(), _cpu_s(master)
        accepted = await client.submit(request)
        ended = sum([1 async for _ in client.outcomes(accepted["id"], follow=True)]) - 1
        taken = time.monotonic() - begin
    print(
        f"operations that take no time, {BUSY_AGENTS} agents: {ended / taken:.0f} outcomes/s, durable and followed, with "
        f"{(_cpu_s(master) - before) / taken:.2f} cores of the master"
    )
    await _end(workers)
    master.stop()


async def _agent(url: str, folder: Path, number: int) -> None:
    settings = Settings(master=url, name=f"agent-{number}")
    spool = OutcomeSpool(folder / f"spool-{number}", 100)
    try:
        await MeasurementAgent(settings, spool).run()
    finally:
        spool.close()


async def _idle_agent(session: aiohttp.ClientSession, url: str, name: str) -> None:
    """An agent that only sends keep-alives."""
    async with session.post(f"{url}/v1/agents", json={"name": name, "techniques": []}) as answer:
        epoch = (await answer.json())["epoch"]
    path, timeout = f"{url}/v1/agents/{name}", aiohttp.ClientTimeout(total=None)
    async with session.get(f"{path}/commands", params={"epoch": epoch}, timeout=timeout) as commands:
        for number in count(1):
            await asyncio.sleep(KEEPALIVE_S)
            async with session.post(f"{path}/keepalive", json={"epoch": epoch, "number": number}) as answer:
                answer.raise_for_status()
            commands.content.read_nowait()


async def _busy_agent(url: str, number: int) -> None:
    """An agent that delivers an outcome at once."""
    name = f"busy-{number}"
    async with MasterLink(Settings(master=url, name=name)) as link:
        registered = await link.register(Registration(name=name, techniques=[Technique.PING]))
        async for command in link.commands(name, registered.epoch, 60.0):
            if isinstance(command, Start):
                outcome = Outcome(operation_id=command.operation.operation_id, status=Status.OK, started_ms=1, duration_ms=0.0)
                await link.deliver(name, registered.epoch, [Report(lease_id=command.lease_id, outcome=outcome)], 30.0)


async def _until_present(url: str, agents: int) -> None:
    async with MasterClient(MasterAt(master=url)) as client, asyncio.timeout(120):
        while sum(each["connected"] for each in await client.agents()) != agents:  # noqa: ASYNC110 - in another process
            await asyncio.sleep(0.25)


async def _end(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)


def _start(folder: Path, listen: str = "127.0.0.1:0") -> Server:
    flags = ("--insecure", "--allow-network", "127.0.0.0/8", "--data", str(folder / "measurement"))
    return start_server("measurement-master", "--listen", listen, *flags, log=folder / "master.log")


def _cpu_s(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
