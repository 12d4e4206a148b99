"""One operation that has ended, as the master records it and shows it to the client."""

from typing import Annotated

from msgspec import Meta, Struct

from measurement.operation import Destination, Name, Technique
from measurement.outcome import Outcome


class FinishedOperation(Struct, frozen=True, kw_only=True):
    """A planned operation that has ended. Each one has exactly one such record."""

    request_id: Name
    requester: Name
    """The name of the key of its requester."""
    round: Annotated[int, Meta(ge=0)]
    agent: Name
    agent_address: str = ""
    """The agent's address, as the master sees it; empty if the agent is no longer known."""
    tags: dict[str, str] = {}
    """The tags of the agent."""
    technique: Technique
    destination: Destination
    outcome: Outcome
    recorded_ms: Annotated[int, Meta(ge=0)]
    """The master's clock, Unix time."""
