"""Detects how long the process did not run: after SIGSTOP, in a debugger, or on a suspended or overloaded machine.

The monotonic clock continues during a stop, but the player plays nothing. A separate thread reads the clock every second. It has no
other work, so a late reading means that the whole process did not run. Each call of `stopped_s` also reads the clock, because after
a stop any thread can be the first to run.
"""

import threading
import time

from endhost_sdk.forks import resets_after_fork

READ_EVERY_S = 1.0

LATE_S = 5.0
"""On a busy machine, a reading is a second or two late. If two readings are more than 5 s apart, the process was stopped."""

# The number of remembered stops. A session asks for the stops since its last message.
_REMEMBERED = 64


class StopDetector:
    """The machine's clocks, with the stops of this process since `start`."""

    def __init__(self) -> None:
        resets_after_fork(self)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """In a forked child, discard the thread and the stops of the parent."""
        self._running = False
        self._last_read_s = 0.0
        self._stops: dict[float, tuple[float, float]] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. If no thread can be started, stops are not detected; everything else works."""
        try:
            thread = threading.Thread(target=self._run, args=(self._ending,), name="endhost_sdk stop detector", daemon=True)
            thread.start()
        except (RuntimeError, MemoryError):
            return
        self._thread = thread

    def stop(self) -> None:
        self._running = False
        self._ending.set()

    def join(self, within_s: float) -> None:
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
        if not self._stops:
            return 0.0
        return sum(max(until_s - max(from_s, since_s), 0.0) for from_s, until_s in tuple(self._stops.values()))

    def _run(self, ending: threading.Event) -> None:
        self._last_read_s = time.monotonic()
        self._running = True
        while not ending.wait(READ_EVERY_S):
            self._read_clock()
            for long_ago in list(self._stops)[:-_REMEMBERED]:
                del self._stops[long_ago]
        self._running = False

    def _read_clock(self) -> None:
        if not self._running:
            return
        last_read_s, now_s = self._last_read_s, time.monotonic()
        if now_s - last_read_s > LATE_S:
            # The key is the reading before the stop, so a stop that two threads detect counts once. The stop began at the latest
            # when the next reading was due.
            self._stops.setdefault(last_read_s, (last_read_s + READ_EVERY_S, now_s))
        self._last_read_s = now_s
