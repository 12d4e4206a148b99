"""A request of 100,000 operations leaves the master's event loop free for others."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from measurement.control_messages import AddTask, Registration, Start
from measurement.master.measurement_keys import KeyHolder, KeyRole
from measurement.master.operation_journal import OperationJournal
from measurement.master.requester_api import RequesterApi
from measurement.master.server import _context
from measurement.master.settings import Settings
from measurement.measurement_request import MeasurementRequest, Scheduling
from measurement.operation import Technique
from measurement.outcome import Status
from tests.measurement.master.virtual_master import VirtualMaster, assert_conserved, statuses

AGENTS, DESTINATIONS = 100, 1000
STALL_S = 0.05


async def longest_stall_s(work) -> float:
    """The most processor time that the loop's thread uses without a pause while `work` is done."""
    longest, ended = 0.0, False

    async def watch():
        nonlocal longest
        last_s = time.thread_time()
        while not ended:
            await asyncio.sleep(0)
            longest, last_s = max(longest, time.thread_time() - last_s), time.thread_time()

    watching = asyncio.ensure_future(watch())
    await work
    ended = True
    await watching
    return longest


@pytest.mark.parametrize("schedule", Scheduling)
def test_a_request_of_100_000_operations_and_its_cancel_stall_the_master_for_less_than_50_ms(tmp_path, schedule):
    settings = Settings(data=tmp_path, allow_network=("10.0.0.0/8",), insecure=True)
    asked = MeasurementRequest(
        technique=Technique.PING,
        agents=["ALL"],
        schedule=schedule,
        destinations=[f"10.0.{number // 250}.{number % 250 + 1}" for number in range(DESTINATIONS)],
    )

    async def scenario() -> float:
        context = _context(settings, journal, threads, planner)
        for number in range(AGENTS):
            registration = Registration(name=f"a{number}", techniques=[Technique.PING])
            member = context.dispatcher.membership.register(registration, "10.1.0.1", time.monotonic())
            context.dispatcher.agent_connected(member)
        visitor = KeyHolder(name="noc", role=KeyRole.MANAGER)
        api = RequesterApi(context)
        submit_s = await longest_stall_s(api._admit(asked, visitor, "127.0.0.1"))
        [live] = context.dispatcher.requests.values()
        assert live.planned == AGENTS * DESTINATIONS
        assert not context.dispatcher.do_part(), "all queues are filled when the request is answered"
        cancel_s = await longest_stall_s(api._cancel([live]))
        assert (live.open, live.tally) == (0, {Status.CANCELLED: live.planned})
        return max(submit_s, cancel_s)

    journal = OperationJournal(tmp_path / "records")
    with ThreadPoolExecutor(1) as threads, ThreadPoolExecutor(1) as planner:
        assert asyncio.run(scenario()) < STALL_S
    journal.close()


@pytest.mark.parametrize("schedule", Scheduling)
def test_a_large_round_that_is_150_periods_late_has_at_most_10_000_missed_operations(schedule):
    """They were up to 100 rounds, so one late round of 100,000 operations wrote 10 million records."""
    master = VirtualMaster()
    master.join("a1")
    names = [f"d{number}" for number in range(500)]
    live = master.submit("a1", destinations=names, schedule=schedule, period_s=1.0)
    master.now_s += 150
    commands = master.commands["a1"]
    operations = commands[0].operations if isinstance(commands[0], AddTask) else [None] * len(names)
    for operation in operations:
        command = Start(operation=operation, lease_id=commands[0].lease_id, keepalive=0, lease_s=1) if operation else commands[-1]
        master.answer("a1", command, next_round=150 if operation else None)
    master.fill_queues()
    assert statuses(live)["missed"] == 10_000
    assert statuses(live)["ok"] == len(names)
    assert_conserved(master, live)
