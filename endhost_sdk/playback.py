"""How far playback got, from its start and its stalls: what the app did not state is derived here, and nothing else is guessed.

A stall is told when it is over, so it may reach back into an interval that was already reported as played. What was reported stands
(`played_ms` never falls); the stall is taken from what is played next.

Time for which the process did not run is neither played nor stalled, unless the app calls it a stall itself: then it is one.
"""

from dataclasses import dataclass

from feedback_wire.limits import LARGEST_INT


@dataclass(frozen=True, slots=True)
class Progress:
    """Played so far, and the share of the interval's due playback that was really played; None: not known."""

    played_ms: int | None
    continuity: float | None


class Playback:
    """The playback of one session; `now_s` is a clock that never runs backwards, and stands while the process does not run."""

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
        # A stall before the start is counted, but took nothing from playback.
        self._waited_ms = self._reported_stall_ms = self.stall_ms
        self._stopped_in_stalls_ms = 0

    def stall(self, for_ms: int, stopped_ms: int = 0) -> None:
        """Playback stood still for `for_ms`, for `stopped_ms` of which the process did not run."""
        self.stall_count = (self.stall_count or 0) + 1
        self.stall_ms = min((self.stall_ms or 0) + for_ms, LARGEST_INT)
        self._stopped_in_stalls_ms += stopped_ms

    def state_played(self, played_ms: int) -> None:
        """The app counts by itself, as a player with a pause button does."""
        self._stated_ms = played_ms

    def take(self, now_s: float) -> Progress:
        """The progress at `now_s`; begins the next interval."""
        played_ms, stall_ms = self._played_ms(now_s), self.stall_ms or 0
        if played_ms is None:
            return Progress(None, None)
        played = played_ms - self._reported_played_ms
        stalled = stall_ms - self._reported_stall_ms
        self._reported_played_ms, self._reported_stall_ms = played_ms, stall_ms
        return Progress(played_ms, played / (played + stalled) if played + stalled else None)

    def _played_ms(self, now_s: float) -> int | None:
        if self._stated_ms is not None:
            return max(self._stated_ms, self._reported_played_ms)
        if self._since_s is None:
            return None
        stalled_ms = (self.stall_ms or 0) - self._waited_ms - self._stopped_in_stalls_ms
        return max(round((now_s - self._since_s) * 1000) - stalled_ms, self._reported_played_ms)
