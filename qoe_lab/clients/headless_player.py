"""A player of HLS and DASH without a browser: it fetches segments as a player does, and decodes nothing."""

import asyncio
import time
from collections.abc import Callable
from urllib.parse import quote

import aiohttp

from qoe_lab.clients.adaptation import Throughput, choose
from qoe_lab.clients.client_settings import CannotPlayError, ClientSettings
from qoe_lab.clients.dash_manifest import DashPresentation
from qoe_lab.clients.habits import habits_of
from qoe_lab.clients.hls_playlists import HlsPresentation
from qoe_lab.clients.playback_clock import PlaybackClock
from qoe_lab.clients.presentation import Presentation, Representation, Segment
from qoe_lab.clients.session_recorder import wall_ms
from qoe_lab.cmcd import PARAMETER, CmcdValue, cmcd_text
from qoe_lab.player_events import PlayerEvent

TICK_S = 0.02
SAMPLE_EACH_MS = 250.0
MOST_PLAYLIST_BYTES = 4 << 20
MOST_SEGMENT_BYTES = 256 << 20


class HeadlessPlayer:
    """One session. `record` gets each event, in order of time."""

    def __init__(self, settings: ClientSettings, record: Callable[[PlayerEvent], None]) -> None:
        self._settings = settings
        self._record = record
        self._began_s = time.monotonic()
        self._habits = habits_of(settings.session_id)
        self._clock = PlaybackClock(enough_ms=self._habits.enough_s * 1000)
        self._throughput = Throughput(self._habits.measured_segments)
        self._stalled_since_request = False
        self._sampled_ms = 0.0

    async def play(self) -> None:
        """Play until the time is over or the content ends. CannotPlayError if that is not possible."""
        self._record(PlayerEvent(event="navigation", t_ms=0, wall_ms=wall_ms(), detail=self._habits.name))
        limits = aiohttp.ClientTimeout(total=None, sock_connect=self._settings.seconds, sock_read=self._settings.seconds)
        async with aiohttp.ClientSession(timeout=limits, auto_decompress=False) as http, asyncio.TaskGroup() as tasks:
            loading = tasks.create_task(self._load(http))
            await self._watch()
            loading.cancel()
        self._note(self._clock.advance(self._now_ms()))
        self._record(PlayerEvent(event="end", t_ms=self._now_ms()))

    def _now_ms(self) -> float:
        return (time.monotonic() - self._began_s) * 1000

    async def _watch(self) -> None:
        """Continue the playback, and sample it."""
        while self._now_ms() < self._settings.seconds * 1000 and not self._clock.has_ended:
            await asyncio.sleep(TICK_S)
            now_ms = self._now_ms()
            self._note(self._clock.advance(now_ms))
            if now_ms - self._sampled_ms >= SAMPLE_EACH_MS:
                self._sampled_ms = now_ms - now_ms % SAMPLE_EACH_MS
                self._sample(now_ms)

    def _sample(self, now_ms: float) -> None:
        shown = self._clock.shown
        self._record(
            PlayerEvent(
                event="sample",
                t_ms=now_ms,
                buffer_ms=self._clock.buffer_ms,
                position_ms=self._clock.position_ms,
                height=shown.height if shown is not None else None,
            )
        )

    def _note(self, events: list[PlayerEvent]) -> None:
        for event in events:
            self._stalled_since_request |= event.event == "stall_begin"
            self._record(event)

    async def _load(self, http: aiohttp.ClientSession) -> None:
        """Fetch the playlist, then one segment after the other while there is room in the buffer."""
        presentation = await self._open(http)
        loaded: Representation | None = None
        number = 0
        while True:
            rates = [each.bps for each in presentation.representations]
            representation = presentation.representations[self._chosen(rates)]
            parts = await presentation.segments(representation)
            if number >= len(parts.segments):
                break
            if parts.head_url is not None and representation != loaded:
                await self._fetch(http, parts.head_url, MOST_PLAYLIST_BYTES)
            loaded = representation
            await self._load_segment(http, presentation, representation, parts.segments[number])
            number += 1
            await asyncio.sleep(max(self._clock.buffer_ms / 1000 - self._habits.most_buffered_s, 0))
        self._note(self._clock.complete(self._now_ms()))

    def _chosen(self, rates_bps: list[int]) -> int:
        return choose(self._habits, rates_bps, self._throughput.bps, self._clock.buffer_ms / 1000)

    async def _load_segment(
        self, http: aiohttp.ClientSession, presentation: Presentation, representation: Representation, segment: Segment
    ) -> None:
        began_ms = self._now_ms()
        data_bytes = await self._fetch(http, self._with_cmcd(presentation, representation, segment), MOST_SEGMENT_BYTES)
        now_ms = self._now_ms()
        self._throughput.add(data_bytes, (now_ms - began_ms) / 1000)
        events = self._clock.add(segment.seconds * 1000, representation, now_ms)
        self._note(
            [
                *[event for event in events if event.t_ms < now_ms],
                PlayerEvent(
                    event="segment",
                    t_ms=now_ms,
                    height=representation.height,
                    kbps=representation.bps / 1000,
                    bytes=data_bytes,
                    took_ms=now_ms - began_ms,
                ),
                *[event for event in events if event.t_ms >= now_ms],
            ]
        )

    def _with_cmcd(self, presentation: Presentation, representation: Representation, segment: Segment) -> str:
        measured = self._throughput.bps
        values: dict[str, CmcdValue | None] = {
            "bl": round(self._clock.buffer_ms, -2),
            "br": representation.bps / 1000,
            "bs": self._stalled_since_request,
            "cid": self._settings.content_id,
            "d": segment.seconds * 1000,
            "mtp": None if measured is None else round(measured / 1000, -2),
            "ot": "v",
            "sf": presentation.streaming_format,
            "sid": self._settings.session_id,
            "st": "v",
            "su": not self._clock.has_started or self._clock.is_stalled,
            "tb": max(each.bps for each in presentation.representations) / 1000,
        }
        self._stalled_since_request = False
        return f"{segment.url}{'&' if '?' in segment.url else '?'}{PARAMETER}={quote(cmcd_text(values), safe='')}"

    async def _open(self, http: aiohttp.ClientSession) -> Presentation:
        url = self._settings.url

        async def fetch(at: str) -> bytes:
            parts: list[bytes] = []
            await self._fetch(http, at, MOST_PLAYLIST_BYTES, parts)
            return b"".join(parts)

        text = (await fetch(url)).decode("utf-8", "replace")
        return DashPresentation(url, text) if text.lstrip("\ufeff \r\n").startswith("<") else HlsPresentation(url, text, fetch)

    @staticmethod
    async def _fetch(http: aiohttp.ClientSession, url: str, most_bytes: int, into: list[bytes] | None = None) -> int:
        """Receive what is at a URL, and return its number of bytes. The data is appended to `into`, or discarded without it."""
        received = 0
        try:
            async with http.get(url) as answer:
                if answer.status != 200:
                    raise CannotPlayError(f"{_address(url)} is answered with status {answer.status}")
                async for part in answer.content.iter_any():
                    received += len(part)
                    if received > most_bytes:
                        raise CannotPlayError(f"{_address(url)} has more than {most_bytes} bytes")
                    if into is not None:
                        into.append(part)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CannotPlayError(f"{_address(url)} cannot be received: {error or type(error).__name__}") from error
        return received


def _address(url: str) -> str:
    """Without the parameters, which are long and not what fails."""
    return url.partition("?")[0]
