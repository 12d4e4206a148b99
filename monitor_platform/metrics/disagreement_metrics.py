"""How many sessions a model has judged, and with how many of them it disagrees, as Prometheus gauges to alert on."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterator

import duckdb
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.inferences.disagreement import Reason
from feedback_analysis.measures.selection import Span
from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.kinds import RecordKind
from feedback_wire.problem import Problem
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.inferred_beside_reported import disagreements_in, has_inferences

log = logging.getLogger(__name__)

LEAST_PAUSE_S, MOST_PAUSE_S = 2.0, 60.0
PAUSE_PER_WORK = 20
"""A pause is this many times as long as the comparison before it, so comparisons take at most a twentieth of a processor."""
WINDOW_MS = 15 * MINUTE_MS
"""As the page shows at first."""


class DisagreementMetrics(Collector):
    """Gauges of the last minutes; without samples as long as there are no inferences."""

    def __init__(self, state: DashboardState) -> None:
        self._state = state
        self._latest: Counter[Reason] | None = None

    async def run(self) -> None:
        """Keep the gauges up to date until cancelled."""
        while True:
            began_s = time.monotonic()
            try:
                await self.refresh()
            except (duckdb.Error, Problem):
                log.exception("the gauges of disagreements keep their last values until the next attempt")
            worked_s = time.monotonic() - began_s
            await asyncio.sleep(min(MOST_PAUSE_S, max(LEAST_PAUSE_S, PAUSE_PER_WORK * worked_s)))

    async def refresh(self) -> None:
        """Compare the sessions of the last minutes."""
        if not has_inferences(self._state):
            return
        snapshot = await self._state.snapshot(self._state.moment())
        if snapshot is None:
            return
        span = Span(snapshot.until_ms - WINDOW_MS, snapshot.until_ms)
        inferences = self._state.records_of(RecordKind.INFERENCE)
        found = await disagreements_in(inferences, self._state.answers, snapshot, span, {})
        self._latest = Counter(each.reason for each in found)

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        judged = GaugeMetricFamily("swarmscope_monitor_judged_sessions", "Sessions of the last 15 minutes that a model judged.")
        disagreeing = GaugeMetricFamily(
            "swarmscope_monitor_disagreeing_sessions",
            "Sessions of the last 15 minutes with which a model disagrees, by the likely reason.",
            labels=["reason"],
        )
        if self._latest is not None:
            judged.add_metric([], self._latest.total())
            for reason in Reason:
                if reason is not Reason.AGREES:
                    disagreeing.add_metric([reason], self._latest[reason])
        yield judged
        yield disagreeing
