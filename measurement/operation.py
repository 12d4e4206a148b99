"""One measurement of one destination by one agent with one technique, as the master plans it and an agent executes it."""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Parameter: TypeAlias = str | int | float | bool


class Technique(StrEnum):
    """How to measure. The first five are those of Emodis, Table 1."""

    PING = "PING"
    TRACEROUTE = "TRACEROUTE"
    IGI = "IGI"
    PATHNECK = "PATHNECK"
    BROUTE = "BROUTE"
    DNS = "DNS"
    HTTP = "HTTP"
    SIP_OPTIONS = "SIP_OPTIONS"
    SIP_INVITE = "SIP_INVITE"
    RTP = "RTP"
    UDP_SEND = "UDP_SEND"
    TCP_SEND = "TCP_SEND"
    THROUGHPUT = "THROUGHPUT"
    RESPONSIVENESS = "RESPONSIVENESS"


TRAIN_TECHNIQUES = frozenset(
    {
        Technique.IGI,
        Technique.PATHNECK,
        Technique.BROUTE,
        Technique.RTP,
        Technique.THROUGHPUT,
        Technique.RESPONSIVENESS,
    }
)
"""They load the path: they need the agent and the destination for themselves, and the destination's consent."""


class Destination(Struct, frozen=True, kw_only=True):
    """What is measured. The master resolves the name once; agents send to `address` only."""

    name: Name
    """As the requester wrote it: a host name or an address."""
    address: Name
    """One IPv4 or IPv6 address. Locks and budgets are kept for each address."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0: the usual port of the technique."""

    @property
    def host(self) -> str:
        """The host in `name`, which may be HOST, HOST:PORT, [IPV6]:PORT or IPV6."""
        if self.name.startswith("["):
            return self.name[1:].partition("]")[0]
        host, _, port = self.name.rpartition(":")
        return host if host and ":" not in host and port.isdigit() else self.name


class Operation(Struct, frozen=True, kw_only=True):
    """One measurement, from the master to an agent."""

    operation_id: Name
    request_id: Name
    technique: Technique
    destination: Destination
    parameters: dict[Name, Parameter] = {}
    """Of the technique, such as `count` or `url`; each technique documents and checks its own."""
    time_limit_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """After this time the agent ends the operation with the status `timeout_agent`."""
