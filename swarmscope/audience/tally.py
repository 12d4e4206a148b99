"""What became of the audience's messages: acknowledged, refused, or waiting; what still waits at the end was never acknowledged."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts of one simulation, all in one thread."""

    watching: int = 0
    """End hosts with an open session."""
    built: int = 0
    acknowledged: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that a coordinator will never take, by its reason."""
    failed_attempts: int = 0
    """Requests that brought no final answer; their messages are sent again."""
    last_failure: str = ""

    @property
    def waiting(self) -> int:
        return self.built - self.acknowledged - self.refused.total()
