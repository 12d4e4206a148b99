"""Counts of the audience's messages: acknowledged, refused or waiting. At the end, waiting messages are unacknowledged."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class MessageCounts:
    """The counts of one simulation. Used in one thread only."""

    watching: int = 0
    """End hosts with an open session."""
    built: int = 0
    acknowledged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that a coordinator refused permanently, by reason."""
    failed_attempts: int = 0
    """Requests without a final answer; their messages are sent again."""
    last_failure: str = ""

    @property
    def waiting(self) -> int:
        return self.built - self.acknowledged - self.refused.total()
