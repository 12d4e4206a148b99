"""Run a board in virtual time: for dry runs, tests and benchmarks. Durations come from the caller; nothing waits."""

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import NamedTuple

from measurement.scheduling.board import Board, Slot


class Interval(NamedTuple):
    """When an operation runs, in seconds from the start."""

    slot: Slot
    start_s: float
    end_s: float


def run_to_end(board: Board, duration_s: Callable[[Slot], float]) -> Iterator[Interval]:
    """Start and end operations until nothing can start any more; in the order of their ends."""
    now_s, count = 0.0, 0
    ends: list[tuple[float, int, float, Slot]] = []
    while True:
        for slot in board.start_ready():
            count += 1
            heappush(ends, (now_s + duration_s(slot), count, now_s, slot))
        if not ends:
            return
        now_s, _, start_s, slot = heappop(ends)
        board.finish(slot)
        yield Interval(slot, start_s, now_s)


def makespan_s(intervals: Iterable[Interval]) -> float:
    """When the last operation ends."""
    return max((each.end_s for each in intervals), default=0.0)
