"""One operation that has ended, as the master records it and shows it to the client."""

from typing import Annotated

from msgspec import Meta, Struct

from measurement.operation import Destination, Name, Technique
from measurement.outcome import Outcome


class FinishedOperation(Struct, frozen=True, kw_only=True):
    """Each planned operation becomes exactly one of these."""

    request_id: Name
    requester: Name
    """The name of the key that requested it."""
    round: Annotated[int, Meta(ge=0)]
    agent: Name
    agent_address: str = ""
    """As the master sees it; empty if the agent is not known any more."""
    tags: dict[str, str] = {}
    """Of the agent."""
    technique: Technique
    destination: Destination
    outcome: Outcome
    recorded_ms: Annotated[int, Meta(ge=0)]
    """The master's clock, Unix time."""
