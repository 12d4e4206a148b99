"""Share of good sessions: a session is good if it started, soon enough, and stalled for a small enough share of its time.

Source: the idea of counting sessions that meet every threshold, as in Conviva's Streaming Performance Index; the thresholds are
ours (4 s, the wait from which viewers leave in numbers, and 2 %). What a session has not said is not held against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feedback_analysis.quality.model import check_coefficients, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodSessions:
    """Per session: 1 or 0 by its last message; none for a session of which it is not known yet whether it starts."""

    name: ClassVar[str] = "good_sessions"
    inputs: ClassVar[Mapping[str, str]] = {
        "waited_ms": "startup_ms",
        "stalled_ms": "stall_ms",
        "played_ms": "played_ms",
        "left_it": "event = 'leave'",
    }
    columns: ClassVar[frozenset[str]] = frozenset({"startup_ms", "stall_ms", "played_ms", "event"})

    startup_s: float = 4.0
    """The longest startup of a good session, in seconds."""
    stalled: float = 0.02
    """The largest share of stalling in its time, of stalling and playing."""

    def __post_init__(self) -> None:
        check_coefficients(self)

    def terms(self) -> dict[str, str]:
        gone = "(waited_ms IS NULL AND left_it AND coalesce(played_ms = 0, false))"
        late = f"coalesce(waited_ms > {literal(self.startup_s)} * 1000, false)"
        stalled = f"coalesce(stalled_ms > {literal(self.stalled)} * (stalled_ms + played_ms), false)"
        known = f"(waited_ms IS NOT NULL OR coalesce(played_ms > 0, false) OR {gone})"
        return {
            "all_good": f"CASE WHEN {known} THEN 1 END",
            "never_started": f"CASE WHEN {gone} THEN -1 ELSE 0 END",
            "late": f"CASE WHEN {late} THEN -1 ELSE 0 END",
            "stalled": f"CASE WHEN {stalled} AND NOT {late} AND NOT {gone} THEN -1 ELSE 0 END",
        }
