"""Continuity from the arrival times of packets alone, as defined in docs/overlay-reports.md, without the player's code."""

from collections.abc import Sequence

TICK_S = 0.005


def continuity_by_arrivals(arrivals: Sequence[tuple[float, int, float]], *, buffer_s: float, until_s: float) -> float:
    """The share of the time without stalls, times the share of the due packets that were there in time.

    `arrivals`: when each packet first arrived in seconds, its number, and its media time in seconds; in the order of arrival.
    """
    waiting: dict[int, float] = {}
    played = missed = 0
    played_s = stalled_s = 0.0
    begins_s: float | None = None  # the media time 0 on the clock, while playing
    idle_since_s, started, number, coming = arrivals[0][0], False, 0, 0
    ticks = int((until_s - arrivals[0][0]) / TICK_S)
    for tick in range(ticks):
        now_s = arrivals[0][0] + tick * TICK_S
        while coming < len(arrivals) and arrivals[coming][0] <= now_s:
            _, arrived, media_s = arrivals[coming]
            if not started or arrived >= number:
                waiting[arrived] = media_s
            coming += 1
        if begins_s is None:
            full = bool(waiting) and max(waiting.values()) - min(waiting.values()) >= buffer_s
            old = bool(waiting) and not started and now_s - idle_since_s >= buffer_s
            if not (full or old):
                stalled_s += TICK_S if started else 0.0
                continue
            number, started = min(waiting), True
            begins_s = now_s - waiting[number]
        played_s += TICK_S
        while waiting and waiting[min(waiting)] <= now_s - begins_s:
            first = min(waiting)
            missed += first - number
            played += 1
            number = first + 1
            del waiting[first]
        if not waiting:
            begins_s, idle_since_s = None, now_s
    return played_s / (played_s + stalled_s) * played / (played + missed)
