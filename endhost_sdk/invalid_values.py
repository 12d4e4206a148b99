"""Counts invalid values from the app. The SDK never raises an exception for them, because telemetry must not stop a player."""

import threading

from endhost_sdk.forks import resets_after_fork


class InvalidValues:
    """Counts of the app's values and calls that fit no feedback message. `first` describes the first of them."""

    def __init__(self) -> None:
        resets_after_fork(self)
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        # Re-entrant, because a signal handler of the app can interrupt a count and call the SDK.
        self._lock = threading.RLock()
        self.dropped = 0
        self.clipped = 0
        self.ignored = 0
        self.first = ""

    def drop(self, name: str, why: str) -> None:
        """A value was left out of the message."""
        with self._lock:
            self.dropped += 1
            self.first = self.first or f"{name} {why} and was left out"

    def clip(self, name: str, why: str) -> None:
        """A value was shortened or reduced to fit the field."""
        with self._lock:
            self.clipped += 1
            self.first = self.first or f"{name} {why} and was cut down"

    def ignore(self, call: str, why: str) -> None:
        """A call was ignored."""
        with self._lock:
            self.ignored += 1
            self.first = self.first or f"{call} {why} and was ignored"
