"""The location databases of a running platform: their files are re-read when they change, and failed lookups are counted."""

import asyncio
import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.geo.locator import Locator

# A new file is used after two checks, which is after four seconds. A check takes a microsecond.
CHECK_EVERY_S = 2.0

LOG_EVERY_S = 600.0
"""At most one log line about failed lookups of a database in this time; the first at once."""


class LocationMetrics(Collector):
    """Counters of the location databases; `run` keeps the databases up to date."""

    def __init__(self, locator: Locator) -> None:
        self._locator = locator

    async def run(self) -> None:
        """Re-read changed files until cancelled."""
        silent_until_s = 0.0
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await asyncio.to_thread(self._locator.refresh)
            if time.monotonic() >= silent_until_s and self._locator.log_failures():
                silent_until_s = time.monotonic() + LOG_EVERY_S

    def describe(self) -> list[Metric]:
        """Nothing. Otherwise the registration would call `collect`."""
        return []

    def collect(self) -> Iterator[Metric]:
        failed = CounterMetricFamily(
            "swarmscope_monitor_failed_lookups_total", "Lookups in a location database that failed.", labels=["database"]
        )
        files = CounterMetricFamily(
            "swarmscope_monitor_database_changes_total",
            "Changed files of location databases: read again, or the previous copy kept.",
            labels=["database", "outcome"],
        )
        for database in self._locator.databases:
            counts = database.counts
            failed.add_metric([database.name], counts.failed_lookups)
            files.add_metric([database.name, "read"], counts.read_anew)
            files.add_metric([database.name, "kept"], counts.kept)
        yield failed
        yield files
