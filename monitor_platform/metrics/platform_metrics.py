"""Prometheus exposition of plain numbers that live elsewhere, read at the moment of the scrape."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.messages.budgets import DEFAULTS
from feedback_analysis.messages.live_table import LiveTable
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.retrieval.feed import Feed

# Name in Counts, what it counts.
_FEED_COUNTERS = (
    ("polls", "Catalogues asked for."),
    ("failures", "Rounds of polling that ended early."),
    ("bytes_fetched", "Bytes of logs fetched."),
    ("logs_mirrored", "Sealed logs that arrived whole."),
    ("records_taken", "Records that were new to the table."),
    ("duplicates_dropped", "Records that the table had already."),
    ("conflicts_dropped", "Records with other content under a number that the table had already."),
    ("damaged_frames", "Stretches that are no whole frame."),
    ("implausible_clocks", "Records left out of the display delay because their end host's clock cannot be right."),
    ("logs_skipped", "Logs that a feedback server lists and that are not taken."),
    ("refetches", "Logs fetched again because of damage."),
)


class PlatformMetrics(Collector):
    """Metrics of the platform process itself."""

    def __init__(self, table: FeedbackTable, state: DashboardState, feed: Feed | None) -> None:
        self._table = table
        self._state = state
        self._feed = feed

    def describe(self) -> list[Metric]:
        """Nothing in advance: a scrape asks, registration does not."""
        return []

    def collect(self) -> Iterator[Metric]:
        answers = self._state.answers
        yield GaugeMetricFamily("swarmscope_monitor_viewers", "Open pages.", len(self._state.viewers))
        yield CounterMetricFamily("swarmscope_monitor_questions_total", "Queries asked for by pages and scripts.", answers.asked)
        yield CounterMetricFamily(
            "swarmscope_monitor_queries_total", "Queries run; the others were shared answers.", answers.computed
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_query_seconds_total", "Time from asking to answer, of queries run.", answers.seconds
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_queries_refused_total", "Queries not run because too many waited.", answers.refused
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_queries_stopped_total", "Queries stopped for want of time or memory.", answers.stopped
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_unreadable_total", "Records known to exist and not readable.", self._table.unreadable
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_identities_given_up_total",
            "Intervals of forgotten messages that are not remembered any more; copies of those count as new.",
            self._table.given_up,
        )
        if isinstance(self._table, LiveTable):
            yield from _of_memory(self._table)
        yield GaugeMetricFamily("swarmscope_monitor_unread_logs", "Log files that could not be read.", len(self._table.unread))
        if self._feed is not None:
            yield from _of_feed(self._feed)


def _of_memory(table: LiveTable) -> Iterator[Metric]:
    yield GaugeMetricFamily("swarmscope_monitor_messages", "Messages in memory.", table.rows)
    yield GaugeMetricFamily("swarmscope_monitor_messages_bytes", "What they take.", table.held_bytes)
    yield CounterMetricFamily(
        "swarmscope_monitor_dropped_messages_total",
        "Dropped from memory before their time, for there were too many.",
        table.dropped,
    )
    names = GaugeMetricFamily("swarmscope_monitor_names", "Names that are kept apart in memory.", labels=["field"])
    left_out = CounterMetricFamily(
        "swarmscope_monitor_other_values_total", "Values kept as (other), or not at all, beyond a budget.", labels=["field"]
    )
    for field, count in table.budgets.kept.items():
        names.add_metric([field], count)
    for field in DEFAULTS:
        left_out.add_metric([field], table.budgets.left_out[field])
    yield names
    yield left_out


def _of_feed(feed: Feed) -> Iterator[Metric]:
    status = feed.status()
    for name, meaning in _FEED_COUNTERS:
        yield CounterMetricFamily(f"swarmscope_monitor_{name}_total", meaning, getattr(status.counts, name))
    behind = GaugeMetricFamily("swarmscope_monitor_behind_bytes", "Bytes of logs offered and not fetched yet.", labels=["server"])
    failing = GaugeMetricFamily("swarmscope_monitor_failing_rounds", "Rounds failed since the last good one.", labels=["server"])
    ahead = GaugeMetricFamily(
        "swarmscope_monitor_clock_ahead_seconds", "Clock of a feedback server beside the platform's.", labels=["server"]
    )
    for server in status.servers:
        ahead.add_metric([server.url], server.ahead_ms / 1000)
        behind.add_metric([server.url], server.behind_bytes)
        failing.add_metric([server.url], server.failures)
    yield GaugeMetricFamily(
        "swarmscope_monitor_mirror_usable", "0 while the mirror cannot be read or written.", float(status.mirror_error is None)
    )
    yield behind
    yield failing
    yield ahead
    delay = feed.delay()
    if delay is not None:
        seconds = GaugeMetricFamily(
            "swarmscope_monitor_display_delay_seconds", "From an end host's clock to the table.", labels=["quantile"]
        )
        seconds.add_metric(["0.5"], delay[0] / 1000)
        seconds.add_metric(["0.95"], delay[1] / 1000)
        yield seconds
