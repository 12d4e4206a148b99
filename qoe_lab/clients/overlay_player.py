"""The player of the streaming overlay, which runs as a process of its own (`swarmscope overlay play`).

It decodes nothing. What it prints becomes events: the first packet that is played is the first frame. The stream has one
representation, which the address names: `overlay://BOOTSTRAPPER:PORT/STREAM?height=480&kbps=1500`.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from qoe_lab.clients.client_settings import CannotPlayError, ClientSettings
from qoe_lab.clients.session_recorder import wall_ms
from qoe_lab.player_events import PlayerEvent

PACKET_BYTES = 1328
"""RTP with seven TS packets."""
END_WITHIN_S = 10.0


class OverlayPlayer:
    """One session. `record` gets each event, in order of time."""

    def __init__(self, settings: ClientSettings, record: Callable[[PlayerEvent], None]) -> None:
        self._settings = settings
        self._record = record
        self._wall_ms = 0.0
        self._started = False
        self._received_packets = 0
        address = urlsplit(settings.url)
        self._bootstrapper, self._stream = address.netloc, address.path.strip("/")
        shown = parse_qs(address.query)
        self._height = int(shown["height"][0]) if "height" in shown else None
        self._kbps = float(shown["kbps"][0]) if "kbps" in shown else None

    async def play(self) -> None:
        """Play until the time is over. CannotPlayError if the player ends earlier."""
        self._wall_ms = wall_ms()
        self._record(PlayerEvent(event="navigation", t_ms=0, wall_ms=self._wall_ms))
        # If this process is killed, the player ends too: it cannot print any more.
        player = await asyncio.create_subprocess_exec(
            *self._command(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(self._settings.seconds):
                _, errors = await asyncio.gather(self._listen(player.stdout), _read_all(player.stderr))
                raise CannotPlayError(f"the player of the overlay ended: {errors.decode(errors='replace').strip()[-300:]}")
        except TimeoutError:
            self._record(PlayerEvent(event="end", t_ms=self._now_ms()))
        finally:
            await _end(player)

    def _command(self) -> list[str]:
        settings = self._settings
        command = [sys.executable, "-m", "swarmscope", "overlay", "play", settings.node, "--stream", self._stream]
        return [*command, "--bootstrapper", self._bootstrapper, "--key", str(settings.node_key), "--host", settings.node_host]

    def _now_ms(self) -> float:
        return wall_ms() - self._wall_ms

    async def _listen(self, lines: asyncio.StreamReader | None) -> None:
        assert lines is not None  # noqa: S101 - it was asked for
        async for line in lines:
            if line.startswith(b"{"):
                self._heard(json.loads(line))

    def _heard(self, printed: dict[str, Any]) -> None:
        if printed.get("stream") != self._stream:
            return
        if "playing" in printed:
            self._changed(printed["playing"], printed["at_ms"] - self._wall_ms)
        elif "played_ms" in printed:
            received = printed["received"] - self._received_packets
            self._received_packets = printed["received"]
            self._record(
                PlayerEvent(
                    event="sample",
                    t_ms=self._now_ms(),
                    buffer_ms=printed["buffer_ms"],
                    position_ms=printed["played_ms"],
                    height=self._height if self._started else None,
                    bytes=received * PACKET_BYTES,
                )
            )

    def _changed(self, playing: bool, t_ms: float) -> None:
        if not playing:
            self._record(PlayerEvent(event="stall_begin", t_ms=t_ms))
        elif self._started:
            self._record(PlayerEvent(event="stall_end", t_ms=t_ms))
        else:
            self._started = True
            self._record(PlayerEvent(event="first_frame", t_ms=t_ms))
            self._record(PlayerEvent(event="switch", t_ms=t_ms, height=self._height, kbps=self._kbps))


async def _read_all(stream: asyncio.StreamReader | None) -> bytes:
    return await stream.read() if stream is not None else b""


async def _end(player: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        player.terminate()
    try:
        async with asyncio.timeout(END_WITHIN_S):
            await player.communicate()
    except TimeoutError:
        player.kill()
        await player.wait()
