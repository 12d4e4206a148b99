"""The waiting time of one sender while another key sends requests that are as expensive as possible.

The coordinator has core 0. A feedback server and both senders share core 1. The attacker sends one request after the other on four
connections. The sender measures the time from its request to the durable answer. Each has its own key.
"""

import gzip
import http.client
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import zstandard

from benchmarks.coordinator import swarmscope

GOOD = b'{"v":1,"peer_id":"p","session_id":"s","seq":0,"event":"join","sent_ms":1}'
SECONDS = 5.0
ATTACKERS = 4
LINES = "application/x-ndjson"


def with_values(count: int) -> bytes:
    return b'{"x":[' + b",".join([b"{}"] * count) + b"]," + GOOD[1:] + b"\n"


ATTACKS: dict[str, tuple[bytes, str, str]] = {
    "64 messages of 19,000 empty objects": (zstandard.compress(with_values(19_000) * 64), "zstd", LINES),
    "340 messages of 4,080 empty objects": (zstandard.compress(with_values(4_080) * 340), "zstd", LINES),
    "10,000 small messages with an unknown field": (zstandard.compress((b'{"x":1,' + GOOD[1:] + b"\n") * 10_000), "zstd", LINES),
    "an array of two million numbers": (zstandard.compress(b"[" + b"1," * 2_000_000 + b"1]"), "zstd", "application/json"),
    "52,000 empty gzip members": (gzip.compress(b"", mtime=0) * 52_000, "gzip", LINES),
}


def main() -> None:
    """Print one row without an attack, then one row per attack."""
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, ExitStack() as running:
        port = running.enter_context(coordinator(Path(folder)))
        os.sched_setaffinity(0, {1})
        print(f"{'':<46}{'bytes':>10}{'p50 ms':>9}{'p99 ms':>9}{'most ms':>9}{'answers/s':>11}")
        show("(nothing)", b"", *sent(port))
        for name, attack in ATTACKS.items():
            with under(port, *attack):
                show(name, attack[0], *sent(port))


def show(name: str, body: bytes, waits_ms: list[float], answers_a_second: float) -> None:
    p99 = statistics.quantiles(waits_ms, n=100)[98]
    cells = f"{statistics.median(waits_ms):>9.1f}{p99:>9.1f}{max(waits_ms):>9.1f}{answers_a_second:>11.0f}"
    print(f"{name:<46}{len(body):>10,}{cells}", flush=True)


def sent(port: int) -> tuple[list[float], float]:
    """The waiting time of each of the sender's messages, and the number of answers per second."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    waits_ms = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.perf_counter()
        connection.request("POST", "/v1/feedback", GOOD, {"Authorization": "Bearer web"})
        status = connection.getresponse()
        status.read()
        assert status.status == 202, status.status
        waits_ms.append(1000 * (time.perf_counter() - began))
    connection.close()
    return waits_ms, len(waits_ms) / SECONDS


@contextmanager
def under(port: int, body: bytes, encoding: str, content_type: str) -> Iterator[None]:
    """Send `body` repeatedly on four connections with the other key."""
    over = threading.Event()
    headers = {"Authorization": "Bearer greedy", "Content-Encoding": encoding, "Content-Type": content_type}

    def attack() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not over.is_set():
            connection.request("POST", "/v1/feedback", body, headers)
            connection.getresponse().read()
        connection.close()

    attackers = [threading.Thread(target=attack) for _ in range(ATTACKERS)]
    for each in attackers:
        each.start()
    try:
        time.sleep(1)
        yield
    finally:
        over.set()
        for each in attackers:
            each.join()


@contextmanager
def coordinator(folder: Path) -> Iterator[int]:
    """Start a coordinator with two keys and return its port."""
    keys = folder / "keys.toml"
    keys.write_text('[keys.greedy]\nsecret = "greedy"\n[keys.web]\nsecret = "web"\n')
    with ExitStack() as running:
        flags = ["--listen", "127.0.0.1:0", "--data", str(folder / "fs1"), "--token", "t", "--read-token", "t"]
        server = running.enter_context(swarmscope(1, "feedback-server", *flags))[0]
        flags = ["--listen", "127.0.0.1:0", "--keys", str(keys), "--token", "t", "--spool", str(folder / "spool")]
        url, _ = running.enter_context(swarmscope(0, "coordinator", *flags, "--feedback-server", server))
        yield int(url.rpartition(":")[2])
