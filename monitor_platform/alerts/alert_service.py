"""The alerts of a running platform: rules evaluated in a worker, notifications to webhooks, and metrics.

Live minutes are evaluated when they are complete. Recorded files are evaluated once at the start, without notifications.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import duckdb
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.record_table import RecordTable
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.problem import Problem
from monitor_platform.alerts.alert_diagnoses import AlertDiagnoses
from monitor_platform.alerts.alert_text import as_json, link
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert, last_record_ms
from monitor_platform.alerts.dry_run import DryRun, dry_run
from monitor_platform.alerts.held_back import HeldBack
from monitor_platform.alerts.rules import SEVERITIES, Rule, Rules
from monitor_platform.alerts.rules_file import RulesFile
from monitor_platform.alerts.silences import Silences
from monitor_platform.alerts.webhooks import Notification, WebhookSender, sample_notification
from serving.tls import Tls

log = logging.getLogger(__name__)

Result = TypeVar("Result")

LOOK_EVERY_S = 0.5
LATE_MS = 5_000
"""The time that messages may take at the end host, the coordinator and the feedback server, in addition to two polls."""


class AlertService(Collector):
    """Evaluates rules over one table. `watch` has the alerts that pages show. For recorded files, `silences` and `file`
    are None."""

    def __init__(
        self,
        rules: Rules,
        table: FeedbackTable,
        *,
        measurements: RecordTable | None = None,
        silences: Silences | None = None,
        diagnoses: AlertDiagnoses | None = None,
        file: RulesFile | None = None,
    ) -> None:
        self.watch = AlertWatch(rules.rules, self._on_change, measurements=measurements)
        self._measurements = measurements
        self.silences = silences
        self.diagnoses = diagnoses
        """None for recorded files."""
        self.on_begin: Callable[[ExplainedAlert], None] = lambda _explained: None
        """Called for each start and end of an alert that is not silenced."""
        self.file = file
        self._changed = 0
        self._worker: Executor | None = None
        self._held = HeldBack()
        self._rules = rules
        self._table = table
        self.sender: WebhookSender | None = None
        """None for recorded files."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dashboard_url = ""
        self._late_ms = LATE_MS

    @property
    def changes(self) -> int:
        """Grows with each change that a user makes."""
        kept = (self.silences, self.diagnoses)
        return self._changed + sum(each.changes for each in kept if each is not None)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules.rules

    def evaluate_recorded(self) -> None:
        """Evaluate all minutes of the table now."""
        last_ms = last_record_ms(self._table, self._measurements)
        if last_ms is not None:
            self.watch.evaluate(self._table, last_ms + MINUTE_MS)

    async def run(self, *, complete: Callable[[], bool], dashboard_url: str, poll_s: float, tls: Tls) -> None:
        """Evaluate each minute and notify the webhooks, until cancelled; not before the table is `complete`.

        A minute is evaluated only once, so all its records must be in the table.
        """
        self._loop, self._dashboard_url = asyncio.get_running_loop(), dashboard_url
        self.sender = WebhookSender(self._rules.webhooks, tls)
        while not complete():  # noqa: ASYNC110 - a feed has no event for it
            await asyncio.sleep(LOOK_EVERY_S)
        late_ms = round(2 * poll_s * 1000) + LATE_MS
        with ThreadPoolExecutor(1, thread_name_prefix="alerts") as worker:
            self._worker, self._late_ms = worker, late_ms
            async with asyncio.TaskGroup() as group:
                group.create_task(self.sender.run())
                group.create_task(self.watch.run(self._table, worker, late_ms))
                group.create_task(self._release())

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        severities: list[str] = [each.alert.rule.severity for each in self.watch.open]
        open_now = GaugeMetricFamily("swarmscope_monitor_alerts_open", "Open alerts.", labels=["severity"])
        for severity in SEVERITIES:
            open_now.add_metric([severity], severities.count(severity))
        yield open_now
        silenced = sum(map(self._is_silenced, self.watch.open))
        yield GaugeMetricFamily("swarmscope_monitor_alerts_silenced", "Open alerts that are silenced.", silenced)
        yield CounterMetricFamily("swarmscope_monitor_alerts_total", "Alerts that have begun.", self.watch.raised)
        messages = CounterMetricFamily(
            "swarmscope_monitor_alert_messages_total", "Notifications for webhooks, by outcome.", labels=["outcome"]
        )
        for outcome, number in ({**self.sender.counts, "silenced": self._held.silenced} if self.sender is not None else {}).items():
            messages.add_metric([outcome], number)
        yield messages

    def _on_change(self, explained: ExplainedAlert) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._notify, explained)  # because this runs in the worker's thread

    def _notify(self, explained: ExplainedAlert) -> None:
        if self._held.passes(explained, silenced=self._is_silenced(explained)):
            self._send(explained)
            self.on_begin(explained)

    def notify_of_diagnosis(self, explained: ExplainedAlert) -> None:
        """Notify the webhooks that the diagnosis of an alert has ended, unless the alert is silenced."""
        if not self._is_silenced(explained):
            self._send(explained, diagnosed=True)

    async def use(self, rules: Rules) -> None:
        """Evaluate other rules, and notify other webhooks, from now on."""
        await self._in_worker(self.watch.use, self._table, rules.rules)
        self._rules = rules
        if self.sender is not None:
            self.sender.use(rules.webhooks)
        self._changed += 1

    async def dry_run(self, rule: Rule) -> DryRun:
        """What a rule would have found in the last hour."""
        until_ms = _now_ms() - self._late_ms
        return await self._in_worker(dry_run, self._table, rule, until_ms, self._measurements)

    async def _in_worker(self, work: Callable[..., Result], *arguments: object) -> Result:
        if self._worker is None:
            raise Problem(503, "reading_back", "the mirror is being read; try again when the platform is ready")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work, *arguments)
        except duckdb.Error as error:
            log.exception("a change of the rules, or a dry run, could not be evaluated")
            raise Problem(503, "busy", "the rule could not be evaluated now; try again") from error

    def send_test(self, number: int) -> bool:
        """Send a test message to the webhook with this number, from 0; False if too many notifications wait for it."""
        return self.sender is not None and self.sender.send_to(number, sample_notification(self._dashboard_url))

    async def _release(self) -> None:
        """Send the start of each alert whose silence has ended while it was open."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.silences is not None:
                with suppress(Problem):  # the disk fails: the next attempt is in half a second
                    await self.silences.begin_by(_now_ms())
            for explained in self._held.released(self._is_silenced):
                self._send(explained)

    def _is_silenced(self, explained: ExplainedAlert) -> bool:
        return self.silences is not None and self.silences.of(explained.alert, _now_ms()) is not None

    def _send(self, explained: ExplainedAlert, *, diagnosed: bool = False) -> None:
        if self.sender is not None:
            diagnosis = self.diagnoses.of(explained.alert) if self.diagnoses is not None else None
            facts = as_json(explained.alert, explained.evidence, diagnosis)
            address = link(explained.alert, self._dashboard_url)
            self.sender.send(Notification(facts=facts, link=address, diagnosed=diagnosed))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
