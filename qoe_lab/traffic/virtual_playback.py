"""A player that exists only here: it gets the chunks that were seen and plays them. Its picture is close to what viewers see.

The packets show when a segment arrived and how large it was. The picture is that of an earlier segment, because a player buffers.
So the virtual player plays one second of video per second of what has arrived, and stalls when nothing is left: it is *dry*. What
it shows and its buffer are features; a model learns how far a real player agrees with it.

The length of segments cannot be seen. There is a virtual player for each usual length, and the model learns which of them to trust.
A length is unlikely if a player of it would pause with hardly any video in its buffer, or would go on loading with very much.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from qoe_lab.traffic.chunk_detector import Chunk
from qoe_lab.traffic.segment_hints import PAUSE_NS
from qoe_lab.traffic.traffic_column import TrafficColumn

SEGMENT_S = (1, 2, 4)
"""The lengths of segments for which there is a virtual player."""


def _columns(seconds: int) -> Iterator[TrafficColumn]:
    yield TrafficColumn(f"virtual_{seconds}s_left_ms", "ms", f"virtual player with segments of {seconds} s: video in its buffer")
    yield TrafficColumn(f"virtual_{seconds}s_dry_ms", "ms", "time in the slot without video in its buffer")
    yield TrafficColumn(f"virtual_{seconds}s_before_bytes", "bytes", "size of the chunk before the one that it shows")
    yield TrafficColumn(f"virtual_{seconds}s_shown_bytes", "bytes", "size of the chunk that it shows")
    yield TrafficColumn(f"virtual_{seconds}s_next_bytes", "bytes", "size of the chunk after that; null if none has arrived")
    yield TrafficColumn(f"total_dry_{seconds}s_ms", "ms", "time without video in its buffer since it began to play")
    yield TrafficColumn(f"total_dry_max_{seconds}s_ms", "ms", "the longest such time without a break")
    yield TrafficColumn(f"total_kept_{seconds}s_ms", "ms", "least video in its buffer at a request after a pause; null before")
    yield TrafficColumn(f"total_free_{seconds}s_ms", "ms", "most video in its buffer at a request without a pause; null before")


VIRTUAL_FEATURES = tuple(column for seconds in SEGMENT_S for column in _columns(seconds))
"""Name, unit and meaning of each value of `VirtualPlayers.values`, in order."""


class _Moment(NamedTuple):
    """A virtual player at one time."""

    played_ns: int
    """Of the video."""
    dry_ns: int
    run_ns: int
    """How long it has been dry without a break; 0 while it plays."""


class _VirtualPlayer:
    """Plays chunks of one length, from the moment at which the first one is complete."""

    def __init__(self, seconds: int) -> None:
        self._segment_ns = seconds * 1_000_000_000
        self._arrived = 0
        self._now_ns = 0
        self._at = _Moment(0, 0, 0)
        self._most_dry_ns = 0
        self._dry_before_ns = 0
        """At the end of the slot before."""
        self._sizes: deque[int] = deque()
        """Of the chunks from the one before the shown one on."""
        self._first = 0
        """The number of the first of `_sizes`."""
        self._kept_ns: int | None = None
        self._free_ns: int | None = None

    def arrive(self, chunk: Chunk) -> None:
        if self._arrived:
            self._see_request(chunk.begin_ns)
            self._at = self._moment(chunk.end_ns)
            self._most_dry_ns = max(self._most_dry_ns, self._at.run_ns)
        self._now_ns = max(self._now_ns, chunk.end_ns)
        self._at = self._at._replace(run_ns=0)
        self._arrived += 1
        self._sizes.append(chunk.bytes)

    def values(self, now_ns: int) -> Iterator[float | None]:
        """At the end of a slot, in the order of `_columns`."""
        at = self._moment(now_ns) if self._arrived else self._at
        shown = min(at.played_ns // self._segment_ns, self._arrived - 1)
        while self._first < shown - 1:
            self._sizes.popleft()
            self._first += 1
        yield (self._arrived * self._segment_ns - at.played_ns) / 1e6
        # A chunk is known to be complete up to a second later: until then, the player seemed to be dry.
        yield max(0, at.dry_ns - self._dry_before_ns) / 1e6
        self._dry_before_ns = at.dry_ns
        yield from map(self._size, (shown - 1, shown, shown + 1))
        yield at.dry_ns / 1e6
        yield max(self._most_dry_ns, at.run_ns) / 1e6
        yield None if self._kept_ns is None else self._kept_ns / 1e6
        yield None if self._free_ns is None else self._free_ns / 1e6

    def _see_request(self, now_ns: int) -> None:
        left_ns = self._arrived * self._segment_ns - self._moment(now_ns).played_ns
        if now_ns - self._now_ns >= PAUSE_NS:
            self._kept_ns = left_ns if self._kept_ns is None else min(self._kept_ns, left_ns)
        else:
            self._free_ns = left_ns if self._free_ns is None else max(self._free_ns, left_ns)

    def _moment(self, now_ns: int) -> _Moment:
        """What it has played at a time, of what has arrived."""
        passed_ns = max(0, now_ns - self._now_ns)
        plays_ns = min(passed_ns, self._arrived * self._segment_ns - self._at.played_ns)
        dry_ns = passed_ns - plays_ns
        return _Moment(self._at.played_ns + plays_ns, self._at.dry_ns + dry_ns, self._at.run_ns + dry_ns)

    def _size(self, number: int) -> int | None:
        place = number - self._first
        return self._sizes[place] if 0 <= place < len(self._sizes) else None


class VirtualPlayers:
    """The virtual players of one session. Add its chunks when they are known to be complete."""

    def __init__(self) -> None:
        self._players = tuple(map(_VirtualPlayer, SEGMENT_S))

    def arrive(self, chunk: Chunk) -> None:
        for player in self._players:
            player.arrive(chunk)

    def values(self, now_ns: int) -> Iterator[float | None]:
        """The values of VIRTUAL_FEATURES at the end of a slot. Call it once for each slot, in order."""
        for player in self._players:
            yield from player.values(now_ns)
