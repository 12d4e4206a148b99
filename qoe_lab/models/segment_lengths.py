"""Infers how long the segments of a session are, and what the virtual players with this length show. NumPy only.

Whether a session has stalled is nearly certain once the length of its segments is known, and so is the height of its picture. No
packet states the length, but sizes and requests hint at it. So a first model infers the length, and its probabilities weigh the
virtual players. These likely values are further features of the model of the task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Floats
from qoe_lab.traffic.segment_hints import HINTS
from qoe_lab.traffic.virtual_playback import SEGMENT_S

LENGTHS = len(SEGMENT_S)
LEAST_STALL_MS = 40.0
"""A shorter interruption is no stall in the labels."""
_OF_EACH = ("total_dry_{}s_ms", "total_dry_max_{}s_ms", "virtual_{}s_dry_ms", "virtual_{}s_left_ms")
_SIZES = ("virtual_{}s_before_bytes", "virtual_{}s_shown_bytes", "virtual_{}s_next_bytes")
_HINTS = (  # the last ones say what player it may be, of which each pauses at another buffer
    *(each.name for each in HINTS),
    *(f"total_{kind}_{seconds}s_ms" for kind in ("kept", "free", "dry_max") for seconds in SEGMENT_S),
    "segment_median_bytes",
    "segment_least_bytes",
    "segment_most_bytes",
    "segment_first_bytes",
    "segment_spread",
    "segments",
    "past_chunk_1_bytes",
    "past_chunk_2_bytes",
    "past_chunk_3_bytes",
    "total_requests",
    "total_chunks",
    "total_chunk_kbps",
    "total_down_kbps",
    "chunk_1_ms",
    "handshake_ms",
    "elapsed_s",
)
LIKELY_NAMES = (
    *(f"length_{seconds}s" for seconds in SEGMENT_S),
    "expected_dry",
    *(f"expected_{each}" for each in ("total_dry_ms", "total_dry_max_ms", "dry_ms", "left_ms")),
    *(f"likely_{each}" for each in ("total_dry_ms", "total_dry_max_ms", "dry_ms", "left_ms")),
    *(f"likely_{each}_kbps" for each in ("before", "shown", "next")),
)
"""Of the values of `LengthColumns.likely`, in order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LengthColumns:
    """Where the hints and the values of the virtual players are among the features of a task."""

    hints: NDArray[np.int64]
    players: NDArray[np.int64]
    """A row per length, a column per value."""

    @classmethod
    def of(cls, names: Sequence[str]) -> "LengthColumns | None":
        """None if the features do not have all of them."""
        places = {name: place for place, name in enumerate(names)}
        of_players = [[each.format(seconds) for each in (*_OF_EACH, *_SIZES)] for seconds in SEGMENT_S]
        if any(name not in places for name in (*_HINTS, *(name for row in of_players for name in row))):
            return None
        return cls(
            hints=np.array([places[name] for name in _HINTS], dtype=np.int64),
            players=np.array([[places[name] for name in row] for row in of_players], dtype=np.int64),
        )

    def check(self, features: int) -> None:
        """ValueError if they are no columns of so many features."""
        if self.hints.shape != (len(_HINTS),) or self.players.shape != (LENGTHS, len(_OF_EACH) + len(_SIZES)):
            raise ValueError("lengths: the columns have another shape")
        for columns in (self.hints, self.players):
            if (columns < 0).any() or (columns >= features).any():
                raise ValueError(f"lengths: a column does not exist; there are {features}")

    def likely(self, x: Floats, probabilities: Floats) -> Floats:
        """The probability of each length, what the virtual players say on average, and what that of the likeliest length says."""
        values = x[:, self.players]
        rows, best = np.arange(len(x)), probabilities.argmax(axis=1)
        kbps = values[:, :, len(_OF_EACH) :] * 8 / 1000 / np.array(SEGMENT_S)[None, :, None]
        of_each = values[:, :, : len(_OF_EACH)]
        stalled = np.where(of_each[:, :, 1] >= LEAST_STALL_MS, 1.0, 0.0)
        expected = [(probabilities * np.nan_to_num(each)).sum(axis=1) for each in (stalled, *np.moveaxis(of_each, 2, 0))]
        return np.column_stack([probabilities, *expected, of_each[rows, best], kbps[rows, best]])


def segment_number(segment_s: float) -> float:
    """The number of the length in SEGMENT_S; NaN for another one, or if it is not known."""
    return float(SEGMENT_S.index(int(segment_s))) if segment_s in SEGMENT_S else np.nan


def parts_of_sessions(sessions: NDArray[Any], lengths: Floats, parts: int, seed: int) -> NDArray[np.int64]:
    """The part of each example. All examples of a session are in one part, and each part has each length."""
    ids, first, place = np.unique(sessions, return_index=True, return_inverse=True)
    order = np.random.default_rng(seed).permutation(len(ids))
    order = order[np.argsort(lengths[first][order], kind="stable")]
    part = np.empty(len(ids), dtype=np.int64)
    part[order] = np.arange(len(ids)) % parts
    return part[place]
