"""`swarmscope overlay play`."""

import asyncio
import json
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from endhost_sdk import Telemetry
from overlay.node import OverlayNode
from overlay.node_settings import StreamChoice
from overlay.player import TICK_S, Player
from overlay.reception import Arrival
from overlay.reporting import PlayerReports
from overlay.tracing import Trace
from serving.listening import parse_listen
from swarmscope.commands import exit_on_usage_error
from swarmscope.commands.overlay_running import (
    NO_CERTIFICATE,
    NO_REPORTS,
    AtCoordinators,
    Joining,
    Presenting,
    announce,
    next_update,
    print_counts,
    refuse,
    run,
    settings,
    telemetry_of,
)


def play(
    name: str,
    /,
    *,
    joining: Joining,
    presenting: Presenting = NO_CERTIFICATE,
    reporting: AtCoordinators = NO_REPORTS,
    stream: tuple[str, ...],
    file: str | None = None,
    buffer_ms: float = 1000.0,
    rtp: str | None = None,
) -> None:
    """Run a player until a signal stops it. Print what it receives every second, when playback stops or continues, and its
    counters at the end.

    Parameters
    ----------
    name
        Name of the node in the topology file. It can be an IP address, but need not be.
    stream
        Name of a stream in the topology file. Repeat the flag for each stream.
    file
        Name of a file that the source of the stream offers; `swarmscope overlay list` shows them. Without it, the player plays the
        stream itself: the first file of its source, or test packets. Requires a single --stream.
    buffer_ms
        Milliseconds of media that the player collects before it starts to play, and again after a stall, from 0 to 60000.
    rtp
        Address and port to which the player sends what it plays as RTP, such as 127.0.0.1:5004. ffplay, VLC and others open it as
        rtp://127.0.0.1:5004. Requires a single --stream.
    """
    if not 0 <= buffer_ms <= 60_000:
        exit_on_usage_error(ValueError(f"--buffer-ms is {buffer_ms:g}; use a number from 0 to 60000, such as 1000"))
    if file is not None and len(stream) > 1:
        exit_on_usage_error(ValueError("--file chooses a file of one stream; use a single --stream"))
    choices = tuple(StreamChoice(stream=each, file=file) for each in stream)
    players = {
        each.name: Player(each.name, buffer_ms / 1000, _sink(rtp, stream), partial(_print_playing, each.name)) for each in choices
    }

    def arrived(arrival: Arrival) -> None:
        if arrival.stream in players:
            players[arrival.stream].arrived(arrival)

    def traced(trace: Trace) -> None:
        players[trace.stream].reception.path = trace.path

    running = OverlayNode(settings(name, joining, presenting, plays=choices), arrived, traced, refuse)
    with telemetry_of(reporting) as telemetry:
        run(running, announce(running), _play(running, players), _report(running, players, telemetry))
    _print_players(running, players)
    print_counts(running)


def _sink(rtp: str | None, streams: tuple[str, ...]) -> Callable[[bytes], None] | None:
    """Sends RTP packets to an address. The command ends with an error if the address is invalid."""
    if rtp is None:
        return None
    try:
        host, port = parse_listen(rtp)
    except ValueError:
        exit_on_usage_error(ValueError(f"--rtp is {rtp!r}; use HOST:PORT, such as 127.0.0.1:5004"))
    if len(streams) > 1:
        exit_on_usage_error(ValueError("--rtp sends one stream; use a single --stream"))
    sender = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)

    def send(packet: bytes) -> None:
        with suppress(OSError):  # nothing listens there yet
            sender.sendto(packet, (host, port))

    return send


async def _play(running: OverlayNode, players: dict[str, Player]) -> None:
    await running.membership.joined.wait()
    for player in players.values():
        player.reception.asked_s = time.monotonic()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _toggle_all, running, players)
    has_sink = any(player.has_sink for player in players.values())
    while True:
        if has_sink:
            await asyncio.sleep(TICK_S)
            running.read()
        else:
            await running.next_beat()
        for player in players.values():
            player.advance(time.monotonic())


def _toggle_all(running: OverlayNode, players: dict[str, Player]) -> None:
    for player in players.values():
        player.toggle(running)


async def _report(running: OverlayNode, players: dict[str, Player], telemetry: Telemetry | None) -> None:
    await running.membership.joined.wait()
    reports = [PlayerReports(telemetry, running, player) for player in players.values()] if telemetry is not None else []
    while True:
        await next_update(running)
        for each in reports:
            each.update()
        _print_players(running, players)


def _print_playing(stream: str, playing: bool, at_s: float) -> None:
    at_ms = round((time.time() - time.monotonic() + at_s) * 1000, 1)
    print(json.dumps({"stream": stream, "playing": playing, "at_ms": at_ms}), flush=True)


def _print_players(running: OverlayNode, players: dict[str, Player]) -> None:
    for stream, player in players.items():
        forwarding, reception, playout = running.streams.get(stream), player.reception, player.playout
        line = {
            "stream": stream,
            "parent": forwarding.parent if forwarding is not None else None,
            "second_parent": forwarding.second if forwarding is not None else None,
            "startup_ms": _rounded(player.startup_ms),
            "received": reception.received,
            "lost": reception.lost,
            "earlier": reception.earlier,
            "largest_gap_ms": round(reception.largest_gap_ms, 1),
            "failover_gap_ms": _rounded(forwarding.latest_gap_ms) if forwarding is not None else None,
            "jitter_ms": round(reception.jitter_ms, 2),
            "delay_p95_ms": _rounded(reception.delay_ms(0.95)),
            "depth": reception.depth,
            "path": reception.path,
            "buffer_ms": round(playout.buffered_s * 1000),
            "paused": playout.paused,
            "played_ms": round(playout.totals.played_s * 1000),
            "missed": playout.totals.missed,
            "late": playout.totals.late,
            "skipped": playout.totals.skipped,
            "stalls": playout.totals.stalls,
            "stall_ms": round(playout.totals.stalled_s * 1000),
            "ts": player.ts_check.as_json(),
        }
        print(json.dumps(line), flush=True)


def _rounded(value: float | None) -> float | None:
    return round(value, 1) if value is not None else None
