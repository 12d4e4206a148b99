"""Evaluates rules over a table, minute by minute. Live and recorded messages give the same result.

A minute is evaluated after a delay, when its messages have arrived. After a restart the minutes in the table are evaluated again,
so webhooks get another notification of an open alert.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Literal

import duckdb

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import DAY_MS, MINUTE_MS
from monitor_platform.alerts.detector import Alert, Detector, Reading
from monitor_platform.alerts.evidence import Evidence, evidence, evidence_of_paths
from monitor_platform.alerts.measurement_observations import measurement_observations
from monitor_platform.alerts.observations import Observation, observations
from monitor_platform.alerts.rules import Rule

log = logging.getLogger(__name__)

REMEMBERED = 1_000
LOOK_EVERY_S = 5.0
# The most minutes in one query. After a restart with a day in the table, a query must not take minutes.
_MINUTES_AT_ONCE = 60
# NTP corrects a clock by less.
_SET_BACK_MS = 2 * MINUTE_MS
# So much is evaluated again if the clock has advanced by more since the last evaluation. A year has 525,600 minutes.
_MOST_AHEAD_MS = DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedAlert:
    """The current state of an alert, and its evidence."""

    alert: Alert
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleState:
    """The current state of a rule: its open alerts, its last reading, and when its last alert ended (None: unknown)."""

    rule: Rule
    open: tuple[Alert, ...] = ()
    reading: Reading | None = None
    ended_ms: int | None = None

    @property
    def word(self) -> Literal["firing", "well", "no data"]:
        """`no data`: no slice has had enough sessions in a minute."""
        return "firing" if self.open else "well" if self.reading is not None else "no data"

    @property
    def since_ms(self) -> int | None:
        """When the rule began to fire, or stopped firing; None if it has not fired."""
        return min(each.began_ms for each in self.open) if self.open else self.ended_ms


class AlertWatch:
    """Evaluates all rules. Every begin and end of an alert is stored, and passed to `on_change`.

    `measurements`: the table of rules about measurements. Without it, these rules find nothing.
    """

    def __init__(
        self,
        rules: tuple[Rule, ...],
        on_change: Callable[[ExplainedAlert], None],
        *,
        measurements: RecordTable | None = None,
    ) -> None:
        self._measurements = measurements
        self._began_ms: int | None = None
        self._detectors = [Detector(rule) for rule in rules]
        self._on_change = on_change
        self._evaluated_ms: int | None = None
        self._changes: deque[ExplainedAlert] = deque(maxlen=REMEMBERED)
        # Replaced after each step, because other threads read it while a worker evaluates.
        self.alerts: tuple[ExplainedAlert, ...] = ()
        """Each alert once, the latest first; open alerts with their worst minute so far."""
        self.open: tuple[ExplainedAlert, ...] = ()
        """The alerts that are open."""
        self.states = tuple(RuleState(rule=rule) for rule in rules)
        """The state of each rule, in the order of the file."""
        self.raised = 0

    def evaluate(self, table: FeedbackTable, until_ms: int) -> None:
        """Evaluate the records in `table` of each minute up to `until_ms` that has not been evaluated."""
        begin_ms = self._evaluated_ms or self._first_ms(table)
        if begin_ms is None:
            return
        for span in _spans(begin_ms, until_ms):
            found = [(detector, self._observe(table, detector.rule, span)) for detector in self._detectors]
            for end_ms in range(span.from_ms + MINUTE_MS, span.to_ms + 1, MINUTE_MS):
                for detector, seen in found:
                    for alert in detector.observe(end_ms, seen[end_ms]):
                        self._change(table, alert, end_ms)
            self._evaluated_ms = span.to_ms
            self._publish()

    def evaluate_live(self, table: FeedbackTable, until_ms: int) -> None:
        """As `evaluate`, up to `until_ms` by this machine's clock, which may have been set back or ahead."""
        if self._evaluated_ms is not None:
            if until_ms < self._evaluated_ms - _SET_BACK_MS:
                self._start_again(table, until_ms)
            self._evaluated_ms = max(self._evaluated_ms, (until_ms - _MOST_AHEAD_MS) // MINUTE_MS * MINUTE_MS)
        self.evaluate(table, until_ms)

    def use(self, table: FeedbackTable, rules: tuple[Rule, ...]) -> None:
        """Evaluate `rules` from now on. Call it in the thread that calls `evaluate`.

        A rule that stays keeps its state. The open alerts of a rule that was removed or changed end. A new rule is evaluated over
        the minutes in the table; its alerts that are still open begin.
        """
        staying = [detector for detector in self._detectors if detector.rule in rules]
        if self._evaluated_ms is not None:
            self._end_alerts(table, [each for each in self._detectors if each not in staying], self._evaluated_ms)
        self._detectors = [
            next((each for each in staying if each.rule == rule), None) or self._caught_up(table, rule) for rule in rules
        ]
        self._publish()

    def _start_again(self, table: FeedbackTable, until_ms: int) -> None:
        """The clock was set back: evaluate from the present time on, as after a restart, and not only when it has caught up."""
        log.warning("this machine's clock was set back; the rules are evaluated again from the present time on")
        self._end_alerts(table, self._detectors, until_ms // MINUTE_MS * MINUTE_MS)
        self._changes = deque((each for each in self._changes if each.alert.began_ms <= until_ms), maxlen=REMEMBERED)
        self._evaluated_ms = until_ms // MINUTE_MS * MINUTE_MS
        self._detectors = [self._caught_up(table, detector.rule) for detector in self._detectors]
        self._publish()

    def _end_alerts(self, table: FeedbackTable, detectors: Iterable[Detector], end_ms: int) -> None:
        """End the open alerts of these detectors, which are not used any more."""
        for alert in [alert for detector in detectors for alert in detector.open]:
            self._change(table, replace(alert, ended_ms=max(end_ms, alert.began_ms)), end_ms)

    def _caught_up(self, table: FeedbackTable, rule: Rule) -> Detector:
        """A detector of a new rule, after all minutes that the other rules have been evaluated for."""
        detector, first_ms = Detector(rule), self._first_ms(table)
        if first_ms is None or self._evaluated_ms is None:
            return detector
        for span in _spans(first_ms, self._evaluated_ms):
            for end_ms, seen in self._observe(table, rule, span).items():
                detector.observe(end_ms, seen)
        for alert in detector.open:
            self._change(table, alert, self._evaluated_ms)
        return detector

    def _first_ms(self, table: FeedbackTable) -> int | None:
        """The time of the first record, Unix ms; without any record, the time from which agents are expected to report."""
        whole = extent(table)
        first = [] if whole is None else [whole.from_ms]
        if self._measurements is not None and any(detector.rule.measures_network for detector in self._detectors):
            first += first_received_ms(self._measurements)
            first += [self._began_ms] if self._began_ms is not None else []
        return min(first, default=None)

    def _observe(self, table: FeedbackTable, rule: Rule, span: Span) -> dict[int, list[Observation]]:
        return observations_of(table, self._measurements, rule=rule, span=span)

    def _publish(self) -> None:
        self.alerts = self._current()
        self.open = tuple(each for each in self.alerts if each.alert.ended_ms is None)
        self.states = tuple(self._state(detector) for detector in self._detectors)

    async def run(self, table: FeedbackTable, worker: Executor, late_ms: int) -> None:
        """Evaluate each minute `late_ms` after its end, until cancelled."""
        self._began_ms = time.time_ns() // 1_000_000 - late_ms
        while True:
            until_ms = time.time_ns() // 1_000_000 - late_ms
            try:
                await asyncio.get_running_loop().run_in_executor(worker, self.evaluate_live, table, until_ms)
            except duckdb.Error:
                log.exception("the rules could not be evaluated; the next attempt is in %.0f s", LOOK_EVERY_S)
            await asyncio.sleep(LOOK_EVERY_S)

    def _current(self) -> tuple[ExplainedAlert, ...]:
        open_now = {(alert.rule.name, alert.names): alert for detector in self._detectors for alert in detector.open}
        latest: dict[tuple[str, tuple[str, ...], int], ExplainedAlert] = {}
        for each in self._changes:
            latest[each.alert.rule.name, each.alert.names, each.alert.began_ms] = each
        current = []
        for (rule, names, began_ms), each in latest.items():
            now = open_now.get((rule, names))
            fresh = now is not None and now.began_ms == began_ms and each.alert.ended_ms is None
            current.append(ExplainedAlert(alert=now, evidence=each.evidence) if fresh and now is not None else each)
        return tuple(sorted(current, key=lambda each: -each.alert.began_ms))

    def _state(self, detector: Detector) -> RuleState:
        ended = (each.alert.ended_ms for each in self._changes if each.alert.rule is detector.rule)
        return RuleState(
            rule=detector.rule,
            open=tuple(detector.open),
            reading=detector.reading,
            ended_ms=max((at for at in ended if at is not None), default=None),
        )

    def _evidence(self, table: FeedbackTable, alert: Alert, end_ms: int) -> Evidence:
        if not alert.rule.measures_network:
            return evidence(table, alert=alert, until_ms=end_ms)
        return Evidence() if self._measurements is None else evidence_of_paths(self._measurements, alert=alert, until_ms=end_ms)

    def _change(self, table: FeedbackTable, alert: Alert, end_ms: int) -> None:
        explained = ExplainedAlert(alert=alert, evidence=self._evidence(table, alert, end_ms))
        self.raised += alert.ended_ms is None
        self._changes.append(explained)
        self._on_change(explained)


def observations_of(
    table: FeedbackTable, measurements: RecordTable | None, *, rule: Rule, span: Span
) -> dict[int, list[Observation]]:
    """The observations of each minute of `span`, from the table that the rule is about."""
    if not rule.measures_network:
        return observations(table, rule=rule, span=span)
    if measurements is None:
        return {end_ms: [] for end_ms in range(span.from_ms + MINUTE_MS, span.to_ms + 1, MINUTE_MS)}
    return measurement_observations(measurements, rule=rule, span=span)


def first_received_ms(measurements: RecordTable) -> list[int]:
    """The time of receipt of the first operation, if there is one."""
    with measurements.reading() as db:
        [(first,)] = db.execute("SELECT min(received_ms) FROM measurement").fetchall()
    return [] if first is None else [int(first)]


def last_record_ms(table: FeedbackTable, measurements: RecordTable | None) -> int | None:
    """The time of the last record of both tables, Unix ms; None without records."""
    whole = extent(table)
    last = [] if whole is None else [whole.to_ms]
    if measurements is not None:
        with measurements.reading() as db:
            [(received_ms,)] = db.execute("SELECT max(received_ms) FROM measurement").fetchall()
        last += [] if received_ms is None else [int(received_ms)]
    return max(last, default=None)


def _spans(from_ms: int, until_ms: int) -> Iterator[Span]:
    """The full minutes from the one of `from_ms` up to `until_ms`, in parts."""
    begin_ms = from_ms // MINUTE_MS * MINUTE_MS
    last_ms = until_ms // MINUTE_MS * MINUTE_MS
    while begin_ms < last_ms:
        end_ms = min(begin_ms + _MINUTES_AT_ONCE * MINUTE_MS, last_ms)
        yield Span(begin_ms, end_ms)
        begin_ms = end_ms
