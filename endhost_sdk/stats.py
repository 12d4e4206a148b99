"""Counts of messages. Each message is counted: while no request is in progress,
`built == sent + refused + forgotten + buffered`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The counts of one `Telemetry` in this process. All counts except `buffered` only grow."""

    built: int = 0
    """Built messages."""
    sent: int = 0
    """Of these, messages that a coordinator accepted: they are on disk, or its sampling left them out."""
    refused: int = 0
    """Of these, messages that a coordinator refused permanently. They are not sent again."""
    refused_for: Mapping[str, int] = field(default_factory=dict)
    """The refused messages by the coordinator's reason."""
    forgotten: int = 0
    """Of these, messages that were dropped because the buffer was full, the oldest first."""
    buffered: int = 0
    """Of these, messages that wait to be sent."""
    failed_attempts: int = 0
    """Requests that failed. Their messages stay in the buffer."""
    last_failure: str = ""
    """The reason of the last failure or refusal."""
    values_dropped: int = 0
    """Values that fit no field and were left out."""
    values_clipped: int = 0
    """Values that were shortened or reduced to fit their field."""
    calls_ignored: int = 0
    """Calls on a session that had ended, and repeated calls of `started()`."""
    first_misfit: str = ""
    """A description of the first of these three."""


# A coordinator has about ten reasons. The limit protects memory from other texts, for example of a proxy.
_REASONS = 50


@dataclass(slots=True)
class SenderCounts:
    """The counts of the sender. Only its thread writes them."""

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
