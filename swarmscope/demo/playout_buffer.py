"""How much a player has received and not yet played, and when it stalls. Time is an argument."""

from dataclasses import dataclass


@dataclass(slots=True)
class PlayoutBuffer:
    """Playback begins with `starts_with_s` in the buffer, and continues after a stall with the same amount."""

    starts_with_s: float
    _ahead_s: float = 0.0
    _at_s: float | None = None
    """When `_ahead_s` was true; None while nothing plays."""
    _empty_s: float | None = None
    """When the buffer ran empty; None before the start and while playing."""
    started: bool = False

    def ahead_s(self, now_s: float) -> float:
        """What is in the buffer."""
        return self._ahead_s if self._at_s is None else max(0.0, self._ahead_s - (now_s - self._at_s))

    def stalled_ms(self, now_s: float) -> float:
        """How long playback has stalled since the last call; 0 while playing and before the start."""
        self._run_empty(now_s)
        if self._empty_s is None:
            return 0.0
        stalled_s, self._empty_s = now_s - self._empty_s, now_s
        return stalled_s * 1000

    def received(self, seconds: float, now_s: float) -> None:
        """A segment of this length has arrived. Call `stalled_ms` first, or the stall that it ends is forgotten."""
        self._run_empty(now_s)
        self._ahead_s = self.ahead_s(now_s) + seconds
        playing = self._at_s is not None
        if playing or self._ahead_s >= self.starts_with_s:
            self.started = True
            self._at_s, self._empty_s = now_s, None

    def _run_empty(self, now_s: float) -> None:
        if self._at_s is not None and now_s - self._at_s > self._ahead_s:
            self._empty_s = self._at_s + self._ahead_s
            self._ahead_s, self._at_s = 0.0, None
