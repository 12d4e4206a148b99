"""The display delay: the time from `sent_ms`, when an end host builds a message, until the monitoring platform shows the message.

The benchmark measures from outside. Probes report for ten channels in turn among other messages. It requests the summary, which is
computed for the same time as the pages, until the summary counts the probes. The delay therefore includes coordinator, fdatasync,
poll, verification and query, and up to one interval between requests. The platform's own metric ends at its table.
"""

import http.client
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from urllib.parse import urlsplit

SECONDS = 40
POLL_SECONDS = 1
OTHERS_PER_S = 200
PROBE_EVERY_S = 0.2
REQUEST_EVERY_S = 0.05
CHANNELS = 10
PUBLISHED_S = 180.0
"""The delay of the published system: its feedback servers closed one file per minute, and its platform polled for closed files."""

GIVE_UP_S = 10.0


def main() -> None:
    """Print quantiles of the display delay, compared with the platform's own metric and with the published system."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, ExitStack() as running:
        coordinator, monitor = running.enter_context(pipeline(Path(folder)))
        load = f"{OTHERS_PER_S} messages/s and {1 / PROBE_EVERY_S:.0f} probes/s"
        print(f"{SECONDS} s of {load}, 2 feedback servers, poll {POLL_SECONDS} s\n")
        probes = Probes(coordinator, monitor)
        probes.run(SECONDS)
        report(probes, own_figure(monitor))


def report(probes: "Probes", own: dict[str, float]) -> None:
    delays = sorted(probes.delays_s)
    if not delays or probes.missing:
        sys.exit(f"{probes.missing} probes were not shown in time")
    cuts = statistics.quantiles(delays, n=100)
    print(f"{'':28}{'median':>9}{'p95':>9}{'p99':>9}")
    print(f"{'sent to shown':28}{cuts[49]:>7.2f} s{cuts[94]:>7.2f} s{cuts[98]:>7.2f} s   ({len(delays)} probes)")
    print(f"{'sent to table, on the page':28}{own['0.5']:>7.2f} s{own['0.95']:>7.2f} s")
    print(f"{'the published system':28}{PUBLISHED_S:>7.0f} s   {PUBLISHED_S / cuts[49]:.0f} times as long; goal: median below 2 s")


class Probes:
    """The probes, whose display is timed, and the other messages."""

    def __init__(self, coordinator: str, monitor: str) -> None:
        self.delays_s: list[float] = []
        self._coordinator = _connection(coordinator)
        self._monitor = _connection(monitor)
        self._sent: list[tuple[str, int, int]] = []  # channel, its messages with this probe, sent_ms
        self._of_channel: Counter[str] = Counter()
        self._numbers = 0
        self._begin_ms = _now_ms()

    @property
    def missing(self) -> int:
        return len(self._sent)

    def run(self, seconds: float) -> None:
        """Send for this time, and wait until all probes are shown."""
        begin = time.monotonic()
        sent_at = probed_at = begin
        while (now := time.monotonic()) < begin + seconds:
            others = int((now - sent_at) * OTHERS_PER_S)
            sent_at += others / OTHERS_PER_S
            probe = now - probed_at >= PROBE_EVERY_S
            probed_at += PROBE_EVERY_S * probe
            self._send(others, probe=probe)
            self._read_summary()
            time.sleep(REQUEST_EVERY_S)
        while self._sent and time.monotonic() < begin + seconds + GIVE_UP_S:
            self._read_summary()
            time.sleep(REQUEST_EVERY_S)

    def _send(self, others: int, *, probe: bool) -> None:
        messages = [self._message("crowd") for _ in range(others)]
        if probe:
            channel = f"probe-{sum(self._of_channel.values()) % CHANNELS}"
            messages.append(self._message(channel))
            self._of_channel[channel] += 1
            self._sent.append((channel, self._of_channel[channel], int(messages[-1]["sent_ms"])))
        if messages:
            body = "\n".join(map(json.dumps, messages)).encode()
            self._coordinator.request("POST", "/v1/feedback", body, {"Content-Type": "application/x-ndjson"})
            answer = self._coordinator.getresponse()
            if answer.status != 202 or json.load(answer)["accepted"] != len(messages):
                sys.exit(f"the coordinator did not accept the messages: HTTP {answer.status}")

    def _message(self, channel: str) -> dict[str, str | int | float]:
        self._numbers += 1
        peer_id = f"peer-{self._numbers}"
        values: dict[str, str | int | float] = {
            "upload_kbps": 700.0,
            "download_kbps": 900.0,
            "playback_kbps": 850.0,
            "continuity": 0.99,
        }
        identity: dict[str, str | int | float] = {
            "v": 1,
            "peer_id": peer_id,
            "session_id": peer_id,
            "seq": 0,
            "event": "report",
            "sent_ms": _now_ms(),
        }
        return {**identity, "channel": channel, **values}

    def _read_summary(self) -> None:
        self._monitor.request("GET", f"/api/v1/summary?from={self._begin_ms}&to={self._begin_ms + 3_600_000}&by=channel")
        answer = self._monitor.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"the platform failed with HTTP {answer.status}: {body[:300]!r}")
        summary = json.loads(body)
        now_ms = _now_ms()
        shown = {group["by"]["channel"]: group["messages"] for group in summary["groups"]}
        self.delays_s += [(now_ms - sent_ms) / 1000 for channel, number, sent_ms in self._sent if shown.get(channel, 0) >= number]
        self._sent = [probe for probe in self._sent if shown.get(probe[0], 0) < probe[1]]


def own_figure(monitor: str) -> dict[str, float]:
    """The quantiles in seconds of the platform's own metric."""
    connection = _connection(monitor)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    pairs = [
        line.split('quantile="', 1)[1].split('"} ')
        for line in lines
        if line.startswith("swarmscope_monitor_display_delay_seconds{")
    ]
    return {quantile: float(value) for quantile, value in pairs}


@contextmanager
def pipeline(folder: Path) -> Iterator[tuple[str, str]]:
    """Start two feedback servers, a coordinator and a monitoring platform. Returns the URLs of the last two."""
    with ExitStack() as running:
        servers = []
        for name in ("fs1", "fs2"):
            url = running.enter_context(swarmscope("feedback-server", "--data", str(folder / name), "--name", name))
            servers += ["--feedback-server", url]
        coordinator = running.enter_context(swarmscope("coordinator", "--spool", str(folder / "spool"), *servers))
        poll = ["--poll-seconds", str(POLL_SECONDS), "--mirror", str(folder / "mirror")]
        yield coordinator, running.enter_context(swarmscope("monitor", *poll, *servers))


@contextmanager
def swarmscope(*arguments: str) -> Iterator[str]:
    """Start a server and return its URL."""
    command = [sys.executable, "-m", "swarmscope", *arguments, "--listen", "127.0.0.1:0", "--insecure"]
    with Popen(command, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if "ready on" not in line:
                sys.exit(f"{arguments[0]} did not start")
            yield line.split()[-1]
        finally:
            process.terminate()


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=GIVE_UP_S)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
