"""How far a feedback server's clock is ahead of the platform's, from the headers of its catalogue.

The server states its clock in milliseconds. An older server has only the `Date` (RFC 9110, section 6.6.1), which has whole seconds,
and which a proxy may replace. Both exclude the time of transmission, so the median of the last ones is used, and less than
`NOTICED_MS` counts as no difference. After a step of the server's clock, only the answers since the step count.

If a server's clock was set back, the times of its records stand still until it has caught up. The server states this difference
too, and `ahead_ms` includes it.
"""

from collections import deque
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from math import inf
from statistics import median

from feedback_wire import routes

NOTICED_MS = 3_000
"""More than the rounding to seconds and a slow network can cause."""

_ENDED_MS = 1_000
"""A noticed difference ends below this. With one limit, a clock near it would be noticed and not noticed in turn."""

_STEPPED_MS = 10_000
"""If two answers exclude each other by more than this, the clock was set between them."""

ROUNDS = 5

_MOST_DIGITS = 15


class ServerClock:
    """The clock of one feedback server. `ahead_ms` is negative if it is behind, and 0 for less than `NOTICED_MS`."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=ROUNDS)
        self._possible = -inf, inf
        self._noticed = False
        self._platform_ms: float | None = None
        self._records_ahead_ms = 0

    def note(self, headers: Mapping[str, str], now_ms: int, *, waited_ms: float = 0, monotonic_ms: float = 0) -> None:
        """Note the headers of an answer that arrived at `now_ms`, by the platform's clock, `waited_ms` after its request. Invalid
        values are ignored. `monotonic_ms` is the platform's monotonic clock, which shows whether the other one was set meanwhile.
        """
        self._follow_platform(now_ms - monotonic_ms)
        self._records_ahead_ms = _number(headers.get(routes.AHEAD_HEADER)) or 0
        own_ms = _number(headers.get(routes.CLOCK_HEADER))
        at_ms = own_ms or _date_ms(headers.get("Date"))
        if at_ms is not None:
            self._add(at_ms - now_ms, at_ms - (now_ms - waited_ms), is_date=own_ms is None)
        self._noticed = abs(self._measured_ms) >= (_ENDED_MS if self._noticed else NOTICED_MS)

    @property
    def stands_still(self) -> bool:
        """Whether the server's records have one time until its clock, which was set back, has caught up."""
        return self._records_ahead_ms >= NOTICED_MS

    @property
    def ahead_ms(self) -> int:
        return self._measured_ms if self._noticed else 0

    @property
    def _measured_ms(self) -> int:
        # After a step of the server's clock, the median would still have the old difference, and both would be added.
        last = list(self._samples)[-1 if self.stands_still else 0 :]
        ahead_ms = round(median(last) / 1000) * 1000 if last else 0
        return ahead_ms + self._records_ahead_ms

    def _add(self, least_ms: float, most_ms: float, *, is_date: bool) -> None:
        """Add the difference of one answer: `least_ms` if it was written just now, `most_ms` if it was written at the request."""
        if least_ms > self._possible[1] + _STEPPED_MS or most_ms < self._possible[0] - _STEPPED_MS:
            self._samples.clear()
            self._noticed = False
        self._possible = least_ms, most_ms
        # A server writes its own clock when it answers, and may write a `Date` at any time of a long poll.
        self._samples.append(max(0.0, least_ms) or min(0.0, most_ms) if is_date else least_ms)

    def _follow_platform(self, platform_ms: float) -> None:
        """Correct the earlier differences if the platform's clock was set. `platform_ms`: its difference to the monotonic clock."""
        stepped_ms = 0.0 if self._platform_ms is None else platform_ms - self._platform_ms
        self._platform_ms = platform_ms
        if abs(stepped_ms) >= NOTICED_MS:
            self._samples = deque((each - stepped_ms for each in self._samples), maxlen=ROUNDS)
            self._possible = self._possible[0] - stepped_ms, self._possible[1] - stepped_ms


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _date_ms(text: str | None) -> float | None:
    try:
        server_ms = parsedate_to_datetime(text or "").timestamp() * 1000
    except (ValueError, TypeError, OverflowError):
        return None
    # The fraction of the second is missing; half a second is its expected value.
    return server_ms + 500
