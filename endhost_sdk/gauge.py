"""A rate does not stop being true because nobody repeats it: a gauge holds until its next value; means weigh by time."""


class Gauge:
    """One value over time; `now_s` is a clock that never runs backwards, and stands while the process does not run."""

    __slots__ = ("_known_s", "_mean", "_since_s", "_value")

    def __init__(self) -> None:
        self._value: float | None = None
        self._since_s = 0.0
        self._mean = 0.0
        self._known_s = 0.0

    def set(self, value: float, now_s: float) -> None:
        """From `now_s` on it is `value`."""
        self._advance(now_s)
        self._value = value

    def take(self, now_s: float) -> float | None:
        """The mean of the interval that ends at `now_s`, over that part of it for which a value was known; begins the next."""
        self._advance(now_s)
        mean = self._mean if self._known_s > 0 else self._value
        self._known_s = 0.0
        return mean

    def _advance(self, now_s: float) -> None:
        held_s = now_s - self._since_s
        self._since_s = now_s
        if self._value is None or held_s <= 0:
            return
        self._known_s += held_s
        # As a running mean a value that never changed comes out exactly as it went in, which a sum of products does not promise.
        weight = held_s / self._known_s
        mean, value = self._mean, self._value
        # The last bit may round beyond both, and so out of the field's bounds.
        self._mean = value if weight == 1 else min(max(mean + (value - mean) * weight, min(mean, value)), max(mean, value))
