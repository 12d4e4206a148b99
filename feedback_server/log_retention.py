"""Decide which sealed logs are removed, and remove them. Open journals are never removed: no platform may have fetched them.

A removal is final, so a date alone removes nothing: the age of a log is the time for which this server has run since
(serving/lived_time.py). After a start and after a step of the clock, nothing is removed for a while, and then only a share at a
time. An operator who reads the warning has time to correct the clock or the setting.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from feedback_server.counters import Counters
from feedback_server.settings import Settings
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_wire.catalogue import LogEntry
from serving.lived_time import DAY_S, LIVED_TIME, PATIENCE_S, LivedTime

log = logging.getLogger(__name__)

LEAST_AT_ONCE = 10
SHARE_AT_ONCE = 100
"""At once, at most one `SHARE_AT_ONCE`th of the logs is removed because of age, but `LEAST_AT_ONCE` if that is more."""
_BETWEEN_SHARES_S = 60.0
_BYTES_AT_ONCE = 10_000
_KEEP_EVERY_S = 300.0
_TELL_FROM_S = 3600

BY_AGE = "keep_days"
BY_BYTES = "keep_bytes"


@dataclass(frozen=True, slots=True)
class Retired:
    """A sealed log to remove, and the setting that demands it."""

    entry: LogEntry
    reason: str


def to_retire(sealed: Iterable[LogEntry], *, too_old_s: int | None, surplus_bytes: int, aged: int) -> list[Retired]:
    """The oldest of `sealed` (oldest first) that exceed the settings, without gaps.

    Logs that begin before `too_old_s` are too old; at most `aged` logs are removed because of their age.
    """
    retired: list[Retired] = []
    for entry in sealed:
        if surplus_bytes > 0:
            reason = BY_BYTES
        elif too_old_s is not None and entry.name.begins_s < too_old_s and aged > 0:
            reason = BY_AGE
            aged -= 1
        else:
            break
        retired.append(Retired(entry, reason))
        surplus_bytes -= entry.bytes
    return retired


class LogRetention:
    """Removes sealed logs that exceed `--keep-days` or `--keep-bytes`; days are days in which this server runs."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        *,
        offered: OfferedLogs,
        counters: Counters,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._offered = offered
        self._counters = counters
        self._wall, self._monotonic = wall, monotonic
        self._lived: LivedTime | None = None
        self._patient_until_s = self._kept_s = self._next_share_s = monotonic()

    def remove_expired(self) -> None:
        """Remove the logs that exceed the settings now."""
        now_s, too_old_s = int(self._wall()), None
        if self._settings.keep_days is not None:
            lived = self._advance_lived_time()
            if self._monotonic() >= max(self._patient_until_s, self._next_share_s):
                too_old_s = lived.moment(self._settings.keep_days * DAY_S, now_s=now_s)
        logs, size = self._offered.totals()
        surplus = size - self._settings.keep_bytes if self._settings.keep_bytes is not None else 0
        if too_old_s is None and surplus <= 0:
            return
        aged = max(LEAST_AT_ONCE, logs // SHARE_AT_ONCE)
        oldest = self._offered.sealed(max(aged, _BYTES_AT_ONCE))
        for retired in to_retire(oldest, too_old_s=too_old_s, surplus_bytes=surplus, aged=aged):
            if not self._remove(retired, now_s):
                return
            if retired.reason == BY_AGE:
                self._next_share_s = self._monotonic() + _BETWEEN_SHARES_S

    def save_lived_time(self) -> None:
        """Save the time for which this server has run."""
        if self._lived is None or self._folder.read_only_reason is not None:
            return
        if oldest := self._offered.sealed(1):
            self._lived.drop_before(oldest[0].name.begins_s)
        try:
            self._folder.save_state(LIVED_TIME, self._lived.to_json().encode())
        except OSError as error:  # with the older saved value, logs seem younger, never older
            log.warning("the time for which this server has run is not saved; logs may be kept for longer: %s", error)

    def _advance_lived_time(self) -> LivedTime:
        first = self._lived is None
        lived = self._lived = self._lived or self._saved_lived_time()
        now_s, monotonic_s = self._wall(), self._monotonic()
        skipped_s = lived.advance(now_s, monotonic_s)
        self._counters.clock_skipped_s += skipped_s
        if first or skipped_s:
            self._patient_until_s = monotonic_s + PATIENCE_S
        if skipped_s >= _TELL_FROM_S:
            log.warning(
                "the clock has advanced by %.1f days in which this server did not run: no log is removed because of them, as the "
                "date may be wrong; --keep-days %s counts days in which this server runs",
                skipped_s / DAY_S,
                self._settings.keep_days,
            )
        if first or monotonic_s - self._kept_s >= _KEEP_EVERY_S:
            self._kept_s = monotonic_s
            self.save_lived_time()
        return lived

    def _saved_lived_time(self) -> LivedTime:
        """The saved time of earlier runs; without it, the time that the existing logs cover."""
        try:
            return LivedTime.from_json(self._folder.read_state(LIVED_TIME))
        except ValueError:
            return LivedTime.of_moments(self._offered.begins_s())

    def _remove(self, retired: Retired, now_s: int) -> bool:
        entry = retired.entry
        try:
            self._folder.remove(str(entry.name))
        except OSError as error:
            log.warning("%s has expired and could not be removed: %s", entry.name, error)
            return False
        self._offered.remove(entry.name)
        self._counters.retired += 1
        self._counters.retired_bytes += entry.bytes
        self._counters.retired_for[retired.reason] += 1
        setting = f"--{retired.reason.replace('_', '-')} {getattr(self._settings, retired.reason)}"
        age_days = (now_s - entry.name.begins_s) / DAY_S
        log.info(
            "%s is removed by %s: %d records, %d bytes, %.1f days old", entry.name, setting, entry.records, entry.bytes, age_days
        )
        return True
