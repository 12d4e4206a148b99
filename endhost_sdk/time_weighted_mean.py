"""The mean of a value over time. A value remains valid until the app sets the next one, so the mean is weighted by time."""


class TimeWeightedMean:
    """The mean of one value. `now_s` is on a clock that never runs backwards and that stops while the process does not run."""

    __slots__ = ("_known_s", "_mean", "_since_s", "_value")

    def __init__(self) -> None:
        self._value: float | None = None
        self._since_s = 0.0
        self._mean = 0.0
        self._known_s = 0.0

    def set(self, value: float, now_s: float) -> None:
        """The value is `value` from `now_s` on."""
        self._advance(now_s)
        self._value = value

    def take(self, now_s: float) -> float | None:
        """The mean of the interval that ends at `now_s`, over the time with a known value. Begins the next interval."""
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
        # A running mean returns a constant value exactly. A sum of products can differ in the last digit.
        weight = held_s / self._known_s
        mean, value = self._mean, self._value
        # Limited to the range of both values, because rounding of the last bit could exceed the field's range.
        self._mean = value if weight == 1 else min(max(mean + (value - mean) * weight, min(mean, value)), max(mean, value))
