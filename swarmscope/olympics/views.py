"""Who watches when: the views of one day as columns, the same for the same seed whichever process asks.

A view belongs to the day on which it begins, and may end on the next.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmscope.audience.channels import AUDIENCE_OF_CHANNEL
from swarmscope.olympics.programme import (
    ARRIVALS_BY_HOUR,
    AWAY_S,
    CLOSING_MS,
    CROWD_AT_MS,
    CROWD_COMES_S,
    CROWD_DAY,
    CROWD_STAYS_S,
    DAY_MS,
    END_MS,
    MOST_AT_ONCE,
    VIEW_MEDIAN_S,
    VIEW_SIGMA,
    VIEWS_MORE,
    Day,
)

Whole = NDArray[np.int64]
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """One row a view, by peer and then by time; `channel` counts in AUDIENCE_OF_CHANNEL, times are Unix milliseconds."""

    peer: Whole
    number: Whole
    channel: Whole
    begins_ms: Whole
    ends_ms: Whole


def dice_for(what: str, day: int, seed: int) -> np.random.Generator:
    """The randomness of one aspect of one day."""
    return np.random.default_rng([seed, day, *what.encode()])


def views_of(day: Day, *, seed: int, scale: float) -> Views:
    """All views that begin on `day`."""
    dice = dice_for("views", day.number, seed)
    peers = _peers(day, dice)
    first_ms = _arrivals(dice, len(peers))
    more = dice.poisson(VIEWS_MORE, len(peers))
    at = np.repeat(np.arange(len(peers)), more + 1)
    number = np.arange(len(at)) - np.repeat(np.cumsum(more + 1) - (more + 1), more + 1)
    lengths_ms = (np.exp(dice.normal(np.log(VIEW_MEDIAN_S), VIEW_SIGMA, len(at))) * 1000).astype(np.int64)
    if day.number == CROWD_DAY:
        lengths_ms = _let_a_crowd_come(dice, first_ms, lengths_ms, number == 0, round(MOST_AT_ONCE * scale))
    begins_ms = first_ms[at] + _after_the_first(dice, lengths_ms, number)
    inside = begins_ms < DAY_MS - CLOSING_MS
    popularity = np.array(list(AUDIENCE_OF_CHANNEL.values()), dtype=float)
    return Views(
        peer=peers[at][inside],
        number=number[inside],
        channel=dice.choice(len(popularity), len(at), p=popularity / popularity.sum())[inside],
        begins_ms=(day.begins_ms + begins_ms)[inside],
        ends_ms=np.minimum(day.begins_ms + begins_ms + lengths_ms, END_MS)[inside],
    )


def _peers(day: Day, dice: np.random.Generator) -> Whole:
    """The day's new users, then some of those who came before."""
    new = np.arange(day.first_new, day.first_new + day.new)
    return np.concatenate([new, dice.choice(day.first_new, day.returning, replace=False) if day.returning else new[:0]])


def _arrivals(dice: np.random.Generator, peers: int) -> Whole:
    """When each peer's first view begins, in milliseconds of the day."""
    shares = np.array(ARRIVALS_BY_HOUR) / sum(ARRIVALS_BY_HOUR)
    drawn = dice.choice(24, peers, p=shares) * _HOUR_MS + dice.integers(0, _HOUR_MS, peers)
    # Whoever comes in the day's last moment still counts for it.
    in_time: Whole = np.minimum(drawn, DAY_MS - CLOSING_MS - 1)
    return in_time


def _let_a_crowd_come(
    dice: np.random.Generator, first_ms: Whole, lengths_ms: Whole, firsts: NDArray[np.bool_], wanted: int
) -> Whole:
    """Move so many first views to the crowd's moment that `wanted` watch at once; the lengths, for who came in it stays."""
    there_ms = CROWD_AT_MS + 4 * int(CROWD_COMES_S * 1000)
    there = (first_ms <= there_ms) & (first_ms + lengths_ms[firsts] > there_ms)
    others = np.flatnonzero(~there)
    crowd = others[: max(0, min(wanted - int(there.sum()), len(others)))]
    first_ms[crowd] = CROWD_AT_MS + (dice.exponential(CROWD_COMES_S, len(crowd)) * 1000).astype(np.int64)
    longer_ms = lengths_ms.copy()
    rows = np.flatnonzero(firsts)[crowd]
    longer_ms[rows] = np.maximum(lengths_ms[rows], int(CROWD_STAYS_S * 1000))
    return longer_ms


def _after_the_first(dice: np.random.Generator, lengths_ms: Whole, number: Whole) -> Whole:
    """How long after its peer's first view each view begins: the views before it, and a pause after each."""
    taken = lengths_ms + (dice.exponential(AWAY_S, len(lengths_ms)) * 1000).astype(np.int64)
    before = np.cumsum(taken) - taken
    first = np.flatnonzero(number == 0)
    return before - np.repeat(before[first], np.diff(np.append(first, len(number))))
