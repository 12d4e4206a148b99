"""The views of one day as columns. The same seed gives the same views in each process.

A view belongs to the day on which it begins, and can end on the next day.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feedback_analysis.time_units import DAY_MS, HOUR_MS
from swarmscope.audience.channels import CHANNEL_POPULARITY
from swarmscope.olympics.programme import (
    ARRIVALS_BY_HOUR,
    AWAY_S,
    CLOSING_MS,
    CROWD_AT_MS,
    CROWD_COMES_S,
    CROWD_DAY,
    CROWD_STAYS_S,
    END_MS,
    MORE_VIEWS,
    MOST_CONCURRENT,
    VIEW_MEDIAN_S,
    VIEW_SIGMA,
    Day,
)

Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """One row per view, sorted by peer and time. `channel` is an index in CHANNEL_POPULARITY; times are Unix milliseconds."""

    peer: Whole
    number: Whole
    channel: Whole
    begins_ms: Whole
    ends_ms: Whole


def generator_for(what: str, day: int, seed: int) -> np.random.Generator:
    """A random generator for one aspect of one day."""
    return np.random.default_rng([seed, day, *what.encode()])


def views_of(day: Day, *, seed: int, scale: float) -> Views:
    """All views that begin on `day`."""
    rng = generator_for("views", day.number, seed)
    peers = _peers(day, rng)
    first_ms = _arrivals(rng, len(peers))
    more = rng.poisson(MORE_VIEWS, len(peers))
    at = np.repeat(np.arange(len(peers)), more + 1)
    number = np.arange(len(at)) - np.repeat(np.cumsum(more + 1) - (more + 1), more + 1)
    lengths_ms = (np.exp(rng.normal(np.log(VIEW_MEDIAN_S), VIEW_SIGMA, len(at))) * 1000).astype(np.int64)
    if day.number == CROWD_DAY:
        lengths_ms = _move_to_flash_crowd(rng, first_ms, lengths_ms, number == 0, round(MOST_CONCURRENT * scale))
    begins_ms = first_ms[at] + _after_first_view(rng, lengths_ms, number)
    inside = begins_ms < DAY_MS - CLOSING_MS
    popularity = np.array(list(CHANNEL_POPULARITY.values()), dtype=float)
    return Views(
        peer=peers[at][inside],
        number=number[inside],
        channel=rng.choice(len(popularity), len(at), p=popularity / popularity.sum())[inside],
        begins_ms=(day.begins_ms + begins_ms)[inside],
        ends_ms=np.minimum(day.begins_ms + begins_ms + lengths_ms, END_MS)[inside],
    )


def _peers(day: Day, rng: np.random.Generator) -> Whole:
    """The day's new users, followed by returning users."""
    new = np.arange(day.first_new, day.first_new + day.new)
    return np.concatenate([new, rng.choice(day.first_new, day.returning, replace=False) if day.returning else new[:0]])


def _arrivals(rng: np.random.Generator, peers: int) -> Whole:
    """The start of each peer's first view, in milliseconds of the day."""
    shares = np.array(ARRIVALS_BY_HOUR) / sum(ARRIVALS_BY_HOUR)
    drawn = rng.choice(24, peers, p=shares) * HOUR_MS + rng.integers(0, HOUR_MS, peers)
    # A peer that arrives at the end of the day still belongs to this day.
    in_time: Whole = np.minimum(drawn, DAY_MS - CLOSING_MS - 1)
    return in_time


def _move_to_flash_crowd(
    rng: np.random.Generator, first_ms: Whole, lengths_ms: Whole, firsts: NDArray[np.bool_], wanted: int
) -> Whole:
    """Move first views to the time of the flash crowd, until `wanted` peers watch at once. Returns the lengths: these views are
    longer.
    """
    crowd_arrived_ms = CROWD_AT_MS + 4 * int(CROWD_COMES_S * 1000)
    there = (first_ms <= crowd_arrived_ms) & (first_ms + lengths_ms[firsts] > crowd_arrived_ms)
    others = np.flatnonzero(~there)
    crowd = others[: max(0, min(wanted - int(there.sum()), len(others)))]
    first_ms[crowd] = CROWD_AT_MS + (rng.exponential(CROWD_COMES_S, len(crowd)) * 1000).astype(np.int64)
    longer_ms = lengths_ms.copy()
    rows = np.flatnonzero(firsts)[crowd]
    longer_ms[rows] = np.maximum(lengths_ms[rows], int(CROWD_STAYS_S * 1000))
    return longer_ms


def _after_first_view(rng: np.random.Generator, lengths_ms: Whole, number: Whole) -> Whole:
    """The time from the start of the peer's first view to the start of each view: all views before it, each with a pause."""
    taken = lengths_ms + (rng.exponential(AWAY_S, len(lengths_ms)) * 1000).astype(np.int64)
    before = np.cumsum(taken) - taken
    first = np.flatnonzero(number == 0)
    return before - np.repeat(before[first], np.diff(np.append(first, len(number))))
