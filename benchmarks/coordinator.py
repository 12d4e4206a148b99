"""The coordinator, which validates, forwards and answers after durable storage, compared with nginx's proxy_pass, which stores
nothing.

The measured side has core 0. The load generator (wrk) and the upstream servers (two feedback servers that sync to disk, or two
nginx servers) share core 1. The sides take turns within one run, because the machine's speed changes over time, so the ratio within
a round is the most reliable result. A durable answer waits for a group commit, so fewer than 1,024 connections would mostly measure
waiting.
"""

import http.client
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 9
SECONDS = 3
UPSTREAM_CONNECTIONS = (16, 512)
"""nginx's keepalive connections to its upstreams: the value in its documentation, and the fastest value here."""

OURS = "coordinator"
CONNECTIONS = 1024
HERE = Path(__file__).parent
KEY = "benchmark"


@dataclass(frozen=True)
class Measured:
    """A measured server on core 0."""

    port: int
    process: int


@dataclass(frozen=True)
class Load:
    """The result of one turn of wrk."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time of the server per request, in user and kernel mode."""

    @property
    def latency(self) -> str:
        return f"{self.p50_ms:.0f}/{self.p99_ms:.0f}"


def main() -> None:
    """Print one row per round, and the medians."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"  # where Debian puts nginx
    if missing := [tool for tool in ("nginx", "wrk", "taskset") if shutil.which(tool) is None]:
        sys.exit(f"this benchmark needs {', '.join(missing)}; install them with tools/setup-bench.sh")
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder, ExitStack() as running:
        sides = {OURS: running.enter_context(coordinator(Path(folder)))}
        for kept in UPSTREAM_CONNECTIONS:
            sides[f"nginx {kept}"] = running.enter_context(proxy(Path(folder), kept))
        for server in sides.values():
            load(server, 2)  # warm
        before = stored(sides[OURS].port)
        print(f"{CONNECTIONS} connections, {SECONDS} s a turn; nginx N: proxy_pass with upstream `keepalive N`\n")
        print("round " + "".join(f"{name:>12} {'p50/p99 ms':>11} {'CPU µs':>7} " for name in sides))
        rounds = [play(number, sides) for number in range(ROUNDS)]
        print_summary(rounds, stored(sides[OURS].port) - before)


def play(number: int, sides: dict[str, Measured]) -> dict[str, Load]:
    """Run one turn per side and print a row."""
    # The order changes with each round, because the speed of the machine can change within a round.
    order = [*sides][number % len(sides) :] + [*sides][: number % len(sides)]
    found = {name: load(sides[name], SECONDS) for name in order}
    cells = (f"{(each := found[name]).requests_per_s:>12,.0f} {each.latency:>11} {each.cpu_us:>7.1f} " for name in sides)
    print(f"{number + 1:>5} {''.join(cells)}", flush=True)
    return found


def print_summary(rounds: list[dict[str, Load]], messages: int) -> None:
    median = statistics.median
    print()
    for name in rounds[0]:
        ratios = [found[OURS].requests_per_s / found[name].requests_per_s for found in rounds]
        rate = median(found[name].requests_per_s for found in rounds)
        cpu = median(found[name].cpu_us for found in rounds)
        ratio_text = (
            "" if name == OURS else f"; coordinator : {name} = {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        print(f"{name}: median {rate:,.0f} requests/s, {cpu:.1f} CPU µs a request{ratio_text}")
    print("the coordinator's answers are durable, nginx stores nothing; CPU time excludes the kernel's interrupts")
    print(f"the feedback servers stored {messages:,} messages, at least as many as were acknowledged")


@contextmanager
def coordinator(folder: Path) -> Iterator[Measured]:
    """Start a coordinator on core 0 with two feedback servers on core 1."""
    with ExitStack() as running:
        urls = []
        for name in ("fs1", "fs2"):
            flags = ["--listen", "127.0.0.1:0", "--data", str(folder / name), "--name", name, "--token", KEY, "--read-token", KEY]
            urls.append(running.enter_context(swarmscope(1, "feedback-server", *flags))[0])
        servers = [argument for url in urls for argument in ("--feedback-server", url)]
        flags = [
            "--listen",
            "127.0.0.1:0",
            "--key",
            KEY,
            "--token",
            KEY,
            "--metrics-token",
            KEY,
            "--spool",
            str(folder / "spool"),
            *servers,
        ]
        url, process = running.enter_context(swarmscope(0, "coordinator", *flags))
        yield Measured(port=int(url.rpartition(":")[2]), process=process)


@contextmanager
def swarmscope(core: int, *arguments: str) -> Iterator[tuple[str, int]]:
    """Start a server on one core. Returns its URL and process id."""
    command = [*pinned(core), sys.executable, "-m", "swarmscope", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if "ready on" not in line:
                sys.exit(f"{arguments[0]} did not start")
            yield line.split()[-1], process.pid
        finally:
            process.terminate()


@contextmanager
def proxy(folder: Path, kept: int) -> Iterator[Measured]:
    """Start nginx as a proxy on core 0, with `kept` keepalive connections to two upstreams on core 1."""
    listen, first, second = free_ports(3)
    ports = {"FIRST": str(first), "SECOND": str(second), "KEPT": str(kept)}
    forward = 'proxy_pass http://kept_open; proxy_http_version 1.1; proxy_set_header Connection "";'
    with (
        nginx(folder, 1, f"upstream1-{kept}", first, "return 204;", ports),
        nginx(folder, 1, f"upstream2-{kept}", second, "return 204;", ports),
        nginx(folder, 0, f"proxy-{kept}", listen, forward, ports) as master,
    ):
        [worker] = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        yield Measured(port=listen, process=int(worker))


@contextmanager
def nginx(folder: Path, core: int, role: str, listen: int, place: str, ports: dict[str, str]) -> Iterator[int]:
    """Start nginx with one worker. Returns the process id of its master."""
    text = (HERE / "coordinator.conf").read_text()
    for name, value in {"DIRECTORY": str(folder), "ROLE": role, "LISTEN": str(listen), "PLACE": place, **ports}.items():
        text = re.sub(rf"\b{name}\b", value, text)
    path = folder / f"{role}.conf"
    path.write_text(text)
    with subprocess.Popen([*pinned(core), "nginx", "-c", str(path), "-e", str(folder / f"{role}.log")]) as process:
        try:
            until(lambda: is_open(listen), f"nginx ({role}) listens")
            yield process.pid
        finally:
            process.terminate()


def load(server: Measured, seconds: int) -> Load:
    """Run one turn of wrk. Prints a note if an answer was not a 2xx."""
    before = cpu_s(server.process)
    command = [*pinned(1), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(HERE / "coordinator.lua")]
    report = subprocess.run([*command, f"http://127.0.0.1:{server.port}"], check=True, capture_output=True, text=True).stdout
    if bad := re.search(r"Non-2xx.*|Socket errors.*", report):
        print(f"note: {bad[0]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", report)
    answered = re.search(r"(\d+) requests in", report)
    assert rate is not None, report
    assert answered is not None, report
    cpu_us = (cpu_s(server.process) - before) * 1e6 / int(answered[1])
    return Load(float(rate[1]), milliseconds(report, "50%"), milliseconds(report, "99%"), cpu_us)


def cpu_s(process: int) -> float:
    """Processor time of a process, in user and kernel mode."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def milliseconds(report: str, percentile: str) -> float:
    found = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)\b", report)
    assert found is not None, report
    return float(found[1]) * {"us": 0.001, "ms": 1, "s": 1000}[found[2]]


def stored(port: int) -> int:
    """The number of messages that the feedback servers stored, as the coordinator counts them."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {KEY}", "Cache-Control": "no-cache"})
    found = re.search(
        r"^swarmscope_coordinator_messages_forwarded_total (\S+)", connection.getresponse().read().decode(), re.MULTILINE
    )
    connection.close()
    assert found is not None
    return int(float(found[1]))


def pinned(core: int) -> list[str]:
    return ["taskset", "-c", str(core)]


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 10
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"timeout: {what}")
        time.sleep(0.05)
