"""The audience as Prometheus gauges: current quality in total and for each channel, ISP, district and platform.

A background task queries the numbers, so scrapes are cheap and cannot overload the platform. Units are those of Prometheus:
seconds, bytes per second, ratios.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import Summary, summarize
from feedback_analysis.messages.missing import Missing, missing
from feedback_wire.problem import Problem
from monitor_platform.dashboard.dashboard_state import DashboardState

log = logging.getLogger(__name__)

BROKEN_DOWN_BY = ("channel", "isp", "district", "platform")
MOST_VALUES = 50
"""Values of a dimension, and `(other)` for the rest. Each value is a time series in Prometheus."""

EVERY_S = 15.0
WINDOW_MS = 60_000

_BYTES_PER_KBIT = 125
# Name, help, key in the summary, factor to Prometheus's unit.
_GAUGES = (
    ("peers", "Peers that sent a message in the last minute.", "peers", 1.0),
    ("sessions", "Sessions that sent a message in the last minute.", "sessions", 1.0),
    ("mos", "Mean opinion score, 1 to 5, mean of the last minute.", "mos", 1.0),
    ("continuity_ratio", "Share of the due playback that was played, mean of the last minute.", "continuity", 1.0),
    ("startup_seconds", "Startup of the sessions that sent a message in the last minute, mean.", "startup_ms", 0.001),
    ("upload_bytes_per_second", "Sent to other peers, mean of the last minute.", "upload_kbps", _BYTES_PER_KBIT),
    ("download_bytes_per_second", "Received, mean of the last minute.", "download_kbps", _BYTES_PER_KBIT),
    ("playback_bytes_per_second", "Bitrate of what is played, mean of the last minute.", "playback_kbps", _BYTES_PER_KBIT),
    ("contribution_ratio", "Upload over download of the last minute.", "contribution_ratio", 1.0),
)
# The same for numbers that are only known in total.
_COSTS = (
    ("duplicate_records", "Copies of known messages, received in the last minute.", "duplicates"),
    ("conflicting_records", "Records with other content under the number of a known message, of the last minute.", "conflicts"),
)
# Of the newest minute whose gaps are proved to be losses, and the time after it.
_GAPS = (
    ("lost_messages", "Messages lost in the minute before the grace period of late messages began.", "lost"),
    ("late_messages", "Missing messages of the grace period, at most ten minutes: they may still arrive.", "late"),
    (
        "implausible_messages",
        "Missing numbers beyond what the session can have sent, in the minute of lost_messages.",
        "implausible",
    ),
)
MOST_GRACE_MS = 10 * WINDOW_MS
"""How far back late messages are searched while a feedback server does not answer."""


class AudienceMetrics(Collector):
    """Gauges of the latest minute; none before the first record."""

    def __init__(self, state: DashboardState) -> None:
        self._state = state
        self._latest: dict[str, Summary] = {}
        self._missing: Missing | None = None

    async def run(self) -> None:
        """Keep the gauges up to date until cancelled."""
        while True:
            try:
                await self.refresh()
            except (duckdb.Error, Problem):
                log.exception("the audience's gauges keep their last values; the next attempt is in %.0f s", EVERY_S)
            await asyncio.sleep(EVERY_S)

    async def refresh(self) -> None:
        moment = self._state.newest()
        snapshot = await self._state.snapshot(self._state.moment())
        if snapshot is None:
            return
        span = Span(snapshot.until_ms - WINDOW_MS, snapshot.until_ms)
        answers = self._state.answers
        self._latest = {
            name: await answers.ask(moment, summarize, span=span, by=(name,), top=MOST_VALUES) for name in BROKEN_DOWN_BY
        }
        gaps = _span_of_gaps(span, snapshot.proved_ms)
        self._missing = await answers.ask(moment, missing, span=gaps, proved_ms=snapshot.proved_ms)

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        if not self._latest or self._missing is None:
            return
        total = next(iter(self._latest.values()))
        for name, meaning, key in _COSTS:
            yield _gauge(f"swarmscope_{name}", meaning, [], [([], total)], key, 1.0)
        gaps = {key: getattr(self._missing, key) for _, _, key in _GAPS}
        for name, meaning, key in _GAPS:
            yield _gauge(f"swarmscope_{name}", meaning, [], [([], gaps)], key, 1.0)
        for name, meaning, key, factor in _GAUGES:
            yield _gauge(f"swarmscope_{name}", meaning, [], [([], total)], key, factor)
            for dimension, summary in self._latest.items():
                groups = [([group["by"][dimension] or ""], group) for group in summary["groups"]]
                yield _gauge(f"swarmscope_{dimension}_{name}", meaning, [dimension], groups, key, factor)


def _span_of_gaps(newest: Span, proved_ms: int | None) -> Span:
    """From the start of the newest minute whose gaps are proved to be losses, to the end of the `newest` minute."""
    if proved_ms is None or proved_ms >= newest.to_ms:
        return newest
    return Span(max(proved_ms, newest.to_ms - MOST_GRACE_MS) - WINDOW_MS, newest.to_ms)


def _gauge(
    name: str, meaning: str, labels: list[str], groups: list[tuple[list[str], Mapping[str, Any]]], key: str, factor: float
) -> Metric:
    """A gauge. A value that no end host reported has no sample; it is never 0."""
    gauge = GaugeMetricFamily(name, meaning, labels=labels)
    for values, numbers in groups:
        number = numbers[key]
        mean = number["mean"] if isinstance(number, dict) else number
        if mean is not None:
            gauge.add_metric(values, mean * factor)
    return gauge
