"""`swarmscope overlay key`, `node`, `source` and `play`: what a node of the overlay needs, without a graph library."""

import asyncio
import json
import random
import sys
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from overlay.node import Node, NodeSettings
from overlay.null_stream import packets
from overlay.proofs import KEY_BYTES, node_key
from overlay.reception import Arrival, Reception
from overlay.tracing import Trace
from serving.lifecycle import on_stop
from serving.listening import parse_listen
from swarmscope.commands import exit_on_usage_error

REPORT_EVERY_S = 1.0
MOST_LATE_S = 0.1
"""A source that falls behind further than this continues from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a node listens, and how it joins."""

    bootstrapper: str
    """Address and port of the bootstrapper, such as 10.0.0.10:7000."""
    key: Path
    """File with the key of the node, which `swarmscope overlay key` prints."""
    host: str = "127.0.0.1"
    """Address on which the node listens (TCP and UDP; the system chooses the ports). Other nodes must be able to reach it."""


AtPlace = Annotated[Place, Parameter(name="*")]


def key(node: str, /, *, secret: Annotated[Path, Parameter(name="--secret")]) -> None:
    """Print the key of a node.

    Parameters
    ----------
    node
        Name of the node in the topology file. It can be an IP address, but need not be.
    secret
        File with the secret of the overlay, the same as for the bootstrapper.
    """
    print(node_key(read_secret(secret), node).hex())


def node(name: str, /, *, place: AtPlace) -> None:
    """Run a relay until a signal stops it, and print its counters.

    Parameters
    ----------
    name
        Name of the node in the topology file. It can be an IP address, but need not be.
    """
    running = Node(_settings(name, place))
    _run(running, _announce(running))
    _print_counts(running)


def source(name: str, /, *, place: AtPlace, stream: str, rate_kbps: float = 2000.0) -> None:
    """Run a source until a signal stops it, and print its counters.

    Parameters
    ----------
    name
        Name of the node in the topology file. It can be an IP address, but need not be.
    stream
        Name of the stream in the topology file.
    rate_kbps
        Rate of the RTP stream in kbit/s, above 0 and at most 1000000.
    """
    if not 0 < rate_kbps <= 1_000_000:
        exit_on_usage_error(ValueError(f"--rate-kbps is {rate_kbps:g}; use a number above 0 and up to 1000000, such as 2000"))

    def traced(trace: Trace) -> None:
        print(json.dumps(trace.as_json()), flush=True)

    running = Node(_settings(name, place, originates=(stream,)), on_trace=traced)
    _run(running, _announce(running), _originate(running, stream, rate_kbps))
    _print_counts(running)


def play(name: str, /, *, place: AtPlace, stream: tuple[str, ...]) -> None:
    """Run a player until a signal stops it. Print what it receives every second, and its counters at the end.

    Parameters
    ----------
    name
        Name of the node in the topology file. It can be an IP address, but need not be.
    stream
        Name of a stream in the topology file. Repeat the flag for each stream.
    """
    receptions = {each: Reception() for each in stream}

    def arrived(arrival: Arrival) -> None:
        if arrival.stream in receptions:
            receptions[arrival.stream].took(arrival)

    def traced(trace: Trace) -> None:
        receptions[trace.stream].path = trace.path

    running = Node(_settings(name, place, plays=stream), arrived, traced)
    _run(running, _announce(running, receptions.values()), _report(running, receptions))
    _print_received(running, receptions)
    _print_counts(running)


def read_secret(file: Path) -> bytes:
    """The overlay's secret. The command ends with an error if it is too short to be one."""
    secret = file.read_bytes().strip()
    if len(secret) < KEY_BYTES:
        advice = "write one with: head -c 32 /dev/urandom | base64 > FILE"
        exit_on_usage_error(ValueError(f"{file}: the secret has {len(secret)} bytes, and needs at least {KEY_BYTES}; {advice}"))
    return secret


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends, or until Ctrl-C or SIGTERM cancels it."""

    async def run() -> None:
        task = asyncio.ensure_future(work)
        on_stop(task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


def _settings(name: str, place: Place, *, plays: tuple[str, ...] = (), originates: tuple[str, ...] = ()) -> NodeSettings:
    try:
        own_key = bytes.fromhex(place.key.read_text(encoding="ascii").strip())
    except ValueError:
        own_key = b""
    if len(own_key) != KEY_BYTES:
        exit_on_usage_error(ValueError(f"{place.key} is no key; make it with: swarmscope overlay key {name} --secret FILE"))
    try:
        bootstrapper = parse_listen(place.bootstrapper)
    except ValueError:
        exit_on_usage_error(ValueError(f"--bootstrapper is {place.bootstrapper!r}; use HOST:PORT, such as 127.0.0.1:7000"))
    return NodeSettings(name=name, key=own_key, bootstrapper=bootstrapper, host=place.host, plays=plays, originates=originates)


def _run(running: Node, *more: Coroutine[Any, Any, None]) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run())
            for each in more:
                tasks.create_task(each)

    run_until_signal(run())


async def _announce(running: Node, receptions: Iterable[Reception] = ()) -> None:
    await running.joined.wait()
    for reception in receptions:
        reception.asked_s = time.monotonic()
    print(f"{running.settings.name} has joined", flush=True)


async def _originate(running: Node, stream: str, rate_kbps: float) -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for due_s, rtp in packets(rate_kbps, random.getrandbits(32)):
        ahead_s = begin_s + due_s - loop.time()
        if ahead_s < -MOST_LATE_S:
            begin_s -= ahead_s  # a burst of all late packets would overflow the queues of the way
            running.counts["source_late"] += 1
        await asyncio.sleep(max(ahead_s, 0))
        running.originate(stream, rtp)


async def _report(running: Node, receptions: dict[str, Reception]) -> None:
    while True:
        await asyncio.sleep(REPORT_EVERY_S)
        _print_received(running, receptions)


def _print_received(running: Node, receptions: dict[str, Reception]) -> None:
    for stream, reception in receptions.items():
        forwarding = running.streams.get(stream)
        received = {
            "stream": stream,
            "parent": forwarding.parent if forwarding is not None else None,
            "startup_ms": _rounded(reception.startup_ms),
            "received": reception.received,
            "lost": reception.lost,
            "largest_gap_ms": round(reception.largest_gap_ms, 1),
            "jitter_ms": round(reception.jitter_ms, 2),
            "delay_p95_ms": _rounded(reception.delay_ms(0.95)),
            "depth": reception.depth,
            "path": reception.path,
        }
        print(json.dumps(received), flush=True)


def _rounded(value: float | None) -> float | None:
    return round(value, 1) if value is not None else None


def _print_counts(running: Node) -> None:
    streams = {name: forwarding.counts for name, forwarding in running.streams.items()}
    sys.stdout.write(json.dumps({"counts": running.counts, "streams": streams}) + "\n")
