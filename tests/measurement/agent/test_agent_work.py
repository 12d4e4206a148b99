"""What an agent does with commands: with a process that the test controls, and with the real probe process."""

import asyncio
import time

import pytest

from measurement.agent.agent_work import AgentWork
from measurement.agent.outcome_spool import OutcomeSpool
from measurement.agent.probe_process import Interrupted, ProbeProcess
from measurement.agent.settings import Settings
from measurement.control_messages import AddTask, Cancel, Report, SkipRound, Start, StopTask
from measurement.operation import Destination, Operation, Technique
from measurement.outcome import Outcome, Status
from measurement.techniques.task import ProbeSettings


class ControlledProcess:
    """Ends each operation when the test says so."""

    def __init__(self):
        self.ran = []
        self.go = asyncio.Event()
        self.interrupted = False

    async def run(self, operation, within_s):
        self.interrupted = False
        self.ran.append((operation.operation_id, within_s))
        await self.go.wait()
        if self.interrupted:
            self.go.clear()
            raise Interrupted
        return Outcome(operation_id=operation.operation_id, status=Status.OK, started_ms=1, duration_ms=1.0)

    def interrupt(self):
        self.interrupted = True
        self.go.set()

    async def close(self):
        pass


def operation(id_="r.0.a1.0", technique=Technique.PING, **more):
    destination = Destination(name="127.0.0.1", address="127.0.0.1")
    return Operation(operation_id=id_, request_id="r", technique=technique, destination=destination, **more)


def start(id_="r.0.a1.0", lease="l1", lease_s=65.0, **more):
    return Start(operation=operation(id_, **more), lease_id=lease, keepalive=1, lease_s=lease_s)


class Bench:
    """An AgentWork with two controlled processes; keep-alive 1 was sent when it was made."""

    def __init__(self):
        self.processes, self.reports = [], []
        sent_s = time.monotonic()
        self.work = AgentWork(self._make, self.reports.append, lambda number: sent_s if number == 1 else 0.0)
        self.leased, self.queued = self.processes

    def _make(self):
        self.processes.append(ControlledProcess())
        return self.processes[-1]


REPEATED = "the master has sent a command twice; it is not executed again"


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_command_that_arrives_twice_is_executed_once(caplog):
    async def scenario():
        bench = Bench()
        bench.leased.go.set()
        for _ in range(2):
            bench.work.take(start())
            await settle()
        assert [each for each, _ in bench.leased.ran] == ["r.0.a1.0"]
        assert [each.getMessage() for each in caplog.records].count(REPEATED) == 1
        assert len(bench.reports) == 1

    asyncio.run(scenario())


def test_a_lease_that_has_ended_on_the_way_is_not_used():
    async def scenario():
        bench = Bench()
        bench.work.take(start(lease_s=0.5))
        bench.work.take(Start(operation=operation("other"), lease_id="l2", keepalive=9, lease_s=65.0))  # an unknown keep-alive
        await settle()
        assert bench.leased.ran == []
        assert [each.outcome.status for each in bench.reports] == [Status.EXPIRED, Status.EXPIRED]

    asyncio.run(scenario())


def test_an_operation_gets_no_more_time_than_its_lease_or_its_limit():
    async def scenario():
        bench = Bench()
        bench.leased.go.set()
        bench.work.take(start("one", "l1", lease_s=30.0))
        bench.work.take(start("two", "l2", lease_s=300.0, time_limit_s=10.0))
        await settle()
        (_, first_s), (_, second_s) = bench.leased.ran
        assert 27.0 < first_s <= 29.0
        assert second_s == 12.0

    asyncio.run(scenario())


def test_a_cancel_ends_the_running_operation_and_one_that_waits():
    async def scenario():
        bench = Bench()
        bench.work.take(start("one", "l1"))
        bench.work.take(start("two", "l2"))
        await settle()
        bench.work.take(Cancel(operation_id="two"))
        bench.work.take(Cancel(operation_id="one"))
        await settle()
        assert [(each.outcome.operation_id, each.outcome.status) for each in bench.reports] == [
            ("one", Status.CANCELLED),
            ("two", Status.CANCELLED),
        ]
        assert [each for each, _ in bench.leased.ran] == ["one"]

    asyncio.run(scenario())


def test_a_packet_train_interrupts_the_queue_which_continues_afterwards():
    async def scenario():
        bench = Bench()
        queue = asyncio.ensure_future(bench.work.run_queue())
        bench.work.take(AddTask(task_id="t", lease_id="l1", operations=[operation("t.0.a1.0")]))
        await settle()
        assert len(bench.queued.ran) == 1
        bench.work.take(start("train", "l2", technique=Technique.IGI))
        await settle()
        assert [each for each, _ in bench.leased.ran] == ["train"]
        assert len(bench.queued.ran) == 1  # it waits
        bench.leased.go.set()
        await settle()
        assert len(bench.queued.ran) == 2
        bench.queued.go.set()
        await settle()
        assert [each.outcome.operation_id for each in bench.reports] == ["train", "t.0.a1.0"]
        queue.cancel()

    asyncio.run(scenario())


def test_a_task_reports_its_next_round_skips_what_it_must_and_stops():
    async def scenario():
        bench = Bench()
        queue = asyncio.ensure_future(bench.work.run_queue())
        bench.queued.go.set()
        task = AddTask(task_id="t", lease_id="l1", operations=[operation("t.3.a1.7")], period_s=0.05, first_round=3)
        bench.work.take(task)
        bench.work.take(SkipRound(operation_id="t.4.a1.7"))
        async with asyncio.timeout(30):
            while len(bench.reports) < 2:  # noqa: ASYNC110 - the work has no event for it
                await asyncio.sleep(0.005)
        bench.work.take(StopTask(task_id="t"))
        assert bench.work.queued == 0
        rounds = [int(each.outcome.operation_id.split(".")[1]) for each in bench.reports]
        assert rounds[0] == 3
        assert 4 not in rounds
        assert bench.reports[0].next_round == 4
        assert all(each.lease_id == "l1" for each in bench.reports)
        queue.cancel()

    asyncio.run(scenario())


def test_the_real_process_measures_is_killed_at_its_limit_and_can_be_interrupted():
    async def scenario():
        process = ProbeProcess(ProbeSettings())
        quick = await process.run(operation("quick", parameters={"count": 1}), 60.0)
        assert quick.status is Status.OK
        slow = operation("slow", parameters={"count": 1000, "interval_ms": 50}, time_limit_s=300.0)
        late = await process.run(slow, 1.0)
        assert late.status is Status.TIMEOUT_AGENT
        assert "did not end within 1.0 s" in late.reason
        waiting = asyncio.ensure_future(process.run(slow, 60.0))
        await asyncio.sleep(0.1)
        process.interrupt()
        with pytest.raises(Interrupted):
            await waiting
        assert (await process.run(operation("again", parameters={"count": 1}), 60.0)).status is Status.OK
        await process.close()

    asyncio.run(scenario())


def test_an_operation_whose_process_cannot_start_has_an_outcome_with_the_reason(monkeypatch):
    """Without an outcome, the master would wait for one until the operation expires."""

    async def no_thread(*_arguments, **_options):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", no_thread)
    failed = asyncio.run(ProbeProcess(ProbeSettings()).run(operation("o"), 60.0))
    assert (failed.status, failed.reason) == (Status.AGENT_LOST, "the agent's probe process failed: can't start new thread")


def report(number):
    outcome = Outcome(operation_id=f"o{number}", status=Status.OK, started_ms=number, duration_ms=1.0)
    return Report(lease_id="l", outcome=outcome)


def test_a_spool_outlives_its_process_and_drops_the_oldest_when_it_is_full(tmp_path):
    spool = OutcomeSpool(tmp_path, 3)
    with pytest.raises(BlockingIOError, match="another agent"):
        OutcomeSpool(tmp_path, 3)
    for number in range(5):
        spool.add(report(number))
    assert spool.dropped == 2
    spool.close()
    spool = OutcomeSpool(tmp_path, 3)
    waiting = spool.first(2)
    assert [each.outcome.operation_id for _, each in waiting] == ["o2", "o3"]
    spool.remove([name for name, _ in waiting])
    spool.add(report(5))
    assert [each.outcome.operation_id for _, each in spool.first(9)] == ["o4", "o5"]
    (tmp_path / "000000000005.json").write_text("{")
    assert [each.outcome.operation_id for _, each in spool.first(9)] == ["o5"]
    assert spool.dropped == 1
    spool.close()


def test_a_damaged_outcome_or_a_file_of_others_in_the_spool_stops_no_agent(tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    spool = OutcomeSpool(tmp_path, 3)
    spool.add(report(1))
    spool.close()
    [file] = tmp_path.glob("0*.json")
    file.write_bytes(file.read_bytes().replace(b'"o1"', b'"\xff1"'))
    spool = OutcomeSpool(tmp_path, 3)
    spool.add(report(2))
    assert [each.outcome.operation_id for _, each in spool.first(9)] == ["o2"]
    assert spool.dropped == 1
    spool.close()
    assert (tmp_path / "notes.json").exists()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"master": "master.example"}, "must be an http or https URL"),
        ({"master": "http://master.example", "key": "k"}, "unencrypted"),
        ({"master": "https://master.example"}, "give --key"),
        ({"master": "http://127.0.0.1", "tag": ("country",)}, "NAME=VALUE"),
        ({"master": "http://127.0.0.1", "name": "a b"}, "--name"),
        ({"master": "http://127.0.0.1", "spool_max": 0}, "--spool-max"),
    ],
)
def test_settings_of_an_agent_are_checked_at_its_start(fields, why):
    with pytest.raises(ValueError, match=why):
        Settings(**fields)
    assert Settings(master="http://[::1]:8060", name="a1").agent_name == "a1"
