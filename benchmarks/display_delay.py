"""The display delay: from `sent_ms`, an end host's clock when it builds a message, to the message being in what the platform shows.

Seen from outside: probes report for ten channels in turn among a crowd, and the summary, which is computed for the same moment that
pages show, is asked again and again until it counts them. So the figure holds everything: coordinator, fdatasync, poll,
verification, query, and up to one look too many. The platform's own figure, on its page, ends at the table.
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
CROWD_PER_S = 200
PROBE_EVERY_S = 0.2
LOOK_EVERY_S = 0.05
CHANNELS = 10
SEED_S = 180.0
"""What the published system needed: its feedback servers closed a file a minute, and its platform polled for closed files."""

GIVE_UP_S = 10.0


def main() -> None:
    """Print the quantiles of the display delay, beside the platform's own figure and the seed's."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, ExitStack() as running:
        coordinator, monitor = running.enter_context(pipeline(Path(folder)))
        load = f"{CROWD_PER_S} messages/s and {1 / PROBE_EVERY_S:.0f} probes/s"
        print(f"{SECONDS} s of {load}, 2 feedback servers, poll {POLL_SECONDS} s\n")
        probes = Probes(coordinator, monitor)
        probes.run(SECONDS)
        report(probes, own_figure(monitor))


def report(probes: "Probes", own: dict[str, float]) -> None:
    delays = sorted(probes.delays_s)
    if not delays or probes.missing:
        sys.exit(f"{probes.missing} probes were never shown")
    cuts = statistics.quantiles(delays, n=100)
    print(f"{'':28}{'median':>9}{'p95':>9}{'p99':>9}")
    print(f"{'sent to shown':28}{cuts[49]:>7.2f} s{cuts[94]:>7.2f} s{cuts[98]:>7.2f} s   ({len(delays)} probes)")
    print(f"{'sent to table, on the page':28}{own['0.5']:>7.2f} s{own['0.95']:>7.2f} s")
    print(f"{'the seed system':28}{SEED_S:>7.0f} s   {SEED_S / cuts[49]:.0f} times as long; the goal is a median below 2 s")


class Probes:
    """Messages whose showing is timed, and the crowd around them."""

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
        """Send for so long, and look until all is shown."""
        begin = time.monotonic()
        sent_at = probed_at = begin
        while (now := time.monotonic()) < begin + seconds:
            crowd = int((now - sent_at) * CROWD_PER_S)
            sent_at += crowd / CROWD_PER_S
            probe = now - probed_at >= PROBE_EVERY_S
            probed_at += PROBE_EVERY_S * probe
            self._send(crowd, probe=probe)
            self._look()
            time.sleep(LOOK_EVERY_S)
        while self._sent and time.monotonic() < begin + seconds + GIVE_UP_S:
            self._look()
            time.sleep(LOOK_EVERY_S)

    def _send(self, crowd: int, *, probe: bool) -> None:
        messages = [self._message("crowd") for _ in range(crowd)]
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
                sys.exit(f"the coordinator did not take the messages: HTTP {answer.status}")

    def _message(self, channel: str) -> dict[str, str | int | float]:
        self._numbers += 1
        who = f"peer-{self._numbers}"
        told: dict[str, str | int | float] = {
            "upload_kbps": 700.0,
            "download_kbps": 900.0,
            "playback_kbps": 850.0,
            "continuity": 0.99,
        }
        identity: dict[str, str | int | float] = {
            "v": 1,
            "peer_id": who,
            "session_id": who,
            "seq": 0,
            "event": "report",
            "sent_ms": _now_ms(),
        }
        return {**identity, "channel": channel, **told}

    def _look(self) -> None:
        self._monitor.request("GET", f"/api/v1/summary?from={self._begin_ms}&to={self._begin_ms + 3_600_000}&by=channel")
        answer = self._monitor.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"the platform does not answer, HTTP {answer.status}: {body[:300]!r}")
        summary = json.loads(body)
        now_ms = _now_ms()
        shown = {group["by"]["channel"]: group["messages"] for group in summary["groups"]}
        self.delays_s += [(now_ms - sent_ms) / 1000 for channel, number, sent_ms in self._sent if shown.get(channel, 0) >= number]
        self._sent = [probe for probe in self._sent if shown.get(probe[0], 0) < probe[1]]


def own_figure(monitor: str) -> dict[str, float]:
    """Quantiles in seconds of the delay that the platform measures itself."""
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
    """Two feedback servers, a coordinator, a monitoring platform; the URLs of the last two."""
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
    """A server; its URL."""
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
