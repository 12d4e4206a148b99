"""Which bytes of a TCP direction the capture has seen. Sequence numbers of 32 bits become positions that never wrap."""

from bisect import bisect_left
from typing import NamedTuple

HALF, MASK = 1 << 31, 0xFFFFFFFF
MOST_GAPS = 65_536
"""If there are more, the earliest are forgotten: their positions count as seen."""


class Seen(NamedTuple):
    """The positions of one segment, divided into new and known ones."""

    fresh: int
    """Positions that the capture has not seen before."""
    repeated: int
    """Positions that the capture has seen before."""
    awaited_since_ns: int | None
    """When a later segment showed that the oldest of the fresh positions were missing; None if nothing was missing."""


class _Gap(NamedTuple):
    begin: int
    end: int
    since_ns: int


class SequenceSpace:
    """The positions from `lowest` to `highest` are seen, except the gaps between them."""

    __slots__ = ("_gaps", "highest", "lowest")

    def __init__(self, number: int) -> None:
        """`number` is the first sequence number that the capture has."""
        self.lowest = self.highest = number
        self._gaps: list[_Gap] = []

    def position(self, number: int) -> int:
        """The position of a sequence or acknowledgement number: the one that is closest to the highest position."""
        return self.highest + ((number - self.highest + HALF) & MASK) - HALF

    def may_begin_with(self, number: int) -> bool:
        """Whether a SYN with this number belongs to the sequence numbers that were seen, only later in the capture."""
        return self.position(number) in (self.lowest - 1, self.lowest)

    def extend(self, begin: int, end: int, now_ns: int) -> None:
        """See a segment that begins at `highest` or later."""
        if begin > self.highest:
            self._gaps.append(_Gap(self.highest, begin, now_ns))
            if len(self._gaps) > MOST_GAPS:
                del self._gaps[: MOST_GAPS // 2]
        self.highest = end

    def see(self, begin: int, end: int, now_ns: int) -> Seen:
        """See any segment."""
        fresh, since = self._fill(begin, min(end, self.highest))
        if begin < self.lowest:
            fresh += min(end, self.lowest) - begin
            since = now_ns if since is None else since
            if end < self.lowest:
                self._gaps.insert(0, _Gap(end, self.lowest, now_ns))
            self.lowest = begin
        if end > self.highest:
            fresh += end - max(begin, self.highest)
            self.extend(max(begin, self.highest), end, now_ns)
        return Seen(fresh, end - begin - fresh, since)

    def _fill(self, begin: int, end: int) -> tuple[int, int | None]:
        """Remove begin to end from the gaps: the number of removed positions, and since when the oldest of them was missing."""
        filled, since = 0, None
        at = max(0, bisect_left(self._gaps, begin, key=lambda gap: gap.end))
        while at < len(self._gaps) and self._gaps[at].begin < end:
            gap = self._gaps[at]
            left, right = max(gap.begin, begin), min(gap.end, end)
            if left >= right:
                at += 1
                continue
            filled += right - left
            since = gap.since_ns if since is None else min(since, gap.since_ns)
            rest = [part for part in (gap._replace(end=left), gap._replace(begin=right)) if part.begin < part.end]
            self._gaps[at : at + 1] = rest
            at += len(rest)
        return filled, since
