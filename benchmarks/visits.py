"""One visit to the overview while 800 viewers are live: time, bytes, layout shift and the platform's processor time.

A simulated audience reports through a coordinator and two feedback servers to a platform that polls every second. Chromium opens
the overview as a new visitor without a cache, again and again, then chooses filters on one open page. The goals are for two cores
without other programs: a first picture in less than 1 s and a filter in less than 300 ms (both at p95), and a layout shift of at
most 0.1. The processor time of a visit is that of the platform, less what it uses for the live audience in the same time.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from benchmarks.chromium import Browser, Visit, chromium
from benchmarks.dashboard import PERIOD_S, filters, pipeline, print_times
from benchmarks.measured_process import MeasuredProcess, working

PEERS = 800
WARM_S = 60.0
"""After two reporting periods, each viewer has reported."""
QUIET_S = 20.0
"""How long the processor time without pages is measured."""
VISITS = 20
FILTERS = 60
LEAVING_S = 3.0
"""A platform notices within 2 s that a page was left; the cost of that belongs to the visit."""


def main() -> None:
    """Print the figures of the visits and of the filters."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, pipeline(Path(folder)) as (coordinator, monitor):
        audience = ("--peers", str(PEERS), "--period", str(PERIOD_S))
        with working("simulate", "--coordinator", coordinator.url, *audience), chromium() as browser:
            time.sleep(WARM_S)
            idle = _cpu_a_second(monitor, QUIET_S)
            print(f"{PEERS} live viewers; without pages, the platform uses {idle:.3f} s of processor time a second\n", flush=True)
            visits, cpu_s = _visits(browser, monitor, idle)
            _print_visits(visits, cpu_s)
            _filtered(browser, monitor)


def _visits(browser: Browser, monitor: MeasuredProcess, idle: float) -> tuple[list[Visit], list[float]]:
    """Visits by new visitors, one after the other, and the processor seconds that each costs beyond `idle` a second."""
    visits, cpu_s = [], []
    for _ in range(VISITS):
        began, used = time.monotonic(), monitor.cpu_s()
        visits.append(browser.visit(f"{monitor.url}/"))
        time.sleep(LEAVING_S)
        cpu_s.append(monitor.cpu_s() - used - idle * (time.monotonic() - began))
    return visits, cpu_s


def _print_visits(visits: Sequence[Visit], cpu_s: Sequence[float]) -> None:
    print_times(f"overview opened without a cache, to the first picture, {len(visits)} visits", [each.drawn_ms for each in visits])
    print_times("    to all figures, those below the window, too", [each.completed_ms for each in visits])
    shifts = [each.layout_shift for each in visits]
    http_kb = statistics.median(each.http for each in visits) / 1000
    websocket_kb = statistics.median(each.websocket for each in visits) / 1000
    print(f"layout shift: median {statistics.median(shifts):.3f}, largest {max(shifts):.3f}")
    print(f"bytes of a visit of {visits[0].seconds:.0f} s: {http_kb:,.0f} kB over HTTP, {websocket_kb:,.0f} kB of messages")
    print(
        f"platform's processor time for a visit: median {statistics.median(cpu_s):.2f} s, largest {max(cpu_s):.2f} s\n", flush=True
    )


def _filtered(browser: Browser, monitor: MeasuredProcess) -> None:
    page = browser.open(f"{monitor.url}/")
    chosen = list(islice(filters(page), FILTERS))
    if not chosen:
        sys.exit("the page offers no channels and no ISPs, so no filter can be measured")
    used = monitor.cpu_s()
    times = [page.choose(**changes) for changes in chosen]
    each_s = (monitor.cpu_s() - used) / len(times)
    page.close()
    print_times(f"filter chosen to answer drawn, {len(times)} filters", times)
    print(f"    platform's processor time for a filter, with that for the live audience: mean {each_s:.2f} s")


def _cpu_a_second(monitor: MeasuredProcess, seconds: float) -> float:
    began, used = time.monotonic(), monitor.cpu_s()
    time.sleep(seconds)
    return (monitor.cpu_s() - used) / (time.monotonic() - began)
