"""How far the clock of a feedback server is ahead of the platform's, told by the `Date` of its answers (RFC 9110, section 6.6.1).

A `Date` has whole seconds and says nothing of the way that the answer took, so a single one is exact to about two seconds. The
median of the last ones counts, and less than `NOTICED_MS` is no skew.
"""

from collections import deque
from email.utils import parsedate_to_datetime
from statistics import median

NOTICED_MS = 3_000
"""More than rounding to seconds and a slow way can make."""

ROUNDS = 5


class ServerClock:
    """The clock of one feedback server; `ahead_ms` is negative for one that is behind, and 0 for less than `NOTICED_MS`."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=ROUNDS)

    def note_date(self, date: str | None, now_ms: int) -> None:
        """An answer with this `Date` has arrived at `now_ms` of the platform's clock; what is no date says nothing."""
        try:
            server_ms = parsedate_to_datetime(date or "").timestamp() * 1000
        except (ValueError, TypeError, OverflowError):
            return
        # The fraction of the second is cut off: half a second is in the middle of what it may have been.
        self._samples.append(server_ms + 500 - now_ms)

    @property
    def ahead_ms(self) -> int:
        ahead_ms = round(median(self._samples) / 1000) * 1000 if self._samples else 0
        return ahead_ms if abs(ahead_ms) >= NOTICED_MS else 0
