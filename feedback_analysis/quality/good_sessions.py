"""Share of good sessions: a session is good if it started within a limit, and stalled for at most a limited share of its time.

Source: Conviva's Streaming Performance Index also counts sessions that meet every threshold. The thresholds are ours: 4 s, because
many viewers leave after a longer wait, and 2 %. A field that a session has not sent does not make it bad.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feedback_analysis.quality.model import check_coefficients, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodSessions:
    """Per session: 1 or 0 by its last message; NULL while it is not known whether the session starts."""

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
    """The largest share of time stalled in the time stalled and played."""

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
