"""Metrics of the platform process, read from the objects that count them at the moment of a scrape."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.messages.budgets import DEFAULTS
from feedback_analysis.messages.live_table import LiveTable
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.kind_records import AllKinds
from monitor_platform.retrieval.feed import Feed

# Field of RetrievalCounts, help.
_FEED_COUNTERS = (
    ("polls", "Requests for a catalogue."),
    ("failures", "Polls that failed."),
    ("bytes_fetched", "Bytes of logs fetched."),
    ("logs_mirrored", "Sealed logs that were fetched completely."),
    ("records_taken", "New records."),
    ("duplicates_dropped", "Records that memory already had."),
    ("conflicts_dropped", "Records with the number of a known message and other content."),
    ("damaged_frames", "Places where a frame is damaged or incomplete."),
    ("implausible_clocks", "Records ignored in the display delay because of an impossible clock."),
    ("logs_skipped", "Logs that a feedback server offers and that are not fetched."),
    ("logs_removed", "Logs that a feedback server removed before they were fetched completely."),
    ("refetches", "Logs fetched again because of damage."),
)


class PlatformMetrics(Collector):
    """Metrics of the platform process itself."""

    def __init__(self, table: FeedbackTable, state: DashboardState, feed: Feed | None, others: AllKinds) -> None:
        self._table = table
        self._state = state
        self._feed = feed
        self._others = others

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        answers = self._state.answers
        yield GaugeMetricFamily("swarmscope_monitor_viewers", "Open pages.", len(self._state.viewers))
        yield CounterMetricFamily("swarmscope_monitor_questions_total", "Queries asked for by pages and scripts.", answers.asked)
        yield CounterMetricFamily(
            "swarmscope_monitor_queries_total", "Queries run; the others were shared answers.", answers.computed
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_query_seconds_total", "Seconds from request to answer, over all queries run.", answers.seconds
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_queries_refused_total", "Queries not run because too many waited.", answers.refused
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_queries_stopped_total", "Queries stopped because of too little time or memory.", answers.stopped
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_unreadable_total", "Records that exist and cannot be read.", self._table.unreadable
        )
        yield CounterMetricFamily(
            "swarmscope_monitor_identities_given_up_total",
            "Ranges of message numbers removed from memory; copies of those messages count as new.",
            self._table.dropped_identities,
        )
        if isinstance(self._table, LiveTable):
            yield from _of_memory(self._table)
        yield GaugeMetricFamily("swarmscope_monitor_unread_logs", "Log files that could not be read.", len(self._table.unread))
        if self._feed is not None:
            yield from _of_feed(self._feed)
        yield from _of_others(self._others)


def _of_memory(table: LiveTable) -> Iterator[Metric]:
    yield GaugeMetricFamily("swarmscope_monitor_messages", "Messages in memory.", table.rows)
    yield GaugeMetricFamily("swarmscope_monitor_messages_bytes", "Memory of these messages.", table.held_bytes)
    yield CounterMetricFamily(
        "swarmscope_monitor_dropped_messages_total",
        "Messages dropped from memory early because there were too many.",
        table.dropped,
    )
    names = GaugeMetricFamily("swarmscope_monitor_names", "Distinct names in memory.", labels=["field"])
    left_out = CounterMetricFamily(
        "swarmscope_monitor_other_values_total", "Values stored as (other), or dropped, because of a budget.", labels=["field"]
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
    behind = GaugeMetricFamily(
        "swarmscope_monitor_behind_bytes", "Bytes of logs that are offered and not fetched yet.", labels=["server"]
    )
    failing = GaugeMetricFamily("swarmscope_monitor_failing_rounds", "Failed polls since the last success.", labels=["server"])
    ahead = GaugeMetricFamily(
        "swarmscope_monitor_clock_ahead_seconds", "How far a feedback server's clock is ahead of the platform's.", labels=["server"]
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
            "swarmscope_monitor_display_delay_seconds",
            "From the creation of a message to the platform's memory.",
            labels=["quantile"],
        )
        seconds.add_metric(["0.5"], delay[0] / 1000)
        seconds.add_metric(["0.95"], delay[1] / 1000)
        yield seconds


# Field of RetrievalCounts, help.
_KIND_COUNTERS = (
    ("failures", "Polls for records of this kind that failed."),
    ("bytes_fetched", "Bytes of logs of this kind fetched."),
    ("logs_mirrored", "Sealed logs of this kind that were fetched completely."),
    ("records_taken", "New records of this kind."),
    ("duplicates_dropped", "Records of this kind that memory already had."),
    ("unreadable_records", "Records of this kind that exist and cannot be read."),
    ("damaged_frames", "Places in logs of this kind where a frame is damaged or incomplete."),
    ("logs_skipped", "Logs of this kind that a feedback server offers and that are not fetched."),
    ("logs_removed", "Logs of this kind that a feedback server removed before they were fetched completely."),
    ("refetches", "Logs of this kind fetched again because of damage."),
)


def _of_others(others: AllKinds) -> Iterator[Metric]:
    """The metrics of each kind other than feedback, with the label `kind`."""
    held = GaugeMetricFamily("swarmscope_monitor_kind_records", "Records of this kind in memory.", labels=["kind"])
    dropped = CounterMetricFamily(
        "swarmscope_monitor_kind_dropped_total", "Records of this kind dropped from memory early.", labels=["kind"]
    )
    behind = GaugeMetricFamily(
        "swarmscope_monitor_kind_behind_bytes",
        "Bytes of logs of this kind that are offered and not fetched yet.",
        labels=["kind", "server"],
    )
    failing = GaugeMetricFamily(
        "swarmscope_monitor_kind_failing_rounds",
        "Failed polls for this kind since the last success.",
        labels=["kind", "server"],
    )
    statuses = {kind: other.feed.status() for kind, other in others.items() if other.feed is not None}
    for kind, other in others.items():
        held.add_metric([kind], other.table.rows)
        dropped.add_metric([kind], other.dropped)
    for kind, status in statuses.items():
        for server in status.servers:
            behind.add_metric([kind, server.url], server.behind_bytes)
            failing.add_metric([kind, server.url], server.failures)
    yield from (held, dropped, behind, failing)
    for name, meaning in _KIND_COUNTERS:
        counter = CounterMetricFamily(f"swarmscope_monitor_kind_{name}_total", meaning, labels=["kind"])
        for kind, status in statuses.items():
            counter.add_metric([kind], getattr(status.counts, name))
        yield counter
