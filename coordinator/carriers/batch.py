"""Batches: the messages of several requests are sent together, and each request is informed how its batch ended."""

import secrets
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

PART_BYTES = 256 * 1024
"""A larger request is cut into several parts, so that every part fits into a batch."""


class Outcome(Enum):
    """How a batch ended; the first two are durable."""

    STORED = "stored"
    SPOOLED = "spooled"
    SPOOL_FULL = "spool_full"
    NO_SERVER = "no_feedback_server"
    REJECTED = "rejected_by_feedback_server"
    BLOCKED = "batch_blocked"

    def __init__(self, reason: str) -> None:
        self.durable = reason in ("stored", "spooled")


class Waiter(Protocol):
    """Is informed of the outcome of messages; called once for every part."""

    def settled(self, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class Batch:
    """Whole lines under one id. A batch that is sent again keeps its id, so a feedback server stores it once."""

    lines: bytes
    messages: int
    waiters: list[Waiter]
    place_until_s: float
    """Until this loop time other feedback servers are tried; after it the batch goes to the spool."""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    from_spool: bool = False
    """It is counted already, and stays in the spool until it is stored."""
    blocked: bool = False
    """Several servers failed with this batch. A server that fails with it stays in use, as it may store others."""
    failures: int = 0
    """How often a feedback server was tried and did not store it."""
    foreign_answers: int = 0
    """How many of these failures were answers of something in front of the feedback server."""

    @property
    def is_suspect(self) -> bool:
        """Whether something on every tried path refused this batch, which holds the messages of one request only.

        A batch of several requests does not show which of them is the cause.
        """
        return 0 < self.failures == self.foreign_answers and len(self.waiters) == 1

    def refusal(self, obstacle: Outcome) -> Outcome:
        """The outcome if `obstacle` keeps this batch from becoming durable: BLOCKED if the batch itself is the likely cause."""
        return Outcome.BLOCKED if self.is_suspect else obstacle


class CarrierFailed(Exception):  # noqa: N818 — read as a statement
    """The batch did not become durable here; another carrier may take it."""

    def __init__(self, why: str, retry_after_s: float = 0, *, foreign_answer: bool = False) -> None:
        """`foreign_answer`: something in front of the feedback server has answered, such as a proxy."""
        super().__init__(why)
        self.retry_after_s = retry_after_s
        self.foreign_answer = foreign_answer


class BatchRejected(Exception):  # noqa: N818 — read as a statement
    """The batch itself is bad: no other carrier would take it either."""


class SpoolFull(Exception):  # noqa: N818 — read as a statement
    """The spool has reached its maximum size."""


class Carrier(Protocol):
    """Makes batches durable: a feedback server over HTTP, or the spool."""

    outcome: Outcome

    async def carry(self, batch: Batch) -> None:
        """Return when the batch is durable. CarrierFailed, BatchRejected or SpoolFull if it is not."""
