"""The alerts of a running platform: rules judged in a worker, changes sent to webhooks, figures for Prometheus.

Live, minutes are judged as they become complete. Recorded files are judged once, at the start, and nobody is woken by them.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.alerts.alert_text import as_json, link
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert
from monitor_platform.alerts.observations import MINUTE_MS
from monitor_platform.alerts.rules import SEVERITIES, Rules
from monitor_platform.alerts.webhooks import Messenger, News
from serving.tls import Tls

LOOK_EVERY_S = 0.5
LATE_MS = 5_000
"""What messages may need beyond two polls: the reporting end host's, the coordinator's and the journal's own time."""


class AlertService(Collector):
    """Rules at work over one table; `watch` is what the pages show of it."""

    def __init__(self, rules: Rules, table: FeedbackTable) -> None:
        self.watch = AlertWatch(rules.rules, self._on_change)
        self._rules = rules
        self._table = table
        self._messenger: Messenger | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dashboard_url = ""

    def judge_recorded(self) -> None:
        """Judge all that the table holds, at once."""
        whole = extent(self._table)
        if whole is not None:
            self.watch.judge(self._table, whole.to_ms + MINUTE_MS)

    async def run(self, *, complete: Callable[[], bool], dashboard_url: str, poll_s: float, tls: Tls) -> None:
        """Judge each minute and tell the webhooks, until cancelled; not before the table is `complete`.

        Minutes of which a part is still being read back would be judged by that part, and never again.
        """
        self._loop, self._dashboard_url = asyncio.get_running_loop(), dashboard_url
        self._messenger = Messenger(self._rules.webhooks, tls)
        while not complete():  # noqa: ASYNC110 - a feed has no event for it
            await asyncio.sleep(LOOK_EVERY_S)
        late_ms = round(2 * poll_s * 1000) + LATE_MS
        with ThreadPoolExecutor(1, thread_name_prefix="alerts") as worker:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._messenger.run())
                group.create_task(self.watch.run(self._table, worker, late_ms))

    def describe(self) -> list[Metric]:
        """Empty: otherwise the registration would collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        lasting: list[str] = [each.alert.rule.severity for each in self.watch.lasting]
        open_now = GaugeMetricFamily("swarmscope_monitor_alerts_open", "Alerts that last.", labels=["severity"])
        for severity in SEVERITIES:
            open_now.add_metric([severity], lasting.count(severity))
        yield open_now
        yield CounterMetricFamily("swarmscope_monitor_alerts_total", "Alerts that have begun.", self.watch.raised)
        messages = CounterMetricFamily(
            "swarmscope_monitor_alert_messages_total", "Messages for webhooks, by what became of them.", labels=["outcome"]
        )
        for outcome, number in (self._messenger.counts if self._messenger is not None else {}).items():
            messages.add_metric([outcome], number)
        yield messages

    def _on_change(self, explained: ExplainedAlert) -> None:
        if self._messenger is not None and self._loop is not None:
            news = News(facts=as_json(explained.alert, explained.evidence), link=link(explained.alert, self._dashboard_url))
            self._loop.call_soon_threadsafe(self._messenger.tell, news)  # this is the worker's thread
