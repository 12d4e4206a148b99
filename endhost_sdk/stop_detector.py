"""Detects how long the process did not run: after SIGSTOP, in a debugger, or on a suspended or overloaded machine.

The monotonic clock continues during a stop, but the player plays nothing. A separate thread reads the clock every second. It has no
other work, so a late reading means that the whole process did not run. Each call of `stopped_s` also reads the clock, because after
a stop any thread can be the first to run.
"""

import threading
import time
from functools import partial

from endhost_sdk.background_thread import background_thread
from endhost_sdk.forks import resets_after_fork

READ_EVERY_S = 1.0

LATE_S = 5.0
"""On a busy machine, a reading is a second or two late. If two readings are more than 5 s apart, the process was stopped."""

_REMEMBERED = 64


class Stops:
    """The stops of a process. Beyond `_REMEMBERED`, the two oldest become one of the same total length.

    A session asks for the stops since its last message, so the total stays right unless that message is between the two.
    """

    def __init__(self) -> None:
        self._stops: dict[float, tuple[float, float]] = {}

    def add(self, last_read_s: float, *, from_s: float, until_s: float) -> None:
        """Add a stop. `last_read_s`, the reading before it, identifies the stop: two threads may both detect it."""
        self._stops.setdefault(last_read_s, (from_s, until_s))

    def seconds_since(self, since_s: float) -> float:
        return sum(max(until_s - max(from_s, since_s), 0.0) for from_s, until_s in tuple(self._stops.values()))

    def join_oldest(self) -> None:
        """Only one thread may call this."""
        while len(self._stops) > _REMEMBERED:
            oldest, second = list(self._stops)[:2]
            (from_s, until_s), (second_from_s, second_until_s) = self._stops[oldest], self._stops[second]
            self._stops[second] = (second_from_s - (until_s - from_s), second_until_s)
            del self._stops[oldest]


class StopDetector:
    """The machine's clocks, with the stops of this process since `start`."""

    def __init__(self) -> None:
        resets_after_fork(self)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """In a forked child, discard the thread and the stops of the parent."""
        self._running = False
        self._last_read_s = 0.0
        self._stops = Stops()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. If no thread can be started, stops are not detected; everything else works."""
        try:
            thread = background_thread("endhost_sdk stop detector", partial(self._run, self._ending))
            thread.start()
        except (RuntimeError, MemoryError):
            return
        self._thread = thread

    def stop(self) -> None:
        self._running = False
        self._ending.set()

    def join(self, within_s: float | None) -> None:
        """After `stop`, wait for the end of the thread."""
        if self._thread is not None:
            self._thread.join(within_s)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def stopped_s(self, since_s: float) -> float:
        """The seconds since `since_s` (monotonic clock) during which the process did not run."""
        self._read_clock()
        return self._stops.seconds_since(since_s)

    def _run(self, ending: threading.Event) -> None:
        self._last_read_s = time.monotonic()
        self._running = True
        while not ending.wait(READ_EVERY_S):
            self._read_clock()
            self._stops.join_oldest()
        self._running = False

    def _read_clock(self) -> None:
        if not self._running:
            return
        last_read_s, now_s = self._last_read_s, time.monotonic()
        if now_s - last_read_s > LATE_S:
            # The stop began at the latest when the next reading was due.
            self._stops.add(last_read_s, from_s=last_read_s + READ_EVERY_S, until_s=now_s)
        self._last_read_s = now_s
