"""The work of an agent for its master: one operation under a lease at a time, and its own queue (PM_RAN) beside it.

Both have a process of their own. While a packet train runs, nothing else does: a running operation of the queue is interrupted and
runs again afterwards.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

from measurement.agent.probe_process import Interrupted, ProbeProcess
from measurement.control_messages import AddTask, Cancel, Command, Report, SkipRound, Start, StopAll, StopTask
from measurement.operation import TRAIN_TECHNIQUES, Operation
from measurement.outcome import Outcome, Status
from measurement.scheduling.agent_queue import AgentQueue, QueueEntry, QueueTask

log = logging.getLogger(__name__)

KILL_S = 1.0
"""How long before the end of its lease a process is killed."""

OVERTIME_S = 2.0
"""How much longer than the time limit of its operation a technique may take to end by itself."""

MOST_LEASES = 10_000
"""The number of leases that are remembered, so that a repeated command is not executed again."""


class AgentWork:
    """`deliver` takes the finished outcomes; `sent_s` returns when a keep-alive was sent."""

    def __init__(
        self, make_process: Callable[[], ProbeProcess], deliver: Callable[[Report], None], sent_s: Callable[[int], float]
    ) -> None:
        self._deliver, self._sent_s = deliver, sent_s
        self._leased, self._queued = make_process(), make_process()
        self._queue = AgentQueue(random.Random())  # noqa: S311 - orders of measurements
        self._tasks: dict[str, AddTask] = {}
        self._operations: dict[tuple[str, str], Operation] = {}
        """The operations of each task, by the rest of their ids."""
        self._skipped: set[str] = set()
        """Operations that were cancelled or skipped before they began."""
        self._seen: dict[str, None] = {}
        self._running: Operation | None = None
        self._entry: QueueEntry | None = None
        self._turn = asyncio.Lock()
        """The operation under a lease holds it."""
        self._train = False
        self._woken = asyncio.Event()
        self._jobs: set[asyncio.Task[None]] = set()

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def running(self) -> int:
        return (self._running is not None) + (self._entry is not None)

    def take(self, command: Command) -> None:
        """Execute a command."""
        match command:
            case Start():
                if self._is_new(command.lease_id):
                    self._spawn(self._run_leased(command))
            case AddTask():
                if self._is_new(command.lease_id):
                    self._add_task(command)
            case SkipRound():
                self._skipped.add(command.operation_id)
            case StopTask():
                self._stop_task(command.task_id)
            case Cancel():
                if self._running is not None and self._running.operation_id == command.operation_id:
                    self._leased.interrupt()
                else:
                    self._skipped.add(command.operation_id)
            case StopAll():
                self.stop()

    async def run_queue(self) -> None:
        """Work through the queue until cancelled."""
        while True:
            self._woken.clear()
            due_s = self._queue.due_s()
            entry = None if self._train else self._queue.pop(time.monotonic())
            if entry is not None:
                await self._run_entry(entry)
                continue
            wait_s = None if due_s is None or self._train else max(0.0, due_s - time.monotonic())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()

    def stop(self) -> None:
        """End everything at once and forget it: the master is gone, or has stopped all probing."""
        self._queue.clear()
        self._tasks.clear()
        self._operations.clear()
        self._skipped.clear()
        for job in self._jobs:
            job.cancel()
        self._leased.interrupt()
        self._queued.interrupt()

    async def close(self) -> None:
        """`stop`, and wait for the processes."""
        self.stop()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._leased.close()
        await self._queued.close()

    # Under a lease

    async def _run_leased(self, start: Start) -> None:
        async with self._turn:
            operation, now_s = start.operation, time.monotonic()
            left_s = self._sent_s(start.keepalive) + start.lease_s - KILL_S - now_s
            if operation.operation_id in self._skipped:
                self._skipped.discard(operation.operation_id)
                self._report(start.lease_id, _without_measuring(operation, Status.CANCELLED, "it was cancelled before it began"))
                return
            if left_s <= 0:
                reason = "the lease had ended when the command arrived"
                self._report(start.lease_id, _without_measuring(operation, Status.EXPIRED, reason))
                return
            self._running = operation
            try:
                await self._make_room(operation)
                outcome = await self._leased.run(operation, min(left_s, operation.time_limit_s + OVERTIME_S))
            except Interrupted:
                outcome = _without_measuring(operation, Status.CANCELLED, "the master cancelled the operation")
            finally:
                self._running, self._train = None, False
                self._woken.set()
            self._report(start.lease_id, outcome)

    async def _make_room(self, operation: Operation) -> None:
        """Interrupt the queue for a packet train."""
        if operation.technique in TRAIN_TECHNIQUES:
            self._train = True
            if self._entry is not None:
                self._queued.interrupt()
                await self._queued.close()

    # From the queue

    def _add_task(self, task: AddTask) -> None:
        self._tasks[task.task_id] = task
        rests = []
        for operation in task.operations:
            rest = operation.operation_id.removeprefix(f"{task.task_id}.").partition(".")[2]
            self._operations[task.task_id, rest] = operation
            rests.append(rest)
        queued = QueueTask(
            task_id=task.task_id,
            destinations=tuple(rests),
            period_s=task.period_s,
            rounds=task.rounds,
            first_round=task.first_round,
        )
        self._queue.add(queued, time.monotonic())
        self._woken.set()

    def _stop_task(self, task_id: str) -> None:
        self._queue.remove(task_id)
        self._tasks.pop(task_id, None)
        self._operations = {key: each for key, each in self._operations.items() if key[0] != task_id}
        if self._entry is not None and self._entry.task.task_id == task_id:
            self._queued.interrupt()

    async def _run_entry(self, entry: QueueEntry) -> None:
        task_id, rest = entry.task.task_id, entry.destination
        task, known = self._tasks.get(task_id), self._operations.get((task_id, rest))
        if task is None or known is None:
            return
        operation = _in_round(known, f"{task_id}.{entry.round}.{rest}")
        if operation.operation_id in self._skipped:
            self._skipped.discard(operation.operation_id)
            self._queue.reinsert(entry, max(entry.start_s, time.monotonic()))
            return
        self._entry = entry
        try:
            outcome = await self._queued.run(operation, operation.time_limit_s + OVERTIME_S)
        except Interrupted:
            if self._tasks.get(task_id) is task:
                self._queue.put_back(entry)
            return
        finally:
            self._entry = None
        following = self._queue.reinsert(entry, time.monotonic()) if self._tasks.get(task_id) is task else None
        self._deliver(
            Report(lease_id=task.lease_id, outcome=outcome, next_round=following.next_round if following is not None else None)
        )

    def _report(self, lease_id: str, outcome: Outcome) -> None:
        self._deliver(Report(lease_id=lease_id, outcome=outcome))

    def _is_new(self, lease_id: str) -> bool:
        if lease_id in self._seen:
            log.warning("the master has sent a command twice; it is not executed again")
            return False
        self._seen[lease_id] = None
        if len(self._seen) > MOST_LEASES:
            del self._seen[next(iter(self._seen))]
        return True

    def _spawn(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)


def _in_round(operation: Operation, operation_id: str) -> Operation:
    return Operation(
        operation_id=operation_id,
        request_id=operation.request_id,
        technique=operation.technique,
        destination=operation.destination,
        parameters=operation.parameters,
        time_limit_s=operation.time_limit_s,
    )


def _without_measuring(operation: Operation, status: Status, reason: str) -> Outcome:
    now_ms = time.time_ns() // 1_000_000
    return Outcome(operation_id=operation.operation_id, status=status, reason=reason, started_ms=now_ms, duration_ms=0.0)
