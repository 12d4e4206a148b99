"""Reduces a long session to the points that can be seen: a figure is about 900 pixels wide.

For each short time, a line keeps the least and the greatest value, and gaps. A ribbon keeps a stall, or else the longest state.
"""

from collections.abc import Sequence, Set

from feedback_analysis.messages.sessions import Stalls, Stretch

MOST_POINTS = 1_000
MOST_STRETCHES = 1_000
MOST_STALLS = 500


def points(
    at_ms: Sequence[int], values: Sequence[float | None], keep: Set[int] = frozenset(), *, most: int = MOST_POINTS
) -> list[int]:
    """The indices of the points to draw: all if there are few, else about `most`, and those at the moments `keep`."""
    if len(values) <= most:
        return list(range(len(values)))
    parts = most // 2
    kept = {0, len(values) - 1} | {at for at, moment in enumerate(at_ms) if moment in keep}
    for part in range(parts):
        among = range(part * len(values) // parts, (part + 1) * len(values) // parts)
        known = [(value, at) for at in among if (value := values[at]) is not None]
        if known:
            kept |= {min(known)[1], max(known)[1]}
        if len(known) < len(among):
            kept.add(next(at for at in among if values[at] is None))
    return sorted(kept)


def stretches(ribbon: Sequence[Stretch], *, most: int = MOST_STRETCHES) -> list[Stretch]:
    """The ribbon in about `most` parts at most."""
    if len(ribbon) <= most:
        return list(ribbon)
    begin, end = ribbon[0].from_ms, ribbon[-1].to_ms
    step = max(1, -(-(end - begin) // most))
    spent: list[dict[str, int]] = [{} for _ in range(-(-(end - begin) // step))]
    for each in ribbon:
        for part in range((each.from_ms - begin) // step, -(-(each.to_ms - begin) // step)):
            within = min(each.to_ms, begin + (part + 1) * step) - max(each.from_ms, begin + part * step)
            spent[part][each.state] = spent[part].get(each.state, 0) + within
    drawn: list[Stretch] = []
    for part, states in enumerate(spent):
        if not states:
            continue
        state = "stalled" if states.get("stalled") else max(states, key=lambda name: states[name])
        span = (begin + part * step, min(end, begin + (part + 1) * step))
        if drawn and drawn[-1].state == state and drawn[-1].to_ms == span[0]:
            span = (drawn.pop().from_ms, span[1])
        drawn.append(Stretch(*span, state))  # type: ignore[arg-type]
    return [*drawn, *(each for each in ribbon if each.state == "gone")]


def stalls(marks: Sequence[Stalls], *, most: int = MOST_STALLS) -> list[Stalls]:
    """The longest stalls, in order of time."""
    if len(marks) <= most:
        return list(marks)
    longest = sorted(marks, key=lambda each: -each.for_ms)[:most]
    return sorted(longest, key=lambda each: each.at_ms)


def silences(ribbon: Sequence[Stretch], *, most: int = MOST_STRETCHES // 2) -> set[int]:
    """The moments at which the longest gaps end; lines do not cross the gaps."""
    silent = [each for each in ribbon if each.state == "silent"]
    return {each.to_ms for each in sorted(silent, key=lambda each: each.from_ms - each.to_ms)[:most]}
