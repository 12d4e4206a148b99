"""A session: one playback of one channel. `message()` builds the next feedback message from the app's events and values.

This module does no I/O and never waits for I/O. The identity `(session_id, seq)` is set when a message is built, so a message that
is sent twice counts once. The lock protects the app's calls from the sender's thread; it is held for microseconds.
"""

import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from endhost_sdk.clock import Clock, SystemClock
from endhost_sdk.fitting import fit_extra, fit_number, fit_text
from endhost_sdk.forks import resets_after_fork
from endhost_sdk.invalid_values import InvalidValues
from endhost_sdk.playback import Playback
from endhost_sdk.time_weighted_mean import TimeWeightedMean
from feedback_wire.limits import LARGEST_INT
from feedback_wire.message import VERSION, Event, ExtraValue, Message

_MEANS = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "p2p_ratio")
_LATEST = ("buffer_ms", "partners")
_LABELS = ("channel", "isp", "app", "platform")


class _Moment(NamedTuple):
    """One moment on two clocks: the monotonic clock, and one that stops while the process does not run."""

    monotonic_s: float
    running_s: float


class Session:
    """One playback of one channel. Each call takes microseconds, works in every thread, and never raises for an invalid value.

    `extra` is a dict of the app with numbers, texts and booleans. Each message contains its current entries.
    """

    __slots__ = (
        "__weakref__",
        "_began_s",
        "_changed",
        "_clock",
        "_hurried",
        "_invalid_values",
        "_labels",
        "_latest",
        "_left",
        "_lock",
        "_means",
        "_peer_id",
        "_playback",
        "_read_s",
        "_running_s",
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
        session_id: str | None = None,
        clock: Clock | None = None,
        invalid_values: InvalidValues | None = None,
        changed: Callable[["Session"], None] | None = None,
        hurried: Callable[["Session"], None] | None = None,
    ) -> None:
        """A session that begins now. `changed` is called after each call of the app, and `hurried` after `report_soon`.
        `invalid_values` counts invalid values.
        """
        self.extra: dict[str, ExtraValue] = {} if extra is None else extra
        self._clock = clock or SystemClock()
        self._invalid_values = invalid_values or InvalidValues()
        self._changed, self._hurried = changed or _ignore_change, hurried or _ignore_change
        # An end host without a valid id is still counted as one end host.
        self._peer_id = fit_text("peer_id", peer_id, self._invalid_values) or _new_id()
        self._labels: dict[str, str] = {}
        self._latest: dict[str, float] = {}
        self._means = {name: TimeWeightedMean() for name in _MEANS}
        self._playback = Playback()
        self._left: _Moment | None = None
        self._label(channel=channel, isp=isp, app=app, platform=platform)
        self._identify(fit_text("session_id", session_id, self._invalid_values))
        resets_after_fork(self)

    @property
    def session_id(self) -> str:
        return self._session_id

    @property
    def invalid_values(self) -> InvalidValues:
        """Counts of values and calls that fit no message."""
        return self._invalid_values

    @property
    def built(self) -> int:
        """The number of built messages, which is also the `seq` of the next one."""
        return self._seq

    @property
    def has_left(self) -> bool:
        return self._left is not None

    def started(self, *, after_ms: float | None = None) -> None:
        """The first picture appeared, `after_ms` milliseconds after the viewer's request. Call this once per session."""
        with self._lock:
            if self.has_left or self._playback.has_started:
                return self._invalid_values.ignore("started()", "came after left() or a second time")
            startup_ms = fit_number("startup_ms", after_ms, self._invalid_values)
            self._playback.start(None if startup_ms is None else int(startup_ms), self._now().running_s)
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
        """Set current values. Each value remains valid until the app sets it again; omitted values do not change.

        Rates are in kbit/s. `continuity` and `p2p_ratio` are shares from 0 to 1. Until the app sets `played_ms` (total of the
        session) or `continuity`, the SDK derives them from `started()` and `stalled()`.
        """
        means = (upload_kbps, download_kbps, playback_kbps, continuity, p2p_ratio)
        with self._lock:
            if self.has_left:
                return self._invalid_values.ignore("update()", "came after left()")
            self._measure(means, (buffer_ms, partners))
            played = fit_number("played_ms", played_ms, self._invalid_values)
            if played is not None:
                self._playback.state_played(int(played))
            self._label(channel=channel, isp=isp, app=app, platform=platform)
        return self._changed(self)

    def stalled(self, *, for_ms: float) -> None:
        """Playback continues now after a stall of `for_ms` milliseconds."""
        with self._lock:
            if self.has_left:
                return self._invalid_values.ignore("stalled()", "came after left()")
            stall_ms = int(fit_number("stall_ms", for_ms, self._invalid_values) or 0)
            self._playback.stall(stall_ms, round(1000 * self._clock.stopped_s(self._clock.monotonic_s() - stall_ms / 1000)))
        return self._changed(self)

    def report_soon(self) -> None:
        """Send the next report within a second: something has changed that should be visible soon. Works once per period."""
        with self._lock:
            if self.has_left:
                return self._invalid_values.ignore("report_soon()", "came after left()")
        return self._hurried(self)

    def left(self) -> None:
        """The viewer left: the session ends and its last message is sent. Further calls have no effect."""
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
        """Build the next feedback message with the next `seq`, and begin the next interval. The sender calls this."""
        with self._lock:
            # The last message describes the session up to its end.
            now = self._left or self._now()
            playback, progress = self._playback, self._playback.take(now.running_s)
            means = {name: mean.take(now.running_s) for name, mean in self._means.items()}
            if means["continuity"] is None:
                means["continuity"] = progress.continuity
            fields = {
                **self._labels,
                **means,
                "startup_ms": playback.startup_ms,
                "stall_count": playback.stall_count,
                "stall_ms": playback.stall_ms,
                "played_ms": progress.played_ms,
                **self._latest,
                "extra": fit_extra(self.extra, self._invalid_values) or None,
            }
            return self._head(event, now.monotonic_s) | {name: value for name, value in fields.items() if value is not None}

    def reset_after_fork(self) -> None:
        """In a forked child, begin another session with a new identity. Values counted so far belong to the parent."""
        had_started = self._playback.has_started
        self._playback = Playback()
        self._identify()
        if had_started:
            self._playback.start(None, self._running_s)
        for mean in self._means.values():
            mean.take(self._running_s)

    def _identify(self, session_id: str | None = None) -> None:
        # Re-entrant, because a signal handler of the app can call the SDK while the lock is held.
        self._lock = threading.RLock()
        self._session_id = session_id or _new_id()
        self._seq = 0
        # The second clock can start at any value. After a fork, it must not be earlier than the times that the means know.
        self._began_s = self._read_s = self._running_s = self._clock.monotonic_s()

    def _now(self) -> "_Moment":
        """The current time on both clocks of the session. The caller holds the lock."""
        now_s = self._clock.monotonic_s()
        self._running_s += max(now_s - self._read_s - self._clock.stopped_s(self._read_s), 0.0)
        self._read_s = now_s
        return _Moment(now_s, self._running_s)

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
        now_s = self._now().running_s
        for name, value in zip(_MEANS, means, strict=True):
            number = fit_number(name, value, self._invalid_values)
            if number is not None:
                self._means[name].set(number, now_s)
        for name, value in zip(_LATEST, latest, strict=True):
            number = fit_number(name, value, self._invalid_values)
            if number is not None:
                self._latest[name] = number

    def _label(self, **labels: object) -> None:
        for name, value in labels.items():
            text = fit_text(name, value, self._invalid_values)
            if text is not None:
                self._labels[name] = text


def _new_id() -> str:
    """A random id of 128 bits. Unlike ids from `random`, ids from `os.urandom` differ in forked children."""
    return os.urandom(16).hex()


def _ignore_change(_: Session) -> None:
    """The default of `changed`: does nothing."""
