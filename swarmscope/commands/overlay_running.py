"""`swarmscope overlay key`, `node` and `source`, and what `play` shares with them. They need no graph library."""

import asyncio
import codecs
import json
import random
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from endhost_sdk import Telemetry
from overlay.messages import MOST_FILES
from overlay.node import OverlayNode
from overlay.node_settings import NodeSettings, StreamChoice, longest_file_name
from overlay.null_stream import packets
from overlay.pacing import MediaFileError, NotPacedError, paced, rtp_packets
from overlay.proofs import KEY_BYTES, node_key
from overlay.reporting import RelayReports
from overlay.tracing import Trace
from serving.lifecycle import on_reload
from serving.listening import is_host, parse_listen
from serving.regular_files import read_regular, read_regular_text
from serving.tls import Tls, key_pair
from swarmscope.commands import exit_on_usage_error
from swarmscope.commands.overlay_process import run_until_signal

UPDATE_EVERY_S = 1.0
WANTED_EVERY_S = 0.05
UNWANTED_S = 3.0
"""A player that has no parent for a moment does not begin the file again. Longer than packets are kept for a replay."""
MOST_LATE_S = 0.1
"""A source that falls behind further than this continues from now on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinFlags:
    """How a node joins."""

    bootstrapper: str
    """Address and port of the bootstrapper, such as 10.0.0.10:7000."""
    key: Path
    """File with the key of the node, which `swarmscope overlay key` prints."""
    host: str = "127.0.0.1"
    """Address of this machine, from which the command connects. The commands node, play and source also listen on this address
    with TCP and UDP, on ports that the system chooses. For them, give an address that other nodes can reach."""
    tls_ca: Path | None = None
    """PEM file with certificate authorities, read again on SIGHUP. With it, every control connection uses TLS. The certificate of
    the bootstrapper must be valid for the host in --bootstrapper. The certificate of a node must be valid for the node's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCertificate:
    """What a node presents to its neighbours."""

    tls_cert: Path | None = None
    """PEM file with the certificate of the node, valid for its name, read again on SIGHUP. Required with --tls-ca, because
    neighbours connect to the node."""
    tls_key: Path | None = None
    """PEM file with the private key of --tls-cert, read again on SIGHUP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """Where the node reports as an end host."""

    coordinator: tuple[str, ...] = ()
    """URL of a coordinator to which the node reports as an end host. Repeat the flag for each; the first is preferred."""
    ingest_key: Path | None = None
    """File with the ingest key of the coordinators."""
    period: float = 30.0
    """Seconds between two reports, from 0.1 to 3600."""


Joining = Annotated[JoinFlags, Parameter(name="*")]
Presenting = Annotated[OwnCertificate, Parameter(name="*")]
NO_CERTIFICATE = OwnCertificate()
AtCoordinators = Annotated[Reporting, Parameter(name="*")]
NO_REPORTS = Reporting()


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


def node(
    name: str, /, *, joining: Joining, presenting: Presenting = NO_CERTIFICATE, reporting: AtCoordinators = NO_REPORTS
) -> None:
    """Run a relay until a signal stops it, and print its counters.

    Parameters
    ----------
    name
        Name of the node in the topology file. It can be an IP address, but need not be.
    """
    running = OverlayNode(settings(name, joining, presenting))
    with telemetry_of(reporting) as telemetry:
        run(running, announce(running), _report(running, telemetry, "relay"))
    print_counts(running)


def source(
    name: str,
    /,
    *,
    joining: Joining,
    presenting: Presenting = NO_CERTIFICATE,
    reporting: AtCoordinators = NO_REPORTS,
    stream: str,
    rate_kbps: float = 2000.0,
    file: Annotated[tuple[Path, ...], Parameter(consume_multiple=False)] = (),
) -> None:
    """Run a source until a signal stops it, and print its counters.

    Parameters
    ----------
    name
        Name of the node in the topology file. It can be an IP address, but need not be.
    stream
        Name of the stream in the topology file.
    rate_kbps
        Rate of the stream in kbit/s, above 0 and at most 1000000. With --file, it must be above the rate of the file; null packets
        fill the rest.
    file
        Media file with H.264 video and AAC audio (MP4, MKV or TS) that is repeated without end. Without it, the source sends test
        packets. Repeat the flag to offer several files: the stream plays the first one, and a player can choose any of them by its
        name (play --file). Requires the extra overlay-media.
    """
    if not 0 < rate_kbps <= 1_000_000:
        exit_on_usage_error(ValueError(f"--rate-kbps is {rate_kbps:g}; use a number above 0 and up to 1000000, such as 2000"))
    files = _offered(file, stream)
    first = _packets(next(iter(files.values()), None), rate_kbps)
    for other in list(files.values())[1:]:
        _packets(other, rate_kbps)  # a file that cannot be played is not offered

    def traced(trace: Trace) -> None:
        print(json.dumps(trace.as_json()), flush=True)

    running = OverlayNode(
        settings(name, joining, presenting, originates={stream: tuple(files)}), on_trace=traced, on_refused=refuse
    )
    chosen = [
        _originate_while_wanted(running, StreamChoice(stream=stream, file=each).name, partial(_packets, path, rate_kbps))
        for each, path in files.items()
    ]
    with telemetry_of(reporting) as telemetry:
        run(running, announce(running), _originate(running, stream, first), *chosen, _report(running, telemetry, "source"))
    print_counts(running)


def _offered(files: tuple[Path, ...], stream: str) -> dict[str, Path]:
    """The files by the names under which players choose them. The command ends with an error if a name is no good."""
    if len(files) > MOST_FILES:
        exit_on_usage_error(ValueError(f"--file is given {len(files)} times; a source offers at most {MOST_FILES} files"))
    found: dict[str, Path] = {}
    for file in files:
        if file.name in found:
            exit_on_usage_error(
                ValueError(f"--file has two files named {file.name}; players choose by name, so rename one of them")
            )
        if len(file.name) > longest_file_name(stream):
            advice = f"use a name with at most {longest_file_name(stream)} characters for the stream {stream}"
            exit_on_usage_error(ValueError(f"--file: the name {file.name} is too long; {advice}"))
        found[file.name] = file
    return found


class StreamRefusedError(ValueError):
    """The bootstrapper refuses what the command asks for: waiting would not help."""


def refuse(_name: str, reason: str) -> None:
    """End the node."""
    raise StreamRefusedError(reason)


def read_secret(file: Path) -> bytes:
    """The overlay's secret. The command ends with an error if it is too short to be one.

    A file of text may end in a line feed, which is no part of the secret. The bytes of any other file are the secret.
    """
    secret = read_regular(file).removeprefix(codecs.BOM_UTF8)
    if secret.isascii() and secret.decode("ascii").strip().isprintable():
        secret = secret.strip()
    if len(secret) < KEY_BYTES:
        advice = "write one with: head -c 32 /dev/urandom | base64 > FILE"
        exit_on_usage_error(ValueError(f"{file}: the secret has {len(secret)} bytes, and needs at least {KEY_BYTES}; {advice}"))
    return secret


def settings(
    name: str,
    joining: JoinFlags,
    presenting: OwnCertificate | None = None,
    *,
    plays: tuple[StreamChoice, ...] = (),
    originates: Mapping[str, tuple[str, ...]] | None = None,
) -> NodeSettings:
    """What a node has to know. The command ends with an error if a key, a certificate or an address is invalid.

    Without `presenting`, the node listens to no neighbours, so it needs no certificate.
    """
    try:
        own_key = bytes.fromhex(read_regular_text(joining.key).strip())
    except ValueError:
        own_key = b""
    if len(own_key) != KEY_BYTES:
        exit_on_usage_error(ValueError(f"{joining.key} has no key; write one with: swarmscope overlay key {name} --secret FILE"))
    try:
        bootstrapper = parse_listen(joining.bootstrapper)
    except ValueError:
        exit_on_usage_error(ValueError(f"--bootstrapper is {joining.bootstrapper!r}; use HOST:PORT, such as 127.0.0.1:7000"))
    if not is_host(joining.host):
        exit_on_usage_error(ValueError(f"--host is {joining.host!r}; use an address of this machine, such as 10.0.1.2"))
    return NodeSettings(
        name=name,
        key=own_key,
        bootstrapper=bootstrapper,
        host=joining.host,
        tls=_tls(joining, presenting),
        plays=plays,
        originates=originates or {},
    )


def _tls(joining: JoinFlags, presenting: OwnCertificate | None) -> Tls | None:
    try:
        own = key_pair("--tls", presenting.tls_cert, presenting.tls_key) if presenting is not None else None
        if presenting is not None and (joining.tls_ca is None) != (own is None):
            raise ValueError("--tls-ca, --tls-cert and --tls-key belong together: give all three, or none")
        return Tls(own, ca=joining.tls_ca) if joining.tls_ca is not None else None
    except ValueError as error:
        exit_on_usage_error(error)


def run(running: OverlayNode, *more: Coroutine[Any, Any, None]) -> None:
    """Run a node and what belongs to it until a signal stops it. The command ends with an error if its request is refused."""

    async def all_of_it() -> None:
        if running.settings.tls is not None:
            on_reload(running.settings.tls.renew)
            running.settings.tls.warn_of_expiry()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.run())
            for each in more:
                tasks.create_task(each)

    failed: list[BaseException] = []
    try:
        run_until_signal(all_of_it(), running.drain)
    except* (StreamRefusedError, MediaFileError, NotPacedError, OSError) as group:  # OSError: of a port, an address or a disk
        failed.extend(_leaves(group))
    for error in failed:
        if not isinstance(error, OSError):
            exit_on_usage_error(ValueError(str(error)))
        raise error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


async def announce(running: OverlayNode) -> None:
    """Print a line when the node has joined."""
    await running.membership.joined.wait()
    print(f"{running.settings.name} has joined", flush=True)


@contextmanager
def telemetry_of(reporting: Reporting) -> Iterator[Telemetry | None]:
    """The SDK, closed at the end; None without a coordinator. The command ends with an error if a flag is invalid."""
    if not reporting.coordinator:
        yield None
        return
    try:
        key = read_regular_text(reporting.ingest_key).strip() if reporting.ingest_key is not None else None
        telemetry = Telemetry(reporting.coordinator, key=key, period_s=reporting.period)
    except (OSError, ValueError) as error:
        exit_on_usage_error(error)
    try:
        yield telemetry
    finally:
        telemetry.close()


async def _report(running: OverlayNode, telemetry: Telemetry | None, role: str) -> None:
    """Report what a relay or source uploads."""
    if telemetry is None:
        return
    await running.membership.joined.wait()
    reports = RelayReports(telemetry, running, role)
    while True:
        await next_update(running)
        reports.update()


async def next_update(running: OverlayNode) -> None:
    """Wait for a second, or until a gap after a failed parent has ended: the next report has to show it."""
    before, begin_s = _gaps(running), time.monotonic()
    while time.monotonic() - begin_s < UPDATE_EVERY_S and _gaps(running) <= before:
        await running.next_beat()


def _gaps(running: OverlayNode) -> int:
    return sum(len(each.failover_gaps_ms) for each in running.streams.values())


def _packets(file: Path | None, rate_kbps: float) -> Iterator[tuple[float, bytes]]:
    """The RTP packets of the source. The command ends with an error if the file cannot be played at this rate."""
    if file is None:
        return packets(rate_kbps, random.getrandbits(32))
    try:
        from overlay.media_file import least_rate_kbps, ts_of_file  # only this needs PyAV
    except ModuleNotFoundError as error:
        exit_on_usage_error(ValueError(f"--file needs PyAV ({error}); install it with: pip install 'swarmscope[overlay-media]'"))
    try:
        least = least_rate_kbps(file)
        if rate_kbps < least:
            exit_on_usage_error(ValueError(f"--rate-kbps is {rate_kbps:g}; {file} needs at least {least:.0f}"))
        media = rtp_packets(paced(ts_of_file(file, rate_kbps)), random.getrandbits(32))
        return chain([next(media)], media)  # the first packet shows whether the file can be played
    except (MediaFileError, NotPacedError) as error:
        exit_on_usage_error(error)


async def _originate(running: OverlayNode, stream: str, media: Iterator[tuple[float, bytes]]) -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    for due_s, rtp in media:
        ahead_s = begin_s + due_s - loop.time()
        if ahead_s < -MOST_LATE_S:
            begin_s -= ahead_s  # a burst of all late packets would overflow the queues of the way
            running.counts["source_late"] += 1
        await asyncio.sleep(max(ahead_s, 0))
        running.originate(stream, rtp)


async def _originate_while_wanted(running: OverlayNode, stream: str, media: Callable[[], Iterator[tuple[float, bytes]]]) -> None:
    """Play a file from its beginning when a first player has chosen it, until the last one has been gone for a while."""
    while True:
        await asyncio.sleep(WANTED_EVERY_S)
        if not running.feeds(stream):
            continue
        playing = asyncio.ensure_future(_originate(running, stream, media()))
        unwanted_s = 0.0
        try:
            while unwanted_s < UNWANTED_S and not playing.done():
                await asyncio.sleep(WANTED_EVERY_S)
                unwanted_s = 0.0 if running.feeds(stream) else unwanted_s + WANTED_EVERY_S
        finally:
            playing.cancel()
        if playing.done() and not playing.cancelled():
            playing.result()  # its error ends the command


def print_counts(running: OverlayNode) -> None:
    streams = {name: forwarding.counts for name, forwarding in running.streams.items()}
    dropped = {name: neighbor.dropped for name, neighbor in running.neighbors.items() if neighbor.dropped}
    sys.stdout.write(json.dumps({"counts": running.counts, "streams": streams, "dropped": dropped}) + "\n")
