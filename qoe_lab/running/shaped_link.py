"""The network of one session. Its access link, to the client, has the planned shape in both directions; no other link is slow.

    server ══ client                              HLS and DASH
    server ── relay-a, relay-b ── home ══ client  the overlay: two ways to the client, so that it has a backup parent

The planned values are read back from the kernel: a session whose link is not as planned must not become data.
"""

import socket
from dataclasses import asdict, dataclass
from typing import Any

from netlab import Lab, Link, Shape, Topology

SERVER, CLIENT, HOME, LINK = "server", "client", "home", "access"
RELAYS = ("relay-a", "relay-b")
RATE_TOLERANCE = 0.001
"""tbf keeps whole bytes per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkShape:
    """The planned shape. `rate_kbps` is the limit; with a trace, the mean."""

    rate_kbps: float
    delay_ms: float
    queue_ms: float
    congestion_control: str


def session_topology(shape: LinkShape, source: str) -> Topology:
    """The nodes and links that a source needs."""
    if source != "overlay":
        return Topology(nodes={SERVER: False, CLIENT: False}, links=(_access(shape, SERVER),))
    nodes = {SERVER: True, **dict.fromkeys(RELAYS, True), HOME: True, CLIENT: False}
    to_relays = [Link(name=f"{SERVER}-{relay}", ends=(SERVER, relay)) for relay in RELAYS]
    from_relays = [Link(name=f"{relay}-{HOME}", ends=(relay, HOME)) for relay in RELAYS]
    return Topology(nodes=nodes, links=(*to_relays, *from_relays, _access(shape, HOME)))


def _access(shape: LinkShape, gateway: str) -> Link:
    # Without the loss, which begins after the probe: TCP is slower than the limit when packets are lost.
    both = Shape(rate_kbps=shape.rate_kbps, delay_ms=shape.delay_ms, queue_ms=shape.queue_ms)
    return Link(name=LINK, ends=(gateway, CLIENT), forth=both, back=both)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """The shape of the link as the kernel reports it."""

    queue_discipline: str
    rate_kbps_to_client: float | None
    rate_kbps_from_client: float | None
    queue_limit: int | None
    """Bytes for tbf, packets for netem."""
    congestion_control: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def difference(self, shape: LinkShape) -> str | None:
        """Where it differs from what was planned; None if it does not."""
        for rate_kbps in (self.rate_kbps_to_client, self.rate_kbps_from_client):
            if rate_kbps is None or abs(rate_kbps - shape.rate_kbps) > RATE_TOLERANCE * shape.rate_kbps:
                return f"the rate is {rate_kbps} kbit/s and not {shape.rate_kbps:g}"
        if self.congestion_control != shape.congestion_control:
            return f"the congestion control is {self.congestion_control} and not {shape.congestion_control}"
        return None


def prepare(lab: Lab, shape: LinkShape, gateway: str = SERVER) -> ReadBack:
    """Set the congestion control of all nodes, and read everything back. OSError if the kernel lacks the congestion control."""
    for node in lab.topology.nodes:
        lab.use_congestion_control(node, shape.congestion_control)
    to_client, from_client = lab.queue(gateway, LINK), lab.queue(CLIENT, LINK)
    return ReadBack(
        queue_discipline=to_client.kind,
        rate_kbps_to_client=to_client.rate_kbps,
        rate_kbps_from_client=from_client.rate_kbps,
        queue_limit=to_client.limit,
        congestion_control=_congestion_control(lab),
    )


def _congestion_control(lab: Lab) -> str:
    """That of a connection from the client, at the server's end."""
    with (
        lab.socket(SERVER, kind=socket.SOCK_STREAM) as listening,
        lab.socket(CLIENT, kind=socket.SOCK_STREAM) as client,
    ):
        listening.bind((lab.address(SERVER), 0))
        listening.listen()
        client.connect(listening.getsockname())
        server, _ = listening.accept()
        with server:
            name = server.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return name.rstrip(b"\0").decode()
