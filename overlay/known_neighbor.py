"""What a node knows about a neighbour."""

import asyncio
from dataclasses import dataclass, field

from overlay.control import ControlConnection
from overlay.heartbeat import Heartbeat
from overlay.link_measure import LinkMeasure
from overlay.messages import LinkState, Neighbor


def address_of(contact: Neighbor) -> tuple[str, int, int]:
    """Host and ports: they change when the neighbour is started again."""
    return contact.host, contact.tcp_port, contact.udp_port


@dataclass(slots=True)
class KnownNeighbor:
    """Its address and key, the connection to it, and what is measured of its link."""

    contact: Neighbor
    key: bytes = field(repr=False)
    listed: bool = True
    """Whether the latest SPEERS names it."""
    unlisted_s: float = 0.0
    """The monotonic time of the first SPEERS without it. It has no meaning while the neighbour is listed."""
    connection: ControlConnection | None = None
    heartbeat: Heartbeat = field(default_factory=Heartbeat)
    media_sent_s: float = 0.0
    """When the last media packet was sent to it."""
    dropped: int = 0
    """Packets to it that its full queue has refused."""
    reported: LinkState | None = None
    """The state of the link that was last sent to the bootstrapper."""
    measure: LinkMeasure = field(default_factory=LinkMeasure)
    connecting: asyncio.Task[None] | None = None

    @property
    def uses_tcp(self) -> bool:
        """Whether the topology makes the link use TCP, for media and for all else."""
        return self.contact.transport == "tcp"
