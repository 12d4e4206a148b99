"""The labels of one session, from its player events. Times are ms since the navigation start."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from qoe_lab.player_events import PlayerEvent

FRAME_MS = 40.0
"""How long the contents show each picture. A browser sometimes reports that it waits and plays on within a millisecond: an
interruption that is shorter than a frame delays no picture, so it is no stall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """One interruption of the playback. `open`: the session ended during it."""

    begin_ms: float
    end_ms: float
    open: bool = False

    @property
    def length_ms(self) -> float:
        return self.end_ms - self.begin_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A representation and the time from which it was on screen."""

    begin_ms: float
    height: int | None
    kbps: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLabels:
    """What happened. Where it cannot be known, a value is None: without a first frame there is no stall ratio."""

    wall_ms: float
    """The navigation start, on the clock of the capture."""
    watched_ms: float
    """Until the last event."""
    startup_ms: float | None
    stalls: tuple[Stall, ...]
    shown: tuple[Shown, ...]
    dropped_frames: int | None
    decoded_frames: int | None
    errors: tuple[str, ...]
    invalid_reason: str | None
    """Why the session is no ground truth; None if it is."""

    @property
    def stall_count(self) -> int | None:
        return None if self.startup_ms is None else len(self.stalls)

    @property
    def stall_ms(self) -> float | None:
        return None if self.startup_ms is None else sum(stall.length_ms for stall in self.stalls)

    @property
    def stall_ratio(self) -> float | None:
        """Stalled time divided by the time since the first frame."""
        if self.startup_ms is None or self.watched_ms <= self.startup_ms:
            return None
        return sum(stall.length_ms for stall in self.stalls) / (self.watched_ms - self.startup_ms)

    @property
    def switches(self) -> int | None:
        """Changes of the representation after the first one."""
        return max(len(self.shown) - 1, 0) if self.startup_ms is not None else None

    @property
    def mean_kbps(self) -> float | None:
        """The declared rate of what was on screen, weighted by the time for which it played."""
        return self._mean([each.kbps for each in self.shown])

    @property
    def mean_height(self) -> float | None:
        return self._mean([each.height for each in self.shown])

    def _mean(self, values: Sequence[float | None]) -> float | None:
        played = [self.played_ms(each.begin_ms, end_ms) for each, end_ms in self.shown_until()]
        known = [(value, ms) for value, ms in zip(values, played, strict=True) if value is not None]
        total_ms = sum(ms for _, ms in known)
        return sum(value * ms for value, ms in known) / total_ms if total_ms > 0 else None

    def shown_until(self) -> list[tuple[Shown, float]]:
        """Each representation with the time until which it was on screen."""
        ends = [*[each.begin_ms for each in self.shown[1:]], self.watched_ms]
        return list(zip(self.shown, ends, strict=False))

    def played_ms(self, begin_ms: float, end_ms: float) -> float:
        """The played time between two times."""
        if self.startup_ms is None:
            return 0.0
        begin_ms, end_ms = max(begin_ms, self.startup_ms), min(end_ms, self.watched_ms)
        return max(end_ms - begin_ms - self.stalled_ms(begin_ms, end_ms), 0.0)

    def stalled_ms(self, begin_ms: float, end_ms: float) -> float:
        """The stalled time between two times."""
        return sum(max(min(stall.end_ms, end_ms) - max(stall.begin_ms, begin_ms), 0.0) for stall in self.stalls)


def session_labels(events: Sequence[PlayerEvent]) -> SessionLabels:
    """The labels of a session. The events are those of one file, in its order."""
    navigation = next((event for event in events if event.event == "navigation"), None)
    started = next((event for event in events if event.event == "first_frame"), None)
    watched_ms = max((event.t_ms for event in events), default=0.0)
    errors = tuple(event.detail or "" for event in events if event.event == "error")
    decoded = [event for event in events if event.decoded_frames is not None]
    dropped = [event for event in events if event.dropped_frames is not None]
    return SessionLabels(
        wall_ms=navigation.wall_ms if navigation is not None and navigation.wall_ms is not None else 0.0,
        watched_ms=watched_ms,
        startup_ms=started.t_ms if started is not None else None,
        stalls=_stalls(events, watched_ms),
        shown=tuple(
            Shown(begin_ms=event.t_ms, height=event.height, kbps=event.kbps) for event in events if event.event == "switch"
        ),
        dropped_frames=dropped[-1].dropped_frames if dropped else None,
        decoded_frames=decoded[-1].decoded_frames if decoded else None,
        errors=errors,
        invalid_reason=_invalid_reason(events),
    )


def _stalls(events: Sequence[PlayerEvent], watched_ms: float) -> tuple[Stall, ...]:
    stalls: list[Stall] = []
    begin_ms: float | None = None
    for event in events:
        if event.event == "stall_begin" and begin_ms is None:
            begin_ms = event.t_ms
        elif event.event == "stall_end" and begin_ms is not None:
            stalls.append(Stall(begin_ms=begin_ms, end_ms=event.t_ms))
            begin_ms = None
    if begin_ms is not None:
        stalls.append(Stall(begin_ms=begin_ms, end_ms=watched_ms, open=True))
    return tuple(stall for stall in stalls if stall.length_ms >= FRAME_MS)


def _invalid_reason(events: Sequence[PlayerEvent]) -> str | None:
    """The first reason in an order from the cause to its effects."""
    names = {event.event for event in events}
    navigation = next((event for event in events if event.event == "navigation"), None)
    if not events:
        return "no_events"
    if "error" in names:
        return "client_error"
    if navigation is None or navigation.wall_ms is None or events[0].event != "navigation":
        return "no_navigation"
    if any(later.t_ms < earlier.t_ms for earlier, later in pairwise(events)):
        return "events_out_of_order"
    if "end" not in names:
        return "client_died"
    if "first_frame" not in names:
        return "no_first_frame"
    return None
