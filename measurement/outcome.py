"""How an operation ended: one status, and what was measured. An outcome is never empty: without values it has a reason."""

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

Text: TypeAlias = Annotated[str, Meta(max_length=1024)]


class Status(StrEnum):
    """How an operation ended: each operation has one status."""

    OK = "ok"
    PARTIAL = "partial"
    """Some samples are missing, such as 3 of 10 replies, or a route has silent hops."""
    TIMEOUT_TARGET = "timeout_target"
    """The destination did not answer."""
    TIMEOUT_AGENT = "timeout_agent"
    """The agent did not finish within the operation's time limit."""
    AGENT_LOST = "agent_lost"
    """The agent disappeared while it measured."""
    UNREACHABLE = "unreachable"
    """The network or the destination answered that the destination cannot be reached."""
    REFUSED = "refused"
    """The destination or the master refused the operation; the reason names the rule."""
    RATE_LIMITED = "rate_limited"
    INVALID_TRAIN = "invalid_train"
    """The agent could not send or receive packet trains with the gaps that the technique needs."""
    CANCELLED = "cancelled"
    MISSED = "missed"
    """The round's time passed before the operation could start."""
    EXPIRED = "expired"
    """The lease ended before the outcome arrived."""
    NEEDS_CAP_NET_RAW = "needs_cap_net_raw"


class Value(Struct, frozen=True, kw_only=True):
    """One measured number, with everything that is needed to understand it."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}$")]
    """It ends with the unit, if the value has one: `rtt_median_ms`, `capacity_kbps`, `loss_ratio`."""
    value: float | None
    """None: not known. A lost packet has no delay, so a mean over lost packets only is None, never 0."""
    method: Text = ""
    """How it was computed, such as `direct` or `RFC 3550 A.8`; empty if the name is sufficient."""


class Hop(Struct, frozen=True, kw_only=True):
    """One router on the path, in the order of the path. A silent hop has no address."""

    ttl: Annotated[int, Meta(ge=1, le=255)]
    address: Text | None = None
    rtt_ms: float | None = None
    """The smallest round trip of the hop's replies."""
    name: Text | None = None
    """The name in DNS, if the request asked for names."""
    as_number: int | None = None
    """The autonomous system of the address, where the agent has a table of them."""
    icmp_type: int | None = None
    icmp_code: int | None = None
    """What the hop answered: 11 and 0 are the usual `time exceeded`, for IPv6 3 and 0."""
    mpls_labels: Text | None = None
    """The MPLS labels with which the probe reached the router, the outermost first, such as `24001 16` (RFC 4950)."""
    sent: Annotated[int, Meta(ge=0)] = 0
    answered: Annotated[int, Meta(ge=0)] = 0
    gap_us: float | None = None
    """PATHNECK: the gap of the packet train at this hop, smoothed."""
    bandwidth_kbps: float | None = None
    """PATHNECK: a bound of the bandwidth up to this hop."""
    bound: Annotated[str, Meta(pattern="^(upper|lower|unknown|)$")] = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """How one operation ended, from an agent to the master."""

    operation_id: Annotated[str, Meta(min_length=1, max_length=128)]
    status: Status
    reason: Text = ""
    """The reason for people. Only the status `ok` may lack it."""
    started_ms: Annotated[int, Meta(ge=0)]
    """The agent's clock at the first packet, Unix time."""
    duration_ms: Annotated[float, Meta(ge=0)]
    values: list[Value] = []
    hops: list[Hop] = []
    quality: Annotated[str, Meta(pattern="^(good|degraded|)$")] = ""
    """`degraded`: the numbers are usable with care; the reason states why."""
