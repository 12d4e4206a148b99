"""What became of the messages. None is lost without a count: whenever nothing is on its way,
`built == sent + refused + forgotten + buffered`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A look at one Telemetry in this process; all but `buffered` only grow."""

    built: int = 0
    """Messages that were built."""
    sent: int = 0
    """Of those: accepted by a coordinator, which means on disk."""
    refused: int = 0
    """Of those: refused by a coordinator for good, and not sent again."""
    refused_for: Mapping[str, int] = field(default_factory=dict)
    """The refused ones by the coordinator's reason."""
    forgotten: int = 0
    """Of those: given up, oldest first, because the buffer was full."""
    buffered: int = 0
    """Of those: waiting to be sent."""
    failed_attempts: int = 0
    """Requests that no coordinator took for now; their messages were kept."""
    last_failure: str = ""
    """Why the last request failed or was refused."""
    values_dropped: int = 0
    """Values that no field can hold, left out of their messages."""
    values_clipped: int = 0
    """Values cut down to what their field can hold."""
    calls_ignored: int = 0
    """Calls on a session that had ended, or a second `started()`."""
    first_misfit: str = ""
    """What the first of those three was."""


# A coordinator has some ten reasons; whatever else stands on the way must not fill our memory with its texts.
_REASONS = 50


@dataclass(slots=True)
class Tally:
    """The sender's own counts; only its thread writes them."""

    built: int = 0
    sent: int = 0
    refused: int = 0
    failed_attempts: int = 0
    last_failure: str = ""
    refused_for: Counter[str] = field(default_factory=Counter)

    def fail(self, why: str) -> None:
        self.failed_attempts += 1
        self.last_failure = why

    def refuse(self, reason: str, messages: int) -> None:
        self.refused += messages
        known = reason in self.refused_for or len(self.refused_for) < _REASONS
        self.refused_for[reason if known else "other"] += messages
