"""What a node measures of the link from one neighbour: round trip, loss, and rate."""

from dataclasses import dataclass

from overlay.messages import LinkState
from overlay.route_cost import smoothed

MOST_PINGS_LOST = 100
"""A larger step of the number means that the neighbour was restarted."""


NEWS_MS, NEWS_SHARE, NEWS_LOSS = 5.0, 0.2, 0.02


def is_news(known: LinkState | None, state: LinkState) -> bool:
    """Whether a link has changed so much that a node without a stream reports it to the bootstrapper."""
    if known is None or abs(state.loss - known.loss) > NEWS_LOSS:
        return True
    return abs(state.round_trip_ms - known.round_trip_ms) > max(NEWS_MS, NEWS_SHARE * known.round_trip_ms)


@dataclass(slots=True)
class LinkMeasure:
    """Moving averages. Losses are those before any repair, of media and of PING, so an idle link is measured too."""

    round_trip_s: float | None = None
    loss: float | None = None
    rate_kbps: float = 0.0
    received_bytes: int = 0
    _pings_expected: int = 0
    _pings_received: int = 0
    _last_ping: int | None = None
    _before: tuple[int, int, int] = 0, 0, 0

    def pinged(self, number: int) -> None:
        """A PING of the neighbour has arrived; each has the next number."""
        step = number - self._last_ping if self._last_ping is not None else 0
        if self._last_ping is None or not 0 < step <= MOST_PINGS_LOST:
            step = 1 if self._last_ping is None or abs(step) > MOST_PINGS_LOST else 0
        self._pings_expected += step
        self._pings_received += 1 if step else 0
        self._last_ping = number if step else self._last_ping

    def answered(self, after_s: float) -> None:
        """A PING to the neighbour was answered."""
        self.round_trip_s = smoothed(self.round_trip_s, after_s)

    def sample(self, expected: int, lost: int, seconds: float) -> None:
        """Add a sample. `expected` and `lost` are counts of all media packets of the link so far."""
        total = expected + self._pings_expected
        missing = lost + self._pings_expected - self._pings_received
        before_total, before_missing, before_bytes = self._before
        if total > before_total and missing >= before_missing:
            self.loss = smoothed(self.loss, min((missing - before_missing) / (total - before_total), 1.0))
        self.rate_kbps = (self.received_bytes - before_bytes) * 8 / 1000 / seconds
        self._before = total, missing, self.received_bytes

    def state(self, neighbor: str) -> LinkState | None:
        """The report for the bootstrapper; None before the first round trip."""
        if self.round_trip_s is None:
            return None
        return LinkState(
            neighbor=neighbor, round_trip_ms=self.round_trip_s * 1000, loss=self.loss or 0.0, rate_kbps=max(self.rate_kbps, 0.0)
        )
