"""The alerts of a running platform: rules evaluated in a worker, notifications to webhooks, and metrics.

Live minutes are evaluated when they are complete. Recorded files are evaluated once at the start, without notifications.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.alerts.alert_text import as_json, link
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert
from monitor_platform.alerts.rules import SEVERITIES, Rules
from monitor_platform.alerts.webhooks import Notification, WebhookSender
from serving.tls import Tls

LOOK_EVERY_S = 0.5
LATE_MS = 5_000
"""The time that messages may take at the end host, the coordinator and the feedback server, in addition to two polls."""


class AlertService(Collector):
    """Evaluates rules over one table. `watch` has the alerts that pages show."""

    def __init__(self, rules: Rules, table: FeedbackTable) -> None:
        self.watch = AlertWatch(rules.rules, self._on_change)
        self._rules = rules
        self._table = table
        self._sender: WebhookSender | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dashboard_url = ""

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
        self._sender = WebhookSender(self._rules.webhooks, tls)
        while not complete():  # noqa: ASYNC110 - a feed has no event for it
            await asyncio.sleep(LOOK_EVERY_S)
        late_ms = round(2 * poll_s * 1000) + LATE_MS
        with ThreadPoolExecutor(1, thread_name_prefix="alerts") as worker:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sender.run())
                group.create_task(self.watch.run(self._table, worker, late_ms))

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        severities: list[str] = [each.alert.rule.severity for each in self.watch.open]
        open_now = GaugeMetricFamily("swarmscope_monitor_alerts_open", "Open alerts.", labels=["severity"])
        for severity in SEVERITIES:
            open_now.add_metric([severity], severities.count(severity))
        yield open_now
        yield CounterMetricFamily("swarmscope_monitor_alerts_total", "Alerts that have begun.", self.watch.raised)
        messages = CounterMetricFamily(
            "swarmscope_monitor_alert_messages_total", "Notifications for webhooks, by outcome.", labels=["outcome"]
        )
        for outcome, number in (self._sender.counts if self._sender is not None else {}).items():
            messages.add_metric([outcome], number)
        yield messages

    def _on_change(self, explained: ExplainedAlert) -> None:
        if self._sender is not None and self._loop is not None:
            notification = Notification(
                facts=as_json(explained.alert, explained.evidence), link=link(explained.alert, self._dashboard_url)
            )
            self._loop.call_soon_threadsafe(self._sender.send, notification)  # because this runs in the worker's thread
