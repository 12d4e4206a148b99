"""The playback of a player that decodes nothing: media in, events at exact times out. Pure: times are arguments.

Playback starts, and continues after a stall, when the buffer has `enough_ms`. It stalls when the buffer is empty. A moment between
two calls of `advance` is computed, so no event is late by the time between the calls.
"""

from collections import deque

from qoe_lab.clients.presentation import Representation
from qoe_lab.player_events import PlayerEvent


class PlaybackClock:
    """All times are in ms since the navigation start, and must not decrease."""

    def __init__(self, *, enough_ms: float) -> None:
        self._enough_ms = enough_ms
        self._queue: deque[tuple[float, Representation]] = deque()
        """The position at which each buffered segment ends, and what it shows."""
        self._buffered_until_ms = 0.0
        self._position_ms = 0.0
        self._now_ms = 0.0
        self._playing = self._started = False
        self._complete = False
        self._shown: Representation | None = None

    @property
    def position_ms(self) -> float:
        return self._position_ms

    @property
    def buffer_ms(self) -> float:
        return self._buffered_until_ms - self._position_ms

    @property
    def shown(self) -> Representation | None:
        """What is on screen; None before the first picture."""
        return self._shown

    @property
    def has_started(self) -> bool:
        return self._started

    @property
    def is_stalled(self) -> bool:
        return self._started and not self._playing and not self.has_ended

    @property
    def has_ended(self) -> bool:
        """All of the content was played."""
        return self._complete and self.buffer_ms <= 0

    def add(self, media_ms: float, representation: Representation, now_ms: float) -> list[PlayerEvent]:
        """Add a segment that has arrived. Returns the events until now."""
        events = self.advance(now_ms)
        self._buffered_until_ms += media_ms
        self._queue.append((self._buffered_until_ms, representation))
        return events + self._begin()

    def complete(self, now_ms: float) -> list[PlayerEvent]:
        """Note that no segment follows, so that playback ends when the buffer is empty. Returns the events until now."""
        events = self.advance(now_ms)
        self._complete = True
        return events + self._begin()

    def advance(self, now_ms: float) -> list[PlayerEvent]:
        """The events until now, in order of time."""
        events: list[PlayerEvent] = []
        while self._playing:
            end_ms = self._queue[0][0]
            at_ms = self._now_ms + end_ms - self._position_ms
            if at_ms > now_ms:
                self._position_ms += now_ms - self._now_ms
                break
            self._position_ms, self._now_ms = end_ms, at_ms
            self._queue.popleft()
            events += self._next_segment()
        self._now_ms = now_ms
        return events

    def _next_segment(self) -> list[PlayerEvent]:
        if self._queue:
            return self._show()
        self._playing = False
        return [] if self._complete else [PlayerEvent(event="stall_begin", t_ms=self._now_ms)]

    def _begin(self) -> list[PlayerEvent]:
        if self._playing or not self._queue or (self.buffer_ms < self._enough_ms and not self._complete):
            return []
        self._playing = True
        begun = PlayerEvent(event="stall_end" if self._started else "first_frame", t_ms=self._now_ms)
        self._started = True
        return [begun, *self._show()]

    def _show(self) -> list[PlayerEvent]:
        """Show the segment at the front of the queue."""
        shown = self._queue[0][1]
        if shown == self._shown:
            return []
        self._shown = shown
        return [PlayerEvent(event="switch", t_ms=self._now_ms, height=shown.height, kbps=shown.bps / 1000)]
