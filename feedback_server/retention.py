"""Which sealed logs have to go. An open journal never does: its records have not even had the chance to be fetched.

What is removed is gone, so a clock that steps forward is not believed at once: a wrong date must not cost a year of logs.
"""

import logging
from collections.abc import Sequence

from feedback_server.settings import DAY_S
from feedback_wire.catalogue import LogEntry

log = logging.getLogger(__name__)

BELIEVED_AFTER_S = DAY_S
"""A step forward is believed when it has lasted so long, which is time for an operator to notice and mend it."""

# Between two looks a clock that is being slewed, or a machine that is busy, gains less than this.
_STEP_S = 60.0


class PatientClock:
    """The time to judge ages by: the wall clock's, but for steps forward that have only just happened."""

    def __init__(self, wall_s: float, monotonic_s: float) -> None:
        self._now_s = wall_s
        self._looked_s = monotonic_s
        self._stepped_s: float | None = None

    def now_s(self, wall_s: float, monotonic_s: float) -> float:
        """The time, given both clocks."""
        expected_s = self._now_s + monotonic_s - self._looked_s
        self._looked_s = monotonic_s
        if wall_s <= expected_s + _STEP_S:
            self._stepped_s = None
        elif self._stepped_s is None:
            log.warning("the clock went forward by %.0f s: for a day no log counts as older because of that", wall_s - expected_s)
            self._stepped_s = monotonic_s
        elif monotonic_s - self._stepped_s >= BELIEVED_AFTER_S:
            self._stepped_s = None
        self._now_s = wall_s if self._stepped_s is None else expected_s
        return self._now_s


def to_retire(sealed: Sequence[LogEntry], *, now_s: int, keep_days: int | None, keep_bytes: int | None) -> list[LogEntry]:
    """The oldest of `sealed` (oldest first) that are beyond the days or the bytes to keep, without gaps."""
    too_old_s = now_s - keep_days * DAY_S if keep_days is not None else 0
    surplus = sum(entry.bytes for entry in sealed) - keep_bytes if keep_bytes is not None else 0
    retired: list[LogEntry] = []
    for entry in sealed:
        if entry.name.begins_s >= too_old_s and surplus <= 0:
            break
        retired.append(entry)
        surplus -= entry.bytes
    return retired
