"""The dashboard in use: the display delay in the browser, the time of filters, and the cost of many open dashboards.

a) Display delay: a simulated audience and probes (one message per request) send through a coordinator and two feedback servers to a
   platform that polls every second. The delay is the time from a probe's `sent_ms` to the frame in Chromium that counts the probe.
   Two pages are open: one with all channels, and one with the probes' channel, whose number of peers shows which probes are drawn.
b) Filters: the time from a choice in the browser until the answer is drawn, live and over recorded days with their history. Each
   filter is new. In addition, the time from a click on a link until the first data is drawn.
c) Onlookers: the platform's processor time with one open dashboard and with fifty. A few run in Chromium. The others are websockets
   without a browser, because a browser needs more processor time than the platform.

`--logs` are recorded logs, for example of `swarmscope simulate olympics --into FOLDER`. `--history` is their history, which is
built if it does not exist. Without them, a hundredth of the Olympics is simulated for (b).
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.chromium import Browser, MeasuredPage, chromium
from benchmarks.measured_process import MeasuredProcess, serving, working
from benchmarks.onlookers import onlookers

CHROMIUM_PAGES = 3
PERIOD_S = 30
PROBE_CHANNEL = "probe"
PROBE_EVERY_S = 0.25
GIVE_UP_S = 30.0
PAGES = ("/", "/map", "/timeline", "/sessions", "/health")
HISTORY_PAGES = (*PAGES, "/history")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of a run. After `warm_s`, each end host has reported at least once."""

    peers: int
    warm_s: float
    seconds: float
    filters: int
    openings: int
    viewers: int


FULL = Size(peers=7_000, warm_s=60, seconds=60, filters=60, openings=5, viewers=50)
QUICK = Size(peers=300, warm_s=10, seconds=10, filters=8, openings=1, viewers=10)


def main(arguments: Sequence[str] = ()) -> None:
    """Print three tables."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks dashboard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.peers} peers and one or two minutes, to test the benchmark")
    parser.add_argument("--logs", type=Path, help="folder of recorded logs for (b)")
    parser.add_argument("--history", type=Path, help="folder of their history; built if it does not exist")
    parser.add_argument(
        "--only",
        choices=["live", "recorded", "onlookers"],
        help="live: (a) and (b) live; recorded: (b) over --logs; onlookers: (c)",
    )
    options = parser.parse_args(arguments)
    size = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, chromium() as browser:
        if options.only in {None, "live"}:
            live(Path(folder) / "live", browser, size)
        if options.only in {None, "onlookers"}:
            watched(Path(folder) / "watched", browser, size)
        if options.only in {None, "recorded"}:
            recorded(Path(folder), browser, size, options.logs, options.history)


def live(folder: Path, browser: Browser, size: Size) -> None:
    with ExitStack() as running:
        coordinator, monitor = running.enter_context(pipeline(folder))
        audience = ("--peers", str(size.peers), "--period", str(PERIOD_S))
        running.enter_context(working("simulate", "--coordinator", coordinator.url, *audience))
        print(f"{size.peers:,} live peers, a report each {PERIOD_S} s, 2 feedback servers, poll 1 s\n", flush=True)
        time.sleep(size.warm_s)
        display_delay(browser, coordinator, monitor, size)
        filtered("live", browser, monitor, "/", size)
        opened("live", browser, monitor, PAGES, size)


def watched(folder: Path, browser: Browser, size: Size) -> None:
    """Measure a separate platform on which no page was open before."""
    with ExitStack() as running:
        coordinator, monitor = running.enter_context(pipeline(folder))
        audience = ("--peers", str(size.peers), "--period", str(PERIOD_S))
        running.enter_context(working("simulate", "--coordinator", coordinator.url, *audience))
        time.sleep(size.warm_s)
        many_viewers(browser, monitor, size)


def recorded(folder: Path, browser: Browser, size: Size, logs: Path | None, history: Path | None) -> None:
    if logs is None:
        logs = folder / "logs"
        print("no --logs: a hundredth of the Olympics is simulated", flush=True)
        _swarmscope("simulate", "olympics", "--into", str(logs), "--scale", "0.01" if size is FULL else "0.001")
    history = history or folder / "history"
    if not history.exists():
        print(f"building the history of {logs}", flush=True)
        _swarmscope("history", "build", str(logs), "--into", str(history))
    began = time.perf_counter()
    with serving("monitor", "--static", str(logs), "--history", str(history)) as monitor:
        print(f"\nrecorded: {logs}; ready after {time.perf_counter() - began:.1f} s", flush=True)
        # Filters first, because the visitors of the other measurement are still disconnecting at its end.
        filtered("recorded", browser, monitor, "/", size)
        filtered("recorded", browser, monitor, "/history", size)
        opened("recorded", browser, monitor, HISTORY_PAGES, size)
        print(f"platform: {monitor.memory_mib():,.0f} MiB, {monitor.cpu_s():,.1f} s of processor time in all")


def display_delay(browser: Browser, coordinator: MeasuredProcess, monitor: MeasuredProcess, size: Size) -> None:
    probe = _post(coordinator.url)
    sent_ms = [probe(0)]  # the page needs one probe to find the channel
    all_channels = browser.open(f"{monitor.url}/")
    page = browser.open(f"{monitor.url}/?{urlencode({'channel': PROBE_CHANNEL})}")
    for each in (all_channels, page):
        each.record_draws()
    begun = len(sent_ms)
    until = time.monotonic() + size.seconds
    while time.monotonic() < until:
        time.sleep(PROBE_EVERY_S)
        sent_ms.append(probe(len(sent_ms)))
    give_up = time.monotonic() + GIVE_UP_S
    while (page.drawn() or [(0, 0)])[-1][1] < len(sent_ms):
        if time.monotonic() > give_up:
            sys.exit(f"{len(sent_ms)} probes were sent, but the page shows only {page.drawn()[-1:]}")
        time.sleep(PROBE_EVERY_S)
    drawn, draws = page.drawn(), len(all_channels.drawn())
    all_channels.close()
    page.close()
    # The nth probe is drawn when the page shows n peers of the channel.
    delays = [
        next(at_ms for at_ms, peers in drawn if peers > number) - sent for number, sent in enumerate(sent_ms[begun:], start=begun)
    ]
    print_times(f"(a) sent to drawn, {len(delays)} probes; the page of all channels was drawn {draws} times", delays)


def filtered(name: str, browser: Browser, monitor: MeasuredProcess, path: str, size: Size) -> None:
    overview = browser.open(f"{monitor.url}/")
    chosen = list(islice(filters(overview), size.filters))
    overview.close()
    page = browser.open(monitor.url + path)
    times = [page.choose(**changes) for changes in chosen]
    page.close()
    print_times(f"(b) {name}, {path}: filter chosen to answer drawn, {len(times)} filters", times)


def opened(name: str, browser: Browser, monitor: MeasuredProcess, paths: Sequence[str], size: Size) -> None:
    first = [browser.opening_ms(monitor.url + path)[0] for _ in range(size.openings) for path in paths]
    print_times(f"(b) {name}: first visit, to the first drawn data, {', '.join(paths)}", first)
    # The first round fills the browser's cache with the scripts.
    again = browser.opening_ms(*[monitor.url + path for path in paths] * (size.openings + 1))[len(paths) :]
    print_times(f"(b) {name}: opened by a click in the navigation, to the first drawn data", again)
    for at, path in enumerate(paths):
        print(f"    {path}: median {statistics.median(again[at :: len(paths)]):,.0f} ms")


def filters(page: MeasuredPage) -> Iterator[dict[str, str]]:
    """New filters: each channel, each ISP, then both."""
    channels, isps = page.offered("channel"), page.offered("isp")
    yield from ({"channel": channel, "isp": ""} for channel in channels)
    yield from ({"channel": "", "isp": isp} for isp in isps)
    yield from ({"channel": channel, "isp": isp} for isp, channel in product(isps, channels))


def many_viewers(browser: Browser, monitor: MeasuredProcess, size: Size) -> None:
    none = _cpu_a_second(monitor, size)
    browser.open(f"{monitor.url}/")
    one = _cpu_a_second(monitor, size)
    for _ in range(CHROMIUM_PAGES - 1):
        browser.open(f"{monitor.url}/")
    with onlookers(f"{monitor.url}/", size.viewers - CHROMIUM_PAGES) as received:
        before = list(received)
        many = _cpu_a_second(monitor, size)
        silent = sum(now == then for now, then in zip(received, before, strict=True))
    if silent:
        sys.exit(f"{silent} of the dashboards received no message during the measurement")
    print(f"\n(c) processor time of the platform per second: no dashboard {none:.3f} s, one dashboard {one:.3f} s, ", end="")
    print(f"{size.viewers} ({CHROMIUM_PAGES} in Chromium) {many:.3f} s; {many / one:.2f} times that of one")


def _cpu_a_second(monitor: MeasuredProcess, size: Size) -> float:
    time.sleep(min(size.seconds, 10))  # after the cost of opening the pages
    began, used = time.monotonic(), monitor.cpu_s()
    time.sleep(size.seconds)
    return (monitor.cpu_s() - used) / (time.monotonic() - began)


def print_times(what: str, times_ms: Sequence[float]) -> None:
    """Print the median, p95, p99 and mean of the times."""
    ordered = sorted(times_ms)
    p50, p95, p99 = (ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))] for share in (0.5, 0.95, 0.99))
    print(
        f"{what}\n    p50 {p50:,.0f} ms   p95 {p95:,.0f} ms   p99 {p99:,.0f} ms   mean {statistics.fmean(ordered):,.0f} ms",
        flush=True,
    )


@contextmanager
def pipeline(folder: Path) -> Iterator[tuple[MeasuredProcess, MeasuredProcess]]:
    """Start a coordinator, two feedback servers and a monitoring platform. Returns the first and the last."""
    with ExitStack() as running:
        urls = []
        for name in ("fs1", "fs2"):
            server = running.enter_context(serving("feedback-server", "--data", str(folder / name), "--name", name))
            urls += ["--feedback-server", server.url]
        near = ("--trusted-proxy", "127.0.0.1/32")
        coordinator = running.enter_context(serving("coordinator", "--spool", str(folder / "spool"), *near, *urls))
        poll = ("--poll-seconds", "1", "--mirror", str(folder / "mirror"))
        yield coordinator, running.enter_context(serving("monitor", *poll, *urls))


def _post(coordinator: str) -> Callable[[int], int]:
    """A function that sends a probe with its own peer id and returns its `sent_ms`."""
    parts = urlsplit(coordinator)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=GIVE_UP_S)

    def probe(number: int) -> int:
        peer_id, sent_ms = f"probe-{number}", time.time_ns() // 1_000_000
        message = {"v": 1, "peer_id": peer_id, "session_id": peer_id, "seq": 0, "event": "report", "sent_ms": sent_ms}
        body = json.dumps(message | {"channel": PROBE_CHANNEL, "playback_kbps": 850.0, "continuity": 0.99})
        connection.request("POST", "/v1/feedback", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 202:
            sys.exit(f"the coordinator did not accept a probe: HTTP {answer.status}")
        answer.read()
        return sent_ms

    return probe


def _swarmscope(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "swarmscope", *arguments], check=True)
