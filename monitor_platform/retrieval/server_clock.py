"""How far a feedback server's clock is ahead of the platform's, from the `Date` of its answers (RFC 9110, section 6.6.1).

A `Date` has whole seconds and excludes the time of transmission, so a single one is exact to about two seconds. The median of the
last ones is used, and less than `NOTICED_MS` counts as no difference.
"""

from collections import deque
from email.utils import parsedate_to_datetime
from statistics import median

NOTICED_MS = 3_000
"""More than the rounding to seconds and a slow network can cause."""

ROUNDS = 5


class ServerClock:
    """The clock of one feedback server. `ahead_ms` is negative if it is behind, and 0 for less than `NOTICED_MS`."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=ROUNDS)
        self._platform_ms: float | None = None

    def note_date(self, date: str | None, now_ms: int, *, waited_ms: float = 0, monotonic_ms: float = 0) -> None:
        """Note the `Date` of an answer that arrived at `now_ms`, by the platform's clock, `waited_ms` after its request. Invalid
        dates are ignored. `monotonic_ms` is the platform's monotonic clock, which shows whether the other one was set meanwhile.

        A server may write the `Date` when a long poll begins or when it ends, so a time between both is no difference.
        """
        self._follow_platform(now_ms - monotonic_ms)
        try:
            server_ms = parsedate_to_datetime(date or "").timestamp() * 1000
        except (ValueError, TypeError, OverflowError):
            return
        # The fraction of the second is missing; half a second is its expected value.
        at_ms = server_ms + 500
        self._samples.append(max(0.0, at_ms - now_ms) or min(0.0, at_ms - (now_ms - waited_ms)))

    @property
    def ahead_ms(self) -> int:
        ahead_ms = round(median(self._samples) / 1000) * 1000 if self._samples else 0
        return ahead_ms if abs(ahead_ms) >= NOTICED_MS else 0

    def _follow_platform(self, platform_ms: float) -> None:
        """Correct the earlier differences if the platform's clock was set. `platform_ms`: its difference to the monotonic clock."""
        stepped_ms = 0.0 if self._platform_ms is None else platform_ms - self._platform_ms
        self._platform_ms = platform_ms
        if abs(stepped_ms) >= NOTICED_MS:
            self._samples = deque((each - stepped_ms for each in self._samples), maxlen=ROUNDS)
