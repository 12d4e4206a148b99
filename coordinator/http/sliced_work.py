"""Work that can take long runs in slices, so that no request delays the others by more than one slice.

A few hundred compressed bytes can cause a second of work. So only a message of the usual form is checked where it is read. Other
checks are generators that run here: at once if this turn of the event loop has time left, else one slice in each turn of the loop.
Keys take turns, and so do the connections of one key.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from coordinator.ingest_keys import IngestKey
from feedback_wire.problem import Problem

SLICE_S = 0.005
"""For all work in one turn of the event loop. The last step may exceed it: a message takes up to 5 ms, a body up to 25 ms."""

Work = Generator[Callable[[], bytes] | None, bytes, None]
"""Yields where it may be interrupted. A yielded function runs on a thread; `yield` returns its result or raises its Problem."""

_now = time.perf_counter


@dataclass(slots=True, eq=False)
class SlicedTask:
    """Work that waits or has begun, the key that is charged for it, and what the thread returned."""

    key: IngestKey
    sender: object
    work: Work
    call: Callable[[], bytes] | None = None
    result: bytes | None = None
    problem: Problem | None = None

    def step(self) -> Callable[[], bytes] | None:
        """Run until the next yield; StopIteration at the end."""
        result, problem, self.result, self.problem = self.result, self.problem, None, None
        return self.work.send(result) if problem is None else self.work.throw(problem)  # type: ignore[arg-type]  # None starts the generator


class Queue:
    """Waiting tasks. Keys take turns, and so do the connections of one key."""

    def __init__(self) -> None:
        self._tasks: dict[IngestKey, dict[object, deque[SlicedTask]]] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def put(self, task: SlicedTask, *, first: bool = False) -> None:
        """Add a task, as the last or the `first` of its connection."""
        tasks = self._tasks.setdefault(task.key, {}).setdefault(task.sender, deque())
        tasks.appendleft(task) if first else tasks.append(task)

    def take(self) -> SlicedTask:
        """The next task. Its key and its connection become the last in their queues."""
        key = next(iter(self._tasks))
        senders = self._tasks.pop(key)
        sender = next(iter(senders))
        tasks = senders.pop(sender)
        task = tasks.popleft()
        if tasks:
            senders[sender] = tasks
        if senders:
            self._tasks[key] = senders
        return task


class SlicedWork:
    """The unfinished work of one worker."""

    def __init__(self) -> None:
        self.waiting = 0
        """How many tasks wait for their next slice or for the thread."""
        self._tasks = Queue()
        self._for_thread = Queue()
        """Used instead of the executor's queue, which has no turns: one key could fill it with seconds of work."""
        self._thread_works = False
        self._thread = ThreadPoolExecutor(1, "inflate")
        self._spent_s = 0.0
        """Time used since the last slice began. A call for each turn of the event loop would cost more than it measures."""
        self._awake = self._closed = False

    @property
    def has_time(self) -> bool:
        """Whether short work may be done at once. The caller then reports its time to `spend`."""
        return not self._tasks and self._spent_s < SLICE_S

    def spend(self, seconds: float) -> None:
        self._spent_s += seconds

    def add(self, key: IngestKey, sender: object, work: Work) -> None:
        """Run the work, as far as this turn has time, and the rest later."""
        task = SlicedTask(key, sender, work)
        if self.has_time:
            began = _now()
            self._run(task, began + SLICE_S - self._spent_s)
            self.spend(_now() - began)
        else:
            self._put(task)
        if self._tasks:
            self._wake()

    def close(self) -> None:
        """Stop. Unfinished work was not acknowledged, so its senders send it again."""
        self._closed = True
        self._tasks = self._for_thread = Queue()
        self._thread.shutdown(cancel_futures=True)

    def _wake(self) -> None:
        if not self._awake and not self._closed:
            self._awake = True
            asyncio.get_running_loop().call_soon(self._slice)

    def _slice(self) -> None:
        """Run in a new turn of the event loop. After a turn that used all its time, the next turn is left to other callbacks."""
        self._awake = False
        rests, self._spent_s = self._spent_s >= SLICE_S, 0.0
        try:
            if not rests:
                self._work()
        finally:
            if self._tasks:
                self._wake()

    def _work(self) -> None:
        began = _now()
        until = began + SLICE_S
        while self._tasks and _now() < until:
            self._run(self._take(), until)
            self._spent_s = _now() - began

    def _run(self, task: SlicedTask, until: float) -> None:
        try:
            while True:
                call = task.step()
                if call is not None:
                    self._queue_for_thread(task, call)
                    return
                if _now() >= until:
                    self._put(task, first=True)
                    return
        except StopIteration:
            return

    def _queue_for_thread(self, task: SlicedTask, call: Callable[[], bytes]) -> None:
        task.call = call
        self._for_thread.put(task)
        self.waiting += 1
        self._start_in_thread()

    def _start_in_thread(self) -> None:
        if self._thread_works or not self._for_thread:
            return
        task = self._for_thread.take()
        assert task.call is not None  # noqa: S101 — `_queue_for_thread` has set it
        done = asyncio.get_running_loop().run_in_executor(self._thread, task.call)
        self._thread_works, task.call = True, None
        done.add_done_callback(lambda _: self._continue_task(task, done))

    def _continue_task(self, task: SlicedTask, done: asyncio.Future[bytes]) -> None:
        self.waiting -= 1
        self._thread_works = False
        if done.cancelled() or self._closed:
            return
        self._start_in_thread()
        error = done.exception()
        if isinstance(error, Problem):
            task.problem = error
        else:
            task.result = done.result()
        self._put(task, first=True)
        self._wake()

    def _put(self, task: SlicedTask, *, first: bool = False) -> None:
        self._tasks.put(task, first=first)
        self.waiting += 1

    def _take(self) -> SlicedTask:
        self.waiting -= 1
        return self._tasks.take()
