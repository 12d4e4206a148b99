"""The cost of `session.update()` for an app, compared with a log line to a queue and with a histogram.

Each round measures a few thousand single calls of each kind in turn, so a slow moment of the machine affects all kinds. `quiet`:
nothing else runs. `sending`: the SDK's thread constantly builds and sends reports of 200 sessions. `8 threads`: eight threads call
at the same time; Python's lock contention affects all kinds.
"""

import logging
import logging.handlers
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from prometheus_client import CollectorRegistry, Histogram

from endhost_sdk import Telemetry
from endhost_sdk.testing import Answer, RecordingTransport

ROUNDS = 40
CALLS = 2000
"""Calls of each kind per round."""

GOAL_US = 50
THREADS = 8
Call = Callable[[], object]


def main() -> None:
    """Print percentiles of each kind under each condition, and the ratios of the medians and of the 99th percentiles."""
    print(f"{ROUNDS * CALLS:,} calls of each kind, in turn; µs\n")
    print(f"{'':12}{'':34}{'median':>9}{'p95':>9}{'p99':>9}{'p99.9':>9}")
    show("quiet", measured(period_s=3600, sessions=1))
    show("sending", measured(period_s=0.05, sessions=200))
    show(f"{THREADS} threads", measured(period_s=3600, sessions=1, threads=THREADS))


def measured(*, period_s: float, sessions: int, threads: int = 1) -> Mapping[str, list[float]]:
    """Times of calls in microseconds, by kind, sorted."""
    with ExitStack() as opened:
        telemetry = Telemetry("http://nowhere.test", transport=_Nowhere(), period_s=period_s)
        opened.callback(telemetry.close)
        kinds = calls(telemetry, opened)
        others = [telemetry.session(peer_id=f"p-{number}") for number in range(sessions - 1)]
        times: dict[str, list[float]] = {name: [] for name in kinds}
        runners = [threading.Thread(target=_rounds, args=(kinds, times, ROUNDS // threads)) for _ in range(threads)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
        if len(others) and not telemetry.stats().sent:
            sys.exit("the sender did not send during the measurement")
    return {name: sorted(each) for name, each in times.items()}


def calls(telemetry: Telemetry, opened: ExitStack) -> dict[str, Call]:
    """The compared calls, each with four values."""
    session = telemetry.session(peer_id="p", channel="Badminton")
    waiting: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, logging.NullHandler())
    listener.start()
    opened.callback(listener.stop)
    log = logging.Logger("app", logging.INFO)
    log.addHandler(logging.handlers.QueueHandler(waiting))
    histograms = [Histogram(name, name, registry=CollectorRegistry()) for name in ("down", "up", "play", "peers")]

    def observe() -> None:
        for histogram in histograms:
            histogram.observe(861.0)

    return {
        "session.update": lambda: session.update(download_kbps=861.0, upload_kbps=846.0, playback_kbps=850.0, partners=14),
        "logging.info to a QueueHandler": lambda: log.info(
            "download %s upload %s playback %s partners %s", 861.0, 846.0, 850.0, 14
        ),
        "prometheus_client, four observe()": observe,
    }


def show(condition: str, times: Mapping[str, list[float]]) -> None:
    ours, *others = ([_at(each, share) for share in (0.5, 0.95, 0.99, 0.999)] for each in times.values())
    for name, cuts in zip(times, (ours, *others), strict=True):
        ratio = "" if cuts is ours else f"   {cuts[0] / ours[0]:.2f} times ours, at p99 {cuts[2] / ours[2]:.2f}"
        print(f"{condition:12}{name:34}" + "".join(f"{cut:>9.1f}" for cut in cuts) + ratio)
    print(f"{'':12}the goal is a p99 of at most {GOAL_US} µs: {'met' if ours[2] <= GOAL_US else 'missed'}\n")


def _rounds(kinds: Mapping[str, Call], times: dict[str, list[float]], rounds: int) -> None:
    now = time.perf_counter_ns
    for _ in range(rounds):
        for name, call in kinds.items():
            taken = []
            for _ in range(CALLS):
                began = now()
                call()
                taken.append((now() - began) / 1000)
            times[name] += taken


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)]


class _Nowhere(RecordingTransport):
    """Accepts all messages and stores none, because the messages of several minutes would fill the memory."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        answer = super().post(url, body, headers, timeout_s)
        self.requests.clear()
        return answer


if __name__ == "__main__":
    main()
