"""What travels together: parts gathered from requests become a batch, and every part is told how the batch ended."""

import secrets
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

PART_BYTES = 256 * 1024
"""A larger request is cut into several parts, so that a batch stays within BATCH_WIRE_BYTES."""


class Outcome(Enum):
    """How a batch ended; the first two are durable."""

    STORED = "stored"
    SPOOLED = "spooled"
    SPOOL_FULL = "spool_full"
    NO_SERVER = "no_feedback_server"
    REJECTED = "rejected_by_feedback_server"

    def __init__(self, reason: str) -> None:
        self.durable = reason in ("stored", "spooled")


class Waiter(Protocol):
    """Someone who wants to know; called once for every part."""

    def settled(self, outcome: Outcome) -> None: ...


@dataclass(slots=True)
class Batch:
    """Whole lines under one name; sent again under the same name, they are stored once."""

    lines: bytes
    messages: int
    waiters: list[Waiter]
    place_until_s: float
    """When it stops looking for a feedback server (loop time); after that it goes to the spool."""
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    from_spool: bool = False
    """Counted already, and durable whatever happens to it now."""
    blocked: bool = False
    """No server has stored it so far, while others were stored perhaps: a server that fails with this one stays in use."""
    failures: int = 0
    """How often a feedback server was tried and did not store it."""


class CarrierFailed(Exception):  # noqa: N818 — read as a statement
    """The batch did not become durable here; another carrier may take it."""

    def __init__(self, why: str, retry_after_s: float = 0) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class BatchRejected(Exception):  # noqa: N818 — read as a statement
    """The batch itself was refused: no other carrier would take it either."""


class SpoolFull(Exception):  # noqa: N818 — read as a statement
    """The spool has reached its limit."""


class Carrier(Protocol):
    """Something that makes batches durable: a feedback server over its link, or the spool."""

    outcome: Outcome

    async def carry(self, batch: Batch) -> None:
        """Return when the batch is durable; CarrierFailed, BatchRejected or SpoolFull if it is not."""
