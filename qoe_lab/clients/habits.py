"""How a player of the lab behaves. Pure: the id of a session decides, so repeating a session repeats the behaviour.

If all players adapted in the same way, the limit of the link alone would decide whether a session stalls, and a classifier would
only learn the limit. Real viewers differ: some players are careful, some keep little in the buffer, and some viewers choose a
quality by hand, which their link may not carry.
"""

import zlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """`chosen`: the representation that the viewer chose, counted from the lowest; None: the player adapts."""

    name: str
    chosen: int | None = None
    share: float = 0.85
    """The part of the measured throughput that the rate may take."""
    share_of_low_buffer: float = 0.6
    low_buffer_s: float = 4.0
    measured_segments: int = 4
    """How many segments the throughput is the mean of."""
    most_buffered_s: float = 14.0
    enough_s: float = 1.0
    """Media in the buffer with which playback starts, and continues after a stall."""


USUAL = Habits(name="usual")
CAREFUL = Habits(name="careful", share=0.7, share_of_low_buffer=0.5, low_buffer_s=6.0, measured_segments=6)
LIVE = Habits(
    name="live", share=1.0, share_of_low_buffer=0.9, low_buffer_s=2.0, measured_segments=2, most_buffered_s=5.0, enough_s=0.5
)

ALL = (
    USUAL,
    USUAL,
    CAREFUL,
    LIVE,
    *(Habits(name=f"chosen quality {number}", chosen=number) for number in (1, 2, 3, 4)),
)
"""Each is equally probable."""


def habits_of(session_id: str) -> Habits:
    """The habits of the player of a session."""
    return ALL[zlib.crc32(session_id.encode()) % len(ALL)]
