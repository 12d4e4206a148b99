"""For how long the process did not run: stopped by a signal or a debugger, or on a machine that slept or was far too busy.

The monotonic clock runs on meanwhile, and what a player would have played then was not played. So a thread of its own looks at the
clock every second. It does nothing else, hence a late look has one cause only: nothing of this process ran. Each reading of the
stops is a look as well, because after a stop any thread may go on first.
"""

import threading
import time

from endhost_sdk.forks import begins_anew_in_children

LOOK_EVERY_S = 1.0

LATE_S = 5.0
"""A busy machine makes a look late by a second or two. What is later than five is a stop."""

# A session reads the stops since its last reading, and reads at least once for each of its messages.
_REMEMBERED = 64


class Pulse:
    """The machine's clocks, and the stops of this process since `start`."""

    def __init__(self) -> None:
        begins_anew_in_children(self)
        self.begin_anew()

    def begin_anew(self) -> None:
        """In a forked child: the thread is the parent's, and so are its stops."""
        self._looking = False
        self._seen_s = 0.0
        self._stops: dict[float, tuple[float, float]] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look; without a thread no stop is noticed, and nothing else is lost."""
        try:
            thread = threading.Thread(target=self._look_on, args=(self._ending,), name="endhost_sdk pulse", daemon=True)
            thread.start()
        except (RuntimeError, MemoryError):
            return
        self._thread = thread

    def stop(self) -> None:
        self._looking = False
        self._ending.set()

    def join(self, within_s: float) -> None:
        """Wait for the end of the thread, after `stop`."""
        if self._thread is not None:
            self._thread.join(within_s)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def stopped_s(self, since_s: float) -> float:
        """Of the time since `since_s` on the monotonic clock, the seconds for which the process did not run."""
        self._look()
        if not self._stops:
            return 0.0
        return sum(max(until_s - max(from_s, since_s), 0.0) for from_s, until_s in tuple(self._stops.values()))

    def _look_on(self, ending: threading.Event) -> None:
        self._seen_s = time.monotonic()
        self._looking = True
        while not ending.wait(LOOK_EVERY_S):
            self._look()
            for long_ago in list(self._stops)[:-_REMEMBERED]:
                del self._stops[long_ago]
        self._looking = False

    def _look(self) -> None:
        if not self._looking:
            return
        seen_s, now_s = self._seen_s, time.monotonic()
        if now_s - seen_s > LATE_S:
            # Named by the look before it, so a stop that two threads find counts once. It began until the next look was due.
            self._stops.setdefault(seen_s, (seen_s + LOOK_EVERY_S, now_s))
        self._seen_s = now_s
