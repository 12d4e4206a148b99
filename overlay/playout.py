"""The jitter buffer and clock of a player: RTP packets in, packets out when they are due. It has no socket and no clock of its own.

The terms, as every report uses them:

- *start*: playback starts when the buffer holds `buffer_s` of media, or when its oldest packet has waited for that time.
- *due*: a packet is due at its timestamp's time on the player's clock. A packet that is not there then is *missed*; playback
  continues, since what follows is there. One that comes later is *late*, and discarded.
- *stall*: nothing is there any more. Playback continues when the buffer is full again, with what is there. Packets that
  never came are *skipped*.
- *continuity*: the share of the time without stalls, times the share of the due packets that were played.
"""

from dataclasses import dataclass, field, replace

from overlay.reception import RTP_CLOCK_HZ

RTP_HEADER_BYTES = 12


@dataclass(slots=True)
class Played:
    """Totals since the beginning."""

    packets: int = 0
    payload_bytes: int = 0
    missed: int = 0
    late: int = 0
    skipped: int = 0
    """Packets that playback left out after a stall, or when the stream began again."""
    played_s: float = 0.0
    stalled_s: float = 0.0
    stalls: int = 0


@dataclass(slots=True)
class Playout:
    """One stream at one player. Packets have extended sequence numbers, so they do not wrap."""

    buffer_s: float = 1.0
    totals: Played = field(default_factory=Played)
    started_s: float | None = None
    """When playback started."""
    stalls_ms: list[float] = field(default_factory=list)
    """Stalls that have ended; the reader empties the list."""
    paused: bool = False
    _waiting: dict[int, tuple[float, bytes]] = field(default_factory=dict)
    """Media time in seconds, and packet, by sequence number."""
    _next: int | None = None
    """The sequence number that is played next."""
    _highest: int = 0
    _timestamp: tuple[int, float] | None = None
    """An RTP timestamp and its media time: timestamps wrap, media times do not."""
    _offset_s: float | None = None
    """Media time minus the player's clock while playing; None while not."""
    _idle_s: float | None = None
    """Since when packets wait for the start, or since when playback stalls."""
    _advanced_s: float = 0.0

    @property
    def playing(self) -> bool:
        """Whether media is taken out at its time. False before the start, in a stall and in a pause."""
        return self._offset_s is not None

    @property
    def buffered_s(self) -> float:
        """The media in the buffer."""
        if not self._waiting:
            return 0.0
        times_s = [media_s for media_s, _ in self._waiting.values()]
        return max(times_s) - min(times_s)

    @property
    def queued_bytes(self) -> int:
        """The RTP packets in the buffer."""
        return sum(len(rtp) for _, rtp in self._waiting.values())

    def arrived(self, sequence: int, rtp: bytes, now_s: float) -> None:
        """Add a packet with its extended sequence number."""
        if self.paused:
            return
        if self._next is not None and sequence < self._next:
            self.totals.late += 1
            return
        media_s = self._media_s(int.from_bytes(rtp[4:8], "big"))
        self._waiting[sequence] = media_s, rtp
        self._highest = max(self._highest, sequence)
        if self._idle_s is None and self._offset_s is None:
            self._idle_s = now_s

    def advance(self, now_s: float) -> list[bytes]:
        """The packets that are due by now, in order."""
        if self.paused:
            return []
        if self._offset_s is None and not self._may_start(now_s):
            return []
        due = self._due(now_s)
        self.totals.played_s += max(now_s - self._advanced_s, 0.0)
        self._advanced_s = now_s
        if not self._waiting:
            self._offset_s, self._idle_s = None, now_s
            self.totals.stalls += 1
        return due

    def totals_until(self, now_s: float) -> Played:
        """The totals at a moment, with the elapsed part of an open stall."""
        lasting_s = 0.0
        if self._offset_s is None and self._idle_s is not None and self._next is not None and self.started_s is not None:
            lasting_s = now_s - self._idle_s
        return replace(self.totals, stalled_s=self.totals.stalled_s + lasting_s)

    def begin_again(self) -> None:
        """The source was started again, with other sequence numbers and timestamps."""
        self.totals.skipped += len(self._waiting)
        self._waiting.clear()
        self._next = self._offset_s = self._idle_s = self._timestamp = None
        self._highest = 0

    def pause(self) -> None:
        """Stop, and discard the buffer: a live stream has gone on when it is played again."""
        self.paused = True
        self._waiting.clear()
        self._next = self._offset_s = self._idle_s = None

    def resume(self) -> None:
        """Play again, with a new buffer. The pause is no stall."""
        self.paused = False

    def _may_start(self, now_s: float) -> bool:
        """Whether the buffer is full; playback then begins with its oldest packet."""
        if not self._waiting or self._idle_s is None:
            return False
        if self.buffered_s < self.buffer_s and (self.started_s is not None or now_s - self._idle_s < self.buffer_s):
            return False
        first = min(self._waiting)
        if self.started_s is None:
            self.started_s = now_s
        elif self._next is not None:  # the end of a stall
            self.totals.stalled_s += now_s - self._idle_s
            self.stalls_ms.append((now_s - self._idle_s) * 1000)
            self.totals.skipped += first - self._next
        self._next, self._offset_s, self._idle_s = first, self._waiting[first][0] - now_s, None
        self._advanced_s = now_s
        return True

    def _due(self, now_s: float) -> list[bytes]:
        if self._next is None or self._offset_s is None:
            return []
        position_s = now_s + self._offset_s
        due = []
        while self._waiting and self._next <= self._highest:
            at = self._waiting.get(self._next)
            if at is None:
                following = self._waiting[min(self._waiting)]
                if following[0] > position_s:
                    break
                self.totals.missed += 1
            elif at[0] > position_s:
                break
            else:
                due.append(self._waiting.pop(self._next)[1])
                self.totals.packets += 1
                self.totals.payload_bytes += len(at[1]) - RTP_HEADER_BYTES
            self._next += 1
        return due

    def _media_s(self, timestamp: int) -> float:
        if self._timestamp is None:
            self._timestamp = timestamp, 0.0
        known, media_s = self._timestamp
        ahead = (timestamp - known + 2**31) % 2**32 - 2**31
        media_s += ahead / RTP_CLOCK_HZ
        if ahead > 0:
            self._timestamp = timestamp, media_s
        return media_s
