"""The alerts of a running platform: rules evaluated in a worker, notifications to webhooks, and metrics.

Live minutes are evaluated when they are complete. Recorded files are evaluated once at the start, without notifications.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.alert_text import as_json, link
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert
from monitor_platform.alerts.held_back import HeldBack
from monitor_platform.alerts.rules import SEVERITIES, Rule, Rules
from monitor_platform.alerts.silences import Silences
from monitor_platform.alerts.webhooks import Notification, WebhookSender, sample_notification
from serving.tls import Tls

LOOK_EVERY_S = 0.5
LATE_MS = 5_000
"""The time that messages may take at the end host, the coordinator and the feedback server, in addition to two polls."""


class AlertService(Collector):
    """Evaluates rules over one table. `watch` has the alerts that pages show. `silences` is None for recorded files."""

    def __init__(self, rules: Rules, table: FeedbackTable, silences: Silences | None = None) -> None:
        self.watch = AlertWatch(rules.rules, self._on_change)
        self.silences = silences
        self._held = HeldBack()
        self._rules = rules
        self._table = table
        self.sender: WebhookSender | None = None
        """None for recorded files."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dashboard_url = ""

    @property
    def rules(self) -> tuple[Rule, ...]:
        return self._rules.rules

    def evaluate_recorded(self) -> None:
        """Evaluate all minutes of the table now."""
        whole = extent(self._table)
        if whole is not None:
            self.watch.evaluate(self._table, whole.to_ms + MINUTE_MS)

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

    def send_test(self, number: int) -> bool:
        """Send a test message to the webhook with this number, from 0; False if too many notifications wait for it."""
        return self.sender is not None and self.sender.send_to(number, sample_notification(self._dashboard_url))

    async def _release(self) -> None:
        """Send the begin of each alert whose silence has ended while it was open."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for explained in self._held.released(self._is_silenced):
                self._send(explained)

    def _is_silenced(self, explained: ExplainedAlert) -> bool:
        return self.silences is not None and self.silences.of(explained.alert, time.time_ns() // 1_000_000) is not None

    def _send(self, explained: ExplainedAlert) -> None:
        if self.sender is not None:
            facts = as_json(explained.alert, explained.evidence)
            self.sender.send(Notification(facts=facts, link=link(explained.alert, self._dashboard_url)))
