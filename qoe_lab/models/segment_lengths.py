"""What the length of segments, which no packet states, has to do with the other tasks. NumPy only.

Whether a session has stalled is nearly certain once the length of its segments is known, and so is the height of its picture. The
length is not known, but sizes and requests hint at it. So one model infers the length, and another one answers the task for each
length: with what the virtual player of this length shows. The answers are weighed by the probabilities of the lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Floats
from qoe_lab.traffic.segment_hints import HINTS
from qoe_lab.traffic.virtual_playback import SEGMENT_S

LENGTHS = len(SEGMENT_S)
_OF_EACH = ("total_dry_{}s_ms", "total_dry_max_{}s_ms", "virtual_{}s_dry_ms", "virtual_{}s_left_ms")
_SIZES = ("virtual_{}s_before_bytes", "virtual_{}s_shown_bytes", "virtual_{}s_next_bytes")
_KBPS = ("length_before_kbps", "length_shown_kbps", "length_next_kbps")
_HINTS = (
    *(each.name for each in HINTS),
    *(f"total_{kind}_{seconds}s_ms" for kind in ("kept", "free", "dry_max") for seconds in SEGMENT_S),
    "segment_spread",
    "segments",
    # They hint at the player. Each player pauses at another buffer.
    "total_requests",
    "total_chunks",
    "total_chunk_kbps",
    "total_down_kbps",
    "chunk_1_ms",
    "handshake_ms",
    "elapsed_s",
)
"""The features that hint at the length. The sizes themselves are not among them: from sizes, a model would recognise the
contents that it was fitted to, and be sure of wrong lengths for others."""
OF_LENGTH = ("length_s", *(f"length_{each}" for each in ("total_dry_ms", "total_dry_max_ms", "dry_ms", "left_ms")), *_KBPS)
"""The names of the values that `LengthColumns.with_length` appends to the features of the task, in order."""


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

    def with_length(self, x: Floats, numbers: NDArray[np.int64]) -> Floats:
        """The features, if the segments have the lengths with these numbers."""
        seconds = np.array(SEGMENT_S, dtype=np.float64)[numbers][:, None]
        values = np.take_along_axis(x, self.players[numbers], axis=1)
        kbps = values[:, len(_OF_EACH) :] * 8 / 1000 / seconds
        return np.column_stack([x, seconds, values[:, : len(_OF_EACH)], kbps])


def segment_number(segment_s: float) -> float:
    """The number of the length in SEGMENT_S; NaN for another one, or if it is not known."""
    return float(SEGMENT_S.index(int(segment_s))) if segment_s in SEGMENT_S else np.nan
