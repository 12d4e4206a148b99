"""Derives the played time and continuity from the start and the stalls, unless the app states them.

The app reports a stall at its end, so a stall can begin in an interval that was already reported as played. Reported values do not
change (`played_ms` never decreases). The stall is subtracted from the following played time.

Time during which the process did not run counts as neither played nor stalled, unless the app reports it as a stall.
"""

from dataclasses import dataclass

from feedback_wire.limits import LARGEST_INT


@dataclass(frozen=True, slots=True)
class PlaybackProgress:
    """The played time of the session, and the continuity of the interval: its played share. None means unknown."""

    played_ms: int | None
    continuity: float | None


class Playback:
    """The playback of one session. `now_s` is on a clock that never runs backwards and that stops while the process
    does not run.
    """

    __slots__ = (
        "_reported_played_ms",
        "_reported_stall_ms",
        "_since_s",
        "_stated_ms",
        "_stopped_in_stalls_ms",
        "_waited_ms",
        "stall_count",
        "stall_ms",
        "startup_ms",
    )

    def __init__(self) -> None:
        self.startup_ms: int | None = None
        self.stall_count: int | None = None
        self.stall_ms: int | None = None
        self._since_s: float | None = None
        self._stated_ms: int | None = None
        self._stopped_in_stalls_ms = 0
        self._waited_ms = 0
        self._reported_played_ms = 0
        self._reported_stall_ms = 0

    @property
    def has_started(self) -> bool:
        return self._since_s is not None

    def start(self, startup_ms: int | None, now_s: float) -> None:
        self._since_s = now_s
        self.startup_ms = startup_ms
        self.stall_count, self.stall_ms = self.stall_count or 0, self.stall_ms or 0
        # A stall before the start is counted, but it does not reduce the played time.
        self._waited_ms = self._reported_stall_ms = self.stall_ms
        self._stopped_in_stalls_ms = 0

    def stall(self, for_ms: int, stopped_ms: int = 0) -> None:
        """Add a stall of `for_ms`. The process did not run for `stopped_ms` of it."""
        self.stall_count = (self.stall_count or 0) + 1
        self.stall_ms = min((self.stall_ms or 0) + for_ms, LARGEST_INT)
        self._stopped_in_stalls_ms += stopped_ms

    def state_played(self, played_ms: int) -> None:
        """Use the app's own count of played time, for example in a player with a pause button."""
        self._stated_ms = played_ms

    def take(self, now_s: float) -> PlaybackProgress:
        """The progress at `now_s`. Begins the next interval."""
        played_ms, stall_ms = self._played_ms(now_s), self.stall_ms or 0
        if played_ms is None:
            return PlaybackProgress(None, None)
        played = played_ms - self._reported_played_ms
        stalled = stall_ms - self._reported_stall_ms
        self._reported_played_ms, self._reported_stall_ms = played_ms, stall_ms
        return PlaybackProgress(played_ms, played / (played + stalled) if played + stalled else None)

    def _played_ms(self, now_s: float) -> int | None:
        if self._stated_ms is not None:
            return max(self._stated_ms, self._reported_played_ms)
        if self._since_s is None:
            return None
        stalled_ms = (self.stall_ms or 0) - self._waited_ms - self._stopped_in_stalls_ms
        return max(round((now_s - self._since_s) * 1000) - stalled_ms, self._reported_played_ms)
