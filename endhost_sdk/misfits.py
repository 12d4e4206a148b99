"""An app that hands over nonsense is told by a count, never by an exception: telemetry is no reason for a player to stop."""

import threading

from endhost_sdk.forks import begins_anew_in_children


class Misfits:
    """Counts what an app said that fits no feedback message; `first` says what the first of it was."""

    def __init__(self) -> None:
        begins_anew_in_children(self)
        self.begin_anew()

    def begin_anew(self) -> None:
        # Re-entrant, because a signal handler of the app may call us while we are counting.
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
        """A value was cut down to what the field can hold."""
        with self._lock:
            self.clipped += 1
            self.first = self.first or f"{name} {why} and was cut down"

    def ignore(self, call: str, why: str) -> None:
        """A whole call came to nothing."""
        with self._lock:
            self.ignored += 1
            self.first = self.first or f"{call} {why} and was ignored"
