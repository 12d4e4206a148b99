"""A session: one view of one end host. The app says what happens; `message()` turns what was said into the next feedback message.

There is no I/O and no waiting in here. The identity `(session_id, seq)` is fixed where a message is built, so sending the same one
twice counts once. The app's threads speak while the sender's thread builds, hence the lock; it is held for microseconds.
"""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from endhost_sdk.clock import Clock, SystemClock
from endhost_sdk.fitting import fit_extra, fit_number, fit_text
from endhost_sdk.forks import begins_anew_in_children
from endhost_sdk.gauge import Gauge
from endhost_sdk.misfits import Misfits
from endhost_sdk.playback import Playback
from feedback_wire.limits import LARGEST_INT
from feedback_wire.message import VERSION, Event, ExtraValue, Message

_MEANS = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "p2p_ratio")
_LATEST = ("buffer_ms", "partners")
_LABELS = ("channel", "isp", "app", "platform")


class _Moment(NamedTuple):
    """One moment on two clocks: the monotonic one, and one that stands while the process does not run."""

    monotonic_s: float
    lived_s: float


class Session:
    """One view of one end host; every call takes microseconds, may come from any thread, and never raises because of a value.

    `extra` is the app's own dict of numbers, texts and booleans; what is in it travels with every message.
    """

    __slots__ = (
        "__weakref__",
        "_began_s",
        "_changed",
        "_clock",
        "_gauges",
        "_labels",
        "_latest",
        "_left",
        "_lived_s",
        "_lock",
        "_misfits",
        "_peer_id",
        "_playback",
        "_read_s",
        "_seq",
        "_session_id",
        "extra",
    )

    def __init__(
        self,
        *,
        peer_id: str,
        channel: str | None = None,
        isp: str | None = None,
        app: str | None = None,
        platform: str | None = None,
        extra: dict[str, ExtraValue] | None = None,
        clock: Clock | None = None,
        misfits: Misfits | None = None,
        changed: Callable[["Session"], None] | None = None,
    ) -> None:
        """A view that begins now. `changed` is called after every call of the app; `misfits` counts what fits no message."""
        self.extra: dict[str, ExtraValue] = {} if extra is None else extra
        self._clock = clock or SystemClock()
        self._misfits = misfits or Misfits()
        self._changed = changed or _nobody
        # An end host without a usable id of its own still is one end host.
        self._peer_id = fit_text("peer_id", peer_id, self._misfits) or _new_id()
        self._labels: dict[str, str] = {}
        self._latest: dict[str, float] = {}
        self._gauges = {name: Gauge() for name in _MEANS}
        self._playback = Playback()
        self._left: _Moment | None = None
        self._label(channel=channel, isp=isp, app=app, platform=platform)
        self._identify()
        begins_anew_in_children(self)

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def misfits(self) -> Misfits:
        """What was said of this session that fits no message."""
        return self._misfits

    @property
    def built(self) -> int:
        """How many messages have been built so far; the next one gets this `seq`."""
        return self._seq

    @property
    def has_left(self) -> bool:
        return self._left is not None

    def started(self, *, after_ms: float | None = None) -> None:
        """The first picture is there, `after_ms` milliseconds after the viewer wished for it; said once in a session."""
        with self._lock:
            if self.has_left or self._playback.has_started:
                return self._misfits.ignore("started()", "came after left() or a second time")
            startup_ms = fit_number("startup_ms", after_ms, self._misfits)
            self._playback.start(None if startup_ms is None else int(startup_ms), self._now().lived_s)
        return self._changed(self)

    def update(
        self,
        *,
        upload_kbps: float | None = None,
        download_kbps: float | None = None,
        playback_kbps: float | None = None,
        continuity: float | None = None,
        p2p_ratio: float | None = None,
        buffer_ms: float | None = None,
        partners: int | None = None,
        played_ms: float | None = None,
        channel: str | None = None,
        isp: str | None = None,
        app: str | None = None,
        platform: str | None = None,
    ) -> None:
        """How it goes now; each value holds until the next one, and what is not given stays as it was.

        Rates are in kbit/s, `continuity` and `p2p_ratio` are shares from 0 to 1. `played_ms` (total in the session) and
        `continuity` are derived from `started()` and `stalled()` as long as the app does not state them.
        """
        means = (upload_kbps, download_kbps, playback_kbps, continuity, p2p_ratio)
        with self._lock:
            if self.has_left:
                return self._misfits.ignore("update()", "came after left()")
            self._measure(means, (buffer_ms, partners))
            played = fit_number("played_ms", played_ms, self._misfits)
            if played is not None:
                self._playback.state_played(int(played))
            self._label(channel=channel, isp=isp, app=app, platform=platform)
        return self._changed(self)

    def stalled(self, *, for_ms: float) -> None:
        """Playback stood still for `for_ms` milliseconds and goes on now."""
        with self._lock:
            if self.has_left:
                return self._misfits.ignore("stalled()", "came after left()")
            stall_ms = int(fit_number("stall_ms", for_ms, self._misfits) or 0)
            self._playback.stall(stall_ms, round(1000 * self._clock.stopped_s(self._clock.monotonic_s() - stall_ms / 1000)))
        return self._changed(self)

    def left(self) -> None:
        """The viewer is gone: the session ends here, and its last message is sent. Saying it again changes nothing."""
        with self._lock:
            if self.has_left:
                return
            self._left = self._now()
        self._changed(self)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.left()

    def message(self, event: Event) -> Message:
        """Build the next feedback message: takes the next `seq` and begins the next interval. Called by whoever sends."""
        with self._lock:
            # What happens after the end is no longer part of the view.
            now = self._left or self._now()
            playback, progress = self._playback, self._playback.take(now.lived_s)
            means = {name: gauge.take(now.lived_s) for name, gauge in self._gauges.items()}
            if means["continuity"] is None:
                means["continuity"] = progress.continuity
            said = {
                **self._labels,
                **means,
                "startup_ms": playback.startup_ms,
                "stall_count": playback.stall_count,
                "stall_ms": playback.stall_ms,
                "played_ms": progress.played_ms,
                **self._latest,
                "extra": fit_extra(self.extra, self._misfits) or None,
            }
            return self._head(event, now.monotonic_s) | {name: value for name, value in said.items() if value is not None}

    def begin_anew(self) -> None:
        """In a forked child: another view with an identity of its own. What was counted so far belongs to the parent."""
        had_started = self._playback.has_started
        self._playback = Playback()
        self._identify()
        if had_started:
            self._playback.start(None, self._lived_s)
        for gauge in self._gauges.values():
            gauge.take(self._lived_s)

    def _identify(self) -> None:
        # Re-entrant, because a signal handler of the app may call us while it is held.
        self._lock = threading.RLock()
        self._session_id = _new_id()
        self._seq = 0
        # Lived time may begin at any moment; after a fork this one is not before any that the gauges know.
        self._began_s = self._read_s = self._lived_s = self._clock.monotonic_s()

    def _now(self) -> "_Moment":
        """Now, on both clocks of the session; called with its lock held."""
        now_s = self._clock.monotonic_s()
        self._lived_s += max(now_s - self._read_s - self._clock.stopped_s(self._read_s), 0.0)
        self._read_s = now_s
        return _Moment(now_s, self._lived_s)

    def _head(self, event: Event, now_s: float) -> Message:
        seq = self._seq
        self._seq += 1
        return {
            "v": VERSION,
            "peer_id": self._peer_id,
            "session_id": self._session_id,
            "seq": seq,
            "event": event,
            "sent_ms": min(max(self._clock.wall_ms(), 0), LARGEST_INT),
            "uptime_ms": max(round((now_s - self._began_s) * 1000), 0),
        }

    def _measure(self, means: tuple[object, ...], latest: tuple[object, ...]) -> None:
        now_s = self._now().lived_s
        for name, value in zip(_MEANS, means, strict=True):
            number = fit_number(name, value, self._misfits)
            if number is not None:
                self._gauges[name].set(number, now_s)
        for name, value in zip(_LATEST, latest, strict=True):
            number = fit_number(name, value, self._misfits)
            if number is not None:
                self._latest[name] = number

    def _label(self, **labels: object) -> None:
        for name, value in labels.items():
            text = fit_text(name, value, self._misfits)
            if text is not None:
                self._labels[name] = text


def _new_id() -> str:
    """128 random bits: unlike those of `random`, never the same in two children of one parent."""
    return os.urandom(16).hex()


def _nobody(_: Session) -> None:
    """Nobody wants to know."""
