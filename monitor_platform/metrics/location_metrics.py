"""The location databases while the platform runs: their files are followed, and lookups that fail are counted and told."""

import asyncio
import time
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from feedback_analysis.geo.locator import Locator

# Two looks at a file, which cost a microsecond each, so a new one is in use after four seconds.
LOOKS_EVERY_S = 2.0

TELLS_EVERY_S = 600.0
"""At most one line about failed lookups of each database in this time; the first comes at once."""


class LocationMetrics(Collector):
    """Counters of the location databases; `run` keeps the databases up to date."""

    def __init__(self, locator: Locator) -> None:
        self._locator = locator

    async def run(self) -> None:
        """Follow the files until cancelled."""
        silent_until_s = 0.0
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            await asyncio.to_thread(self._locator.refresh)
            if time.monotonic() >= silent_until_s and self._locator.tell():
                silent_until_s = time.monotonic() + TELLS_EVERY_S

    def describe(self) -> list[Metric]:
        """Nothing in advance: a scrape asks, registration does not."""
        return []

    def collect(self) -> Iterator[Metric]:
        failed = CounterMetricFamily(
            "swarmscope_monitor_failed_lookups_total", "Lookups in a location database that failed.", labels=["database"]
        )
        files = CounterMetricFamily(
            "swarmscope_monitor_database_changes_total",
            "Changed files of location databases: read anew, or the former copy kept.",
            labels=["database", "outcome"],
        )
        for database in self._locator.databases:
            counts = database.counts
            failed.add_metric([database.name], counts.failed_lookups)
            files.add_metric([database.name, "read"], counts.read_anew)
            files.add_metric([database.name, "kept"], counts.kept)
        yield failed
        yield files
