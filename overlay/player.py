"""One stream at one player: what it receives, and when it plays what."""

from collections.abc import Callable

from overlay.node import OverlayNode
from overlay.playout import RTP_HEADER_BYTES, Playout
from overlay.reception import Arrival, Reception
from overlay.ts_check import TsCheck

TICK_S = 0.01
"""The step of a player's clock."""
LONGEST_STEP_S = 0.25
"""A player whose step is later than this had to wait for processor time, and has played nothing meanwhile."""


class Player:
    """`sink` gets the packets in order, when they are due; without one they are discarded, and only measured.

    `on_playing` gets True when playback starts or continues, and False when it stops, and the time (`time.monotonic`).
    """

    def __init__(
        self,
        stream: str,
        buffer_s: float,
        sink: Callable[[bytes], None] | None = None,
        on_playing: Callable[[bool, float], None] | None = None,
    ) -> None:
        self.stream = stream
        self.reception, self.playout = Reception(), Playout(buffer_s=buffer_s)
        self.ts_check = TsCheck()
        self._sink, self._on_playing = sink, on_playing
        self._was_playing = False
        self._advanced_s = 0.0
        self._source_id: bytes | None = None

    @property
    def has_sink(self) -> bool:
        """Whether the player passes on what it plays."""
        return self._sink is not None

    @property
    def startup_ms(self) -> float | None:
        """From the request for the stream to the first packet that is played; None before it."""
        asked_s, started_s = self.reception.asked_s, self.playout.started_s
        return None if asked_s is None or started_s is None else (started_s - asked_s) * 1000

    def arrived(self, arrival: Arrival) -> None:
        """Add a new packet."""
        if self._sink is None:
            self._advance_until(arrival.now_s)
        source_id = arrival.rtp[8:12]
        if self._source_id not in (None, source_id):
            self.reception.begin_again()
            self.playout.begin_again()
        self._source_id = source_id
        sequence = self.reception.count_arrival(arrival)
        if sequence is not None:
            self.playout.arrived(sequence, arrival.rtp, arrival.now_s)

    def advance(self, now_s: float) -> None:
        """Play what is due. Call it each `TICK_S`; without a sink, less often is sufficient."""
        if self._sink is None:
            self._advance_until(now_s)
        else:
            self._advance(now_s)

    def _advance_until(self, now_s: float) -> None:
        """Advance in steps until a time, as if `advance` had been called in time. Packets have their times of arrival."""
        if now_s - self._advanced_s > LONGEST_STEP_S:
            self._advanced_s = now_s - TICK_S
        while self._advanced_s + TICK_S <= now_s:
            self._advanced_s += TICK_S
            self._advance(self._advanced_s)

    def _advance(self, now_s: float) -> None:
        for rtp in self.playout.advance(now_s):
            self.ts_check.payload(rtp[RTP_HEADER_BYTES:], now_s)
            if self._sink is not None:
                self._sink(rtp)
        if self.playout.playing != self._was_playing:
            self._was_playing = self.playout.playing
            if self._on_playing is not None:
                self._on_playing(self._was_playing, now_s)

    def toggle(self, node: OverlayNode) -> None:
        """Pause, or play again with a new buffer."""
        if self.playout.paused:
            self.playout.resume()
            node.membership.play(self.stream)
        else:
            self.playout.pause()
            node.membership.pause(self.stream)
