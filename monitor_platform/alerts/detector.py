"""Decides when an alert begins and ends: the state of one rule in all its slices. Without I/O; time is an argument.

An alert begins after `for_minutes` bad minutes in a row, and ends after the same number of good minutes in a row, so one good
minute in a bad hour does not end it. A minute with too few sessions is not bad. Bad minutes do not count for a slice's baseline, or
the baseline would adapt to the problem.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median

from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.observations import Observation
from monitor_platform.alerts.rules import Rule

# The median absolute deviation times this is the standard deviation of a normal distribution.
_MAD_TO_SIGMA = 1.4826
# Without this limit, a slice with almost constant values would alert at every small change: the spread is at least this share of
# the median.
_LEAST_SPREAD = 0.01
_LEAST_BASELINE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert of a rule in one slice. `limit`: the limit that was exceeded. `worst`: the value of the worst minute."""

    rule: Rule
    names: tuple[str, ...]
    began_ms: int
    ended_ms: int | None = None
    value: float
    worst: float
    limit: float
    sessions: int
    """The sessions of the slice in the minute that raised the alert, or its operations."""

    @property
    def raised_ms(self) -> int:
        """When webhooks were notified: after `for_minutes` bad minutes, of which the first one ended at `began_ms`."""
        return self.began_ms + (self.rule.for_minutes - 1) * MINUTE_MS

    @property
    def slice(self) -> dict[str, str]:
        """The slice as a filter."""
        return dict(zip(self.rule.by, self.names, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The slice of a rule that was closest to its limit, or furthest beyond it, in the last minute that had a value.

    `limit` is None as long as the slice has no baseline.
    """

    at_ms: int
    names: tuple[str, ...]
    value: float
    limit: float | None
    sessions: int
    slices: int
    """Number of slices that the rule evaluated in that minute."""


def known_at(alerts: Iterable[Alert], clock_ms: int | None) -> Iterator[Alert]:
    """The `alerts` as known at `clock_ms` (None: now): only those that had been notified, without a later end.

    The worst minute of an open alert is the one that raised it, because a worse minute may be after `clock_ms`.
    """
    for alert in alerts:
        if clock_ms is None or (alert.ended_ms is not None and alert.ended_ms <= clock_ms):
            yield alert
        elif alert.raised_ms <= clock_ms:
            yield replace(alert, ended_ms=None, worst=alert.value)


@dataclass(slots=True)
class _Slice:
    bad_since_ms: int | None = None
    bad_minutes: int = 0
    good_minutes: int = 0
    alert: Alert | None = None
    seen_ms: int = 0
    baseline: deque[float] = field(default_factory=deque)


class Detector:
    """The state of `rule`. Call `observe` for every minute, in order."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._slices: dict[tuple[str, ...], _Slice] = {}
        self.reading: Reading | None = None
        """None as long as no slice has had enough sessions in a minute."""

    @property
    def open(self) -> list[Alert]:
        return [each.alert for each in self._slices.values() if each.alert is not None]

    def observe(self, end_ms: int, observations: Iterable[Observation]) -> list[Alert]:
        """The alerts that begin or end with the minute that ends at `end_ms`."""
        seen = {each.names: each for each in observations}
        seen |= {names: self._silence(names) for names in self._slices.keys() - seen.keys()}
        changed = [self._update(names, each, end_ms) for names, each in seen.items()]
        self.reading = self._read(end_ms, seen.values()) or self.reading
        self._drop_old_slices(end_ms)
        return [alert for alert in changed if alert is not None]

    def _read(self, end_ms: int, seen: Iterable[Observation]) -> Reading | None:
        read = [
            Reading(at_ms=end_ms, names=each.names, value=each.value, limit=limit, sessions=each.sessions, slices=0)
            for each in seen
            if each.value is not None and each.names in self._slices and self._counts(each)
            for limit in [self._limit(self._slices[each.names])]
        ]
        return replace(max(read, key=self._excess), slices=len(read)) if read else None

    def _excess(self, reading: Reading) -> tuple[bool, float]:
        """A key that orders readings by how far they are beyond their limit; those without a limit come first."""
        excess = reading.value - (reading.limit or 0.0)
        return reading.limit is not None, excess if self.rule.worse_is_higher else -excess

    def _silence(self, names: tuple[str, ...]) -> Observation:
        """The observation of a minute without records: zero peers or operations, and no value of other measures."""
        return Observation(names=names, value=0.0 if self.rule.counts_reports else None, sessions=0)

    def _update(self, names: tuple[str, ...], seen: Observation, end_ms: int) -> Alert | None:
        if names not in self._slices and not self._enough(seen) and not self.rule.expects(names):
            return None
        each = self._slices.setdefault(names, _Slice())
        if self._enough(seen):
            each.seen_ms = end_ms
        limit = self._limit(each)
        known = seen.value is not None and limit is not None and self._counts(seen)
        bad = known and self._beyond(seen.value or 0.0, limit or 0.0)
        if not bad:
            self._add_to_baseline(each, seen)
            return self._good(each, end_ms)
        return self._bad(each, seen, limit or 0.0, end_ms)

    def _bad(self, each: _Slice, seen: Observation, limit: float, end_ms: int) -> Alert | None:
        value = seen.value or 0.0
        each.good_minutes = 0
        each.bad_minutes += 1
        if each.bad_since_ms is None:
            each.bad_since_ms = end_ms
        if each.alert is not None:
            worse = max if self.rule.worse_is_higher else min
            each.alert = replace(each.alert, worst=worse(each.alert.worst, value))
            return None
        if each.bad_minutes < self.rule.for_minutes:
            return None
        each.alert = Alert(
            rule=self.rule,
            names=seen.names,
            began_ms=each.bad_since_ms,
            value=value,
            worst=value,
            limit=limit,
            sessions=seen.sessions,
        )
        return each.alert

    def _good(self, each: _Slice, end_ms: int) -> Alert | None:
        each.bad_minutes, each.bad_since_ms = 0, None
        each.good_minutes += 1
        if each.alert is None or each.good_minutes < self.rule.for_minutes:
            return None
        ended, each.alert = replace(each.alert, ended_ms=end_ms), None
        return ended

    def _limit(self, each: _Slice) -> float | None:
        rule = self.rule
        if rule.deviates is None:
            return rule.below if rule.below is not None else rule.above
        if len(each.baseline) < min(_LEAST_BASELINE, rule.baseline_minutes):
            return None
        middle = median(each.baseline)
        spread = _MAD_TO_SIGMA * median(abs(value - middle) for value in each.baseline)
        far = rule.deviates * max(spread, _LEAST_SPREAD * abs(middle))
        return middle + far if rule.worse_is_higher else middle - far

    def _beyond(self, value: float, limit: float) -> bool:
        return value > limit if self.rule.worse_is_higher else value < limit

    def _add_to_baseline(self, each: _Slice, seen: Observation) -> None:
        if self.rule.deviates is None or each.alert is not None or seen.value is None or not self._enough(seen):
            return
        each.baseline.append(seen.value)
        while len(each.baseline) > self.rule.baseline_minutes:
            each.baseline.popleft()

    def _enough(self, seen: Observation) -> bool:
        return seen.sessions >= self.rule.least

    def _counts(self, seen: Observation) -> bool:
        """Whether the value of a slice that is known counts. The slice of a rule for `peers` or `operations` may be empty."""
        return self.rule.counts_reports or self._enough(seen)

    def _drop_old_slices(self, end_ms: int) -> None:
        """Remove slices without recent records, because channels end and memory must not grow."""
        keep_ms = MINUTE_MS * (self.rule.baseline_minutes + self.rule.for_minutes)
        for names, each in list(self._slices.items()):
            if each.alert is None and end_ms - each.seen_ms > keep_ms and not self.rule.expects(names):
                del self._slices[names]
