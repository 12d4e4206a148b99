"""The life of an agent (Emodis, section 6): register, work, and start again whenever the master is gone.

When the connection breaks or no keep-alive is answered in time, the agent stops everything, forgets its queue, waits for the
reconnect time with a random quarter more, and registers again. The outcomes that it has by then wait in the spool.
"""

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field

import aiohttp

from measurement.agent.agent_work import AgentWork
from measurement.agent.master_link import MasterGone, MasterLink
from measurement.agent.outcome_spool import OutcomeSpool
from measurement.agent.probe_process import ProbeProcess
from measurement.agent.settings import Settings
from measurement.control_messages import Keepalive, Registered, Registration, Report
from measurement.techniques.registry import TECHNIQUES
from measurement.techniques.task import ProbeSettings
from serving.lifecycle import CannotStart, announce_ready, on_stop
from serving.listening import reason_of
from serving.memory import end_loop_without_memory

log = logging.getLogger(__name__)

DELIVERED_AT_ONCE = 200
FIRST_RECONNECT_S = 3.0
"""The pause before the first registration has succeeded. Later, the master states the pause."""

_RETRY_S = 0.5
_REMEMBERED = 64


def _reason(error: Exception) -> str:
    """Why there is no connection. aiohttp repeats the address in its own text."""
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return reason_of(error.os_error)
    return str(error) or type(error).__name__


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; CannotStart if the spool cannot be used."""
    try:
        spool = OutcomeSpool(settings.spool, settings.spool_max)
    except OSError as error:
        raise CannotStart(f"--spool cannot be used: {error}") from error
    try:
        asyncio.run(_until_stopped(settings, spool))
    finally:
        spool.close()


async def _until_stopped(settings: Settings, spool: OutcomeSpool) -> None:
    end_loop_without_memory(asyncio.get_running_loop(), "swarmscope measurement-agent")
    stopped = asyncio.Event()
    on_stop(stopped.set)
    life = asyncio.ensure_future(MeasurementAgent(settings, spool).run())
    waiting = asyncio.ensure_future(stopped.wait())
    await asyncio.wait((life, waiting), return_when=asyncio.FIRST_COMPLETED)
    for task in (life, waiting):
        task.cancel()
    results = await asyncio.gather(life, waiting, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException) and not isinstance(each, asyncio.CancelledError):
            raise each


@dataclass(slots=True)
class _Epoch:
    """One registration, and the keep-alives since."""

    registered: Registered
    heard_s: float
    """When the newest answered keep-alive was sent."""
    sent_s: dict[int, float] = field(default_factory=dict)
    number: int = 0


class MeasurementAgent:
    """One agent."""

    def __init__(self, settings: Settings, spool: OutcomeSpool) -> None:
        self._settings, self._spool = settings, spool
        self._probe_settings = ProbeSettings(
            source_address=settings.source_address,
            invite_destinations=settings.invite_destination,
            as_table=str(settings.as_table) if settings.as_table is not None else "",
        )
        self._epoch: _Epoch | None = None
        self._reconnect_s = FIRST_RECONNECT_S
        self._finished = asyncio.Event()
        """An outcome waits in the spool."""
        self._announced = False

    async def run(self) -> None:
        """Register and work until cancelled."""
        work = AgentWork(lambda: ProbeProcess(self._probe_settings), self._deliver_later, self._sent_s)
        queue = asyncio.ensure_future(work.run_queue())
        try:
            while True:
                try:
                    async with MasterLink(self._settings) as link:
                        await self._serve_epoch(link, work)
                except (MasterGone, aiohttp.ClientError, TimeoutError, OSError) as error:
                    log.warning("no connection to the master %s: %s", self._settings.master, _reason(error))
                work.stop()
                self._epoch = None
                await asyncio.sleep(self._reconnect_s * random.uniform(1.0, 1.25))  # noqa: S311 - spreads the agents
        finally:
            queue.cancel()
            await work.close()

    async def _serve_epoch(self, link: MasterLink, work: AgentWork) -> None:
        asked_s = time.monotonic()
        registered = await link.register(
            Registration(name=self._settings.agent_name, tags=self._settings.tags(), techniques=sorted(TECHNIQUES))
        )
        epoch = self._epoch = _Epoch(registered, asked_s, {0: asked_s})
        self._reconnect_s = registered.reconnect_s
        while len(self._spool):
            await self._deliver(link, epoch)  # before the stream: the master then knows that no outcome of an earlier epoch follows
        jobs = [
            asyncio.ensure_future(each)
            for each in (
                self._execute(link, epoch, work),
                self._keep_alive(link, epoch, work),
                self._deliver_all(link, epoch),
            )
        ]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            work.stop()  # at once: closing connections may take a while
            for job in done:
                job.result()
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _execute(self, link: MasterLink, epoch: _Epoch, work: AgentWork) -> None:
        async for command in link.commands(self._settings.agent_name, epoch.registered.epoch, epoch.registered.agent_timer_s):
            if command is not None:
                work.take(command)
            elif not self._announced:
                self._announced = True
                announce_ready("measurement-agent", self._settings.master)

    async def _keep_alive(self, link: MasterLink, epoch: _Epoch, work: AgentWork) -> None:
        """Send keep-alives; MasterGone as soon as none has been answered for the agent's timer."""
        timers = epoch.registered
        while True:
            await asyncio.sleep(timers.keepalive_s)
            epoch.number += 1
            epoch.sent_s[epoch.number] = time.monotonic()
            epoch.sent_s.pop(epoch.number - _REMEMBERED, None)
            while not await self._answered(link, epoch, work):
                if time.monotonic() - epoch.heard_s >= timers.agent_timer_s:
                    raise MasterGone(f"no keep-alive was answered for {timers.agent_timer_s:g} s")
                await asyncio.sleep(_RETRY_S)

    async def _answered(self, link: MasterLink, epoch: _Epoch, work: AgentWork) -> bool:
        sent_s = epoch.sent_s[epoch.number]
        left_s = epoch.heard_s + epoch.registered.agent_timer_s - time.monotonic()
        if left_s <= 0:
            return False
        keepalive = Keepalive(
            epoch=epoch.registered.epoch,
            number=epoch.number,
            queued=work.queued,
            running=work.running,
            spooled=len(self._spool),
        )
        try:
            await link.keep_alive(self._settings.agent_name, keepalive, left_s)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        epoch.heard_s = sent_s
        return True

    # Outcomes

    def _deliver_later(self, report: Report) -> None:
        self._spool.add(report)
        self._finished.set()

    async def _deliver_all(self, link: MasterLink, epoch: _Epoch) -> None:
        while True:
            await self._finished.wait()
            self._finished.clear()
            while len(self._spool):
                try:
                    await self._deliver(link, epoch)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    log.warning("outcomes wait in the spool: %s", error or type(error).__name__)
                    await asyncio.sleep(_RETRY_S)

    async def _deliver(self, link: MasterLink, epoch: _Epoch) -> None:
        waiting = self._spool.first(DELIVERED_AT_ONCE)
        if waiting:
            reports = [report for _, report in waiting]
            timer_s = epoch.registered.agent_timer_s
            receipt = await link.deliver(self._settings.agent_name, epoch.registered.epoch, reports, timer_s)
            if receipt.refused:
                log.warning("the master refused outcomes: %s", receipt.refused)
            self._spool.remove([name for name, _ in waiting])

    def _sent_s(self, number: int) -> float:
        """When a keep-alive of this epoch was sent; long ago if it is unknown, so that its lease has ended."""
        return self._epoch.sent_s.get(number, 0.0) if self._epoch is not None else 0.0
