"""How long a history is kept: whole days of UTC, the current day included.

On a live platform, the age of a day is the time for which the platform has run since then (serving/lived_time.py). So old days are
dropped even if no messages arrive any more, and a wrong date drops nothing. For recorded files, age counts from the last message.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain

from feedback_analysis.history.store import DroppedDays, HistoryStore, extent
from feedback_analysis.time_units import DAY_MS
from serving.durable_files import replace_file
from serving.lived_time import LIVED_TIME, PATIENCE_S, LivedTime
from serving.regular_files import read_regular

log = logging.getLogger(__name__)

_SAVE_EVERY_S = 300.0
_WARN_FROM_S = 3600


@dataclass(slots=True, kw_only=True)
class Retention:
    """The last `days` are kept; None: all days."""

    days: int | None = None
    live: bool = True
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _lived: LivedTime | None = field(default=None, init=False)
    _patient_until_s: float = field(default=0.0, init=False)
    _saved_s: float = field(default=0.0, init=False)

    def apply(self, store: HistoryStore) -> DroppedDays:
        """Drop the days that are too old (live: one day per call), and log how many."""
        if self.days is None:
            return DroppedDays()
        before_ms = self._before_live_ms(store, self.days) if self.live else self._before_recorded_ms(store, self.days)
        begins_ms = store.begins_ms() if before_ms is not None else None
        if before_ms is None or begins_ms is None or begins_ms >= before_ms:
            return DroppedDays()
        if self.live:
            before_ms = min(before_ms, (begins_ms // DAY_MS + 1) * DAY_MS)
        dropped = store.drop_before(before_ms)
        day = datetime.fromtimestamp(before_ms / 1000, UTC).date()
        log.warning(
            "history: %d days before %s dropped by --history-days %d, with the sums of %d messages", dropped.days, day, self.days,
            dropped.messages,
        )  # fmt: skip
        return dropped

    def look(self, store: HistoryStore) -> None:
        """Read the clocks before new messages are added, so that messages with a wrong date do not change the result."""
        if self.live and self.days is not None:
            self._look_at_clocks(store, self.days)

    def _before_recorded_ms(self, store: HistoryStore, days: int) -> int | None:
        kept = extent(store)
        return None if kept is None else first_day_ms(kept.to_ms - 1, days)

    def _before_live_ms(self, store: HistoryStore, days: int) -> int | None:
        """The midnight (Unix ms) before which days are too old; None while nothing may be dropped."""
        lived, now_s = self._look_at_clocks(store, days), int(self.wall())
        if self.monotonic() < self._patient_until_s:
            return None
        moment_s = lived.moment(now_s - first_day_ms(now_s * 1000, days) // 1000, now_s=now_s)
        return None if moment_s is None else moment_s * 1000 // DAY_MS * DAY_MS

    def _look_at_clocks(self, store: HistoryStore, days: int) -> LivedTime:
        first = self._lived is None
        lived = self._lived = self._lived or _saved_lived_time(store)
        monotonic_s = self.monotonic()
        skipped_s = lived.advance(self.wall(), monotonic_s)
        if first or skipped_s:
            self._patient_until_s = monotonic_s + PATIENCE_S
        if skipped_s >= _WARN_FROM_S:
            log.warning(
                "the clock has advanced by %.1f days in which this platform did not run: no day of the history is dropped because "
                "of them, since the date may be wrong; --history-days %d counts days in which the platform runs",
                skipped_s / 86_400,
                days,
            )
        if first or monotonic_s - self._saved_s >= _SAVE_EVERY_S:
            self._saved_s = monotonic_s
            _save_lived_time(store, lived)
        return lived


def first_day_ms(now_ms: int, days: int) -> int:
    """The start of the first of the last `days`, Unix ms."""
    return (now_ms // DAY_MS - days + 1) * DAY_MS


def _saved_lived_time(store: HistoryStore) -> LivedTime:
    """The lived time that an earlier run saved; if there is none, it is derived from the hours of the history."""
    try:
        return LivedTime.from_json(read_regular(store.folder / LIVED_TIME))
    except FileNotFoundError:
        pass
    except ValueError as error:
        log.warning("%s is created again: %s", store.folder / LIVED_TIME, error)
    hours_s = store.hours_s()
    return LivedTime.of_moments(chain(hours_s, (hour_s + 3600 for hour_s in hours_s)))


def _save_lived_time(store: HistoryStore, lived: LivedTime) -> None:
    begins_ms = store.begins_ms()
    if begins_ms is not None:
        lived.drop_before(begins_ms // 1000)
    replace_file(store.folder / LIVED_TIME, lived.to_json().encode())


KEEP_ALL = Retention()
