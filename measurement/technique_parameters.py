"""The parameters of each technique, with their defaults and limits, and what an operation with them costs at most.

Pure: the master checks a request and computes a dry run with this module, the agent checks each operation with it again.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from measurement.operation import Operation, Technique

IPV6_UDP_HEADERS = 48
"""Costs are upper bounds, so they count the larger one of the two IP headers."""
MOST_TRAINS, MOST_TRAIN_SECONDS, MOST_TRAIN_BYTES = 240, 20.0, 5_000_000
"""The most that one IGI operation sends."""

TimeoutMs: TypeAlias = Annotated[int, Meta(ge=50, le=10_000)]
Token: TypeAlias = Annotated[str, Meta(min_length=8, max_length=256, pattern="^[!-~]+$")]


class ParameterError(ValueError):
    """A parameter is unknown or has a wrong value; the text states what is allowed."""


class Cost(Struct, frozen=True, kw_only=True):
    """The most that an operation sends and how long it takes at most. Answers of the destination are not counted, except for
    techniques whose destination sends as much as the agent.
    """

    packets: int
    size_bytes: int
    """The size with the headers of IP and of the transport."""
    seconds: float


class _Parameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    def cost(self) -> Cost:
        """The most that an operation with these parameters costs."""
        raise NotImplementedError


class PingParameters(_Parameters, frozen=True, kw_only=True):
    """PING: round trips of ICMP echo packets."""

    count: Annotated[int, Meta(ge=1, le=1000)] = 10
    interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 200
    """Between two packets. The agent adds up to 10 % at random, so that it does not follow a rhythm of the network."""
    payload_bytes: Annotated[int, Meta(ge=16, le=1400)] = 56
    timeout_ms: TimeoutMs = 2000
    """A later answer counts as lost."""

    def cost(self) -> Cost:
        """Each packet, and after the last one the timeout."""
        size = self.count * (self.payload_bytes + IPV6_UDP_HEADERS)
        return Cost(packets=self.count, size_bytes=size, seconds=self.count * self.interval_ms * 1.1e-3 + self.timeout_ms / 1e3)


class TracerouteParameters(_Parameters, frozen=True, kw_only=True):
    """TRACEROUTE: the routers on the path, by UDP packets with a limited time to live (TTL)."""

    mode: Literal["paris", "classic", "multipath"] = "paris"
    """`paris` keeps the flow constant, so a load balancer sends all probes over one path. `classic` changes the port with each
    probe. `multipath` varies the flow on purpose until all routers of each TTL are found with 95 % confidence.
    """
    max_ttl: Annotated[int, Meta(ge=1, le=64)] = 30
    attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    """Probes for each TTL, except in the mode `multipath`."""
    window: Annotated[int, Meta(ge=1, le=16)] = 5
    """TTLs that are probed at the same time."""
    gap_limit: Annotated[int, Meta(ge=1, le=30)] = 5
    """The trace ends after this many silent TTLs in a row."""
    timeout_ms: TimeoutMs = 1000
    names: bool = False
    """Look up the DNS names of the routers."""

    def cost(self) -> Cost:
        """As if every TTL were silent until the last one; with `multipath`, up to 57 probes for each TTL."""
        each = MOST_FLOWS if self.mode == "multipath" else self.attempts
        rounds = each * -(-self.max_ttl // (1 if self.mode == "multipath" else self.window))
        packets = self.max_ttl * each
        size = packets * (TRACE_BYTES + IPV6_UDP_HEADERS)
        return Cost(packets=packets, size_bytes=size, seconds=rounds * self.timeout_ms / 1e3 + 3)


MOST_FLOWS = 57
"""Enough to find ten routers of one TTL."""
TRACE_BYTES = 32


class IgiParameters(_Parameters, frozen=True, kw_only=True):
    """IGI: the capacity of the path and the bandwidth available on it, by packet trains to a responder."""

    token: Token = ""
    """The token of the responder at the destination: its consent."""
    packets: Annotated[int, Meta(ge=16, le=256)] = 60
    packet_bytes: Annotated[int, Meta(ge=100, le=1472)] = 500
    """Payload. The agent uses 1472 on paths that are too fast for smaller packets."""
    trains: Annotated[int, Meta(ge=1, le=20)] = 3
    """The number of trains with each gap."""
    tolerance: Annotated[float, Meta(ge=0.01, le=0.5)] = 0.05
    """Gaps that differ by at most this share count as equal."""

    def cost(self) -> Cost:
        """The limits at which a search ends."""
        packets = min(MOST_TRAINS * self.packets, MOST_TRAIN_BYTES // self.packet_bytes)
        return Cost(packets=packets, size_bytes=MOST_TRAIN_BYTES + packets * IPV6_UDP_HEADERS, seconds=MOST_TRAIN_SECONDS + 5)


class PathneckParameters(_Parameters, frozen=True, kw_only=True):
    """PATHNECK: where the bottleneck of the path is, by recursive packet trains. Needs CAP_NET_RAW, and IPv4."""

    token: Token = ""
    trains: Annotated[int, Meta(ge=1, le=20)] = 10
    load_packets: Annotated[int, Meta(ge=20, le=100)] = 60
    load_bytes: Annotated[int, Meta(ge=200, le=1500)] = 500
    """The size of each load packet with its headers."""
    max_ttl: Annotated[int, Meta(ge=4, le=30)] = 30
    timeout_ms: TimeoutMs = 2000

    def cost(self) -> Cost:
        """Trains, the pause before each, and the longest wait for the answers."""
        packets = self.trains * (2 * self.max_ttl + self.load_packets)
        size = self.trains * (2 * self.max_ttl * 60 + self.load_packets * self.load_bytes)
        return Cost(packets=packets, size_bytes=size, seconds=self.trains * (0.3 + self.timeout_ms / 1e3 + 0.5) + 3)


class BrouteParameters(PathneckParameters, frozen=True, kw_only=True):
    """BROUTE: the bandwidth of the branch of a route next to the destination: PATHNECK, a traceroute, and a table of ASes."""

    edge_hops: Annotated[int, Meta(ge=1, le=30)] = 9
    """How many of the last hops belong to the branch."""

    def cost(self) -> Cost:
        """PATHNECK and a traceroute."""
        trains, trace = super().cost(), TracerouteParameters(max_ttl=self.max_ttl).cost()
        return Cost(
            packets=trains.packets + trace.packets,
            size_bytes=trains.size_bytes + trace.size_bytes,
            seconds=trains.seconds + trace.seconds,
        )


class DnsParameters(_Parameters, frozen=True, kw_only=True):
    """DNS: a query to the destination."""

    name: Annotated[str, Meta(min_length=1, max_length=253)]
    type: Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "HTTPS"] = "A"
    protocol: Literal["auto", "udp", "tcp"] = "auto"
    """`auto`: UDP, then TCP if the answer is truncated."""
    attempts: Annotated[int, Meta(ge=1, le=5)] = 2
    timeout_ms: TimeoutMs = 2000

    def cost(self) -> Cost:
        """Every attempt times out, and then TCP does."""
        packets = self.attempts + 8
        return Cost(packets=packets, size_bytes=packets * 400, seconds=(self.attempts + 2) * self.timeout_ms / 1e3)


class HttpParameters(_Parameters, frozen=True, kw_only=True):
    """HTTP: the phases of a GET request."""

    scheme: Literal["http", "https"] = "http"
    path: Annotated[str, Meta(pattern="^/[!-~]*$", max_length=1024)] = "/"
    most_bytes: Annotated[int, Meta(ge=0, le=10_000_000)] = 1_000_000
    """The most bytes of the body that the agent reads."""
    redirects: Annotated[int, Meta(ge=0, le=10)] = 3
    """The most redirects that the agent follows, on the same host, scheme and port only."""
    lookup: bool = True
    """Measure how long the agent's resolver needs for the name of the destination."""
    timeout_ms: Annotated[int, Meta(ge=50, le=60_000)] = 10_000
    """For the whole request, with its redirects."""

    def cost(self) -> Cost:
        """The bodies of all redirects are read too."""
        size = (self.redirects + 1) * (self.most_bytes + 20_000)
        return Cost(packets=size // 1000 + 20, size_bytes=size, seconds=self.timeout_ms / 1e3 + 1)


class SipParameters(_Parameters, frozen=True, kw_only=True):
    """SIP_OPTIONS and SIP_INVITE: whether a SIP server answers, and how fast."""

    uri: Annotated[str, Meta(pattern="^(sips?:[!-;=?-~]+)?$", max_length=256)] = ""
    """Empty: `sip:` and the name of the destination."""
    transport: Literal["udp", "tcp"] = "udp"
    timeout_ms: Annotated[int, Meta(ge=500, le=32_000)] = 5000

    def cost(self) -> Cost:
        """A request and its repetitions, and for INVITE the clean-up."""
        packets = 2 * (2 + self.timeout_ms // 500)
        return Cost(packets=packets, size_bytes=packets * 700, seconds=2 * self.timeout_ms / 1e3 + 2)


class RtpParameters(_Parameters, frozen=True, kw_only=True):
    """RTP: jitter and loss of a simulated call in both directions, against the reflector of a responder."""

    token: Token = ""
    packets: Annotated[int, Meta(ge=10, le=15_000)] = 250
    """50 packets of 160 bytes per second, like a call with the codec G.711."""

    def cost(self) -> Cost:
        """The packets of both directions."""
        return Cost(
            packets=2 * self.packets, size_bytes=2 * self.packets * (172 + IPV6_UDP_HEADERS), seconds=self.packets * 0.02 + 5
        )


class SendParameters(_Parameters, frozen=True, kw_only=True):
    """UDP_SEND and TCP_SEND: send data and wait for an answer."""

    text: Annotated[str, Meta(max_length=1400)] = ""
    hex: Annotated[str, Meta(pattern="^([0-9a-fA-F]{2})*$", max_length=2800)] = ""
    """Data as hexadecimal digits, instead of `text`."""
    count: Annotated[int, Meta(ge=1, le=100)] = 1
    """UDP_SEND: how often, 100 ms apart."""
    wait_ms: Annotated[int, Meta(ge=0, le=10_000)] = 1000
    """For an answer; 0: send only."""

    def data(self) -> bytes:
        """What is sent."""
        return bytes.fromhex(self.hex) if self.hex else self.text.encode()

    def cost(self) -> Cost:
        """Each datagram, or a connection."""
        size = self.count * (len(self.data()) + IPV6_UDP_HEADERS) + 400
        return Cost(packets=self.count + 6, size_bytes=size, seconds=self.count * 0.1 + 2 * self.wait_ms / 1e3 + 2)


class ThroughputParameters(_Parameters, frozen=True, kw_only=True):
    """THROUGHPUT: the rate of TCP or UDP, by iperf3 at both ends."""

    token: Token = ""
    responder_port: Annotated[int, Meta(ge=1, le=65535)] = 7420
    """Where the responder listens; the port of the destination is that of iperf3, 5201 by default."""
    seconds: Annotated[int, Meta(ge=1, le=30)] = 5
    direction: Literal["up", "down"] = "up"
    """`up`: from the agent to the destination."""
    protocol: Literal["tcp", "udp"] = "tcp"
    limit_kbps: Annotated[int, Meta(ge=8, le=1_000_000)] = 100_000
    """TCP and UDP stay below this rate."""

    def cost(self) -> Cost:
        """The limit for the whole time."""
        size = self.seconds * self.limit_kbps * 125
        return Cost(packets=size // 1200 + 50, size_bytes=size, seconds=self.seconds + 10.0)


class ResponsivenessParameters(ThroughputParameters, frozen=True, kw_only=True):
    """RESPONSIVENESS: round trips per minute while the path is idle, and while iperf3 loads it."""

    def cost(self) -> Cost:
        """The cost of THROUGHPUT, and of the probes before and during the load."""
        load = super().cost()
        return Cost(packets=load.packets + 400, size_bytes=load.size_bytes + 100_000, seconds=load.seconds + 10.0)


Parameters: TypeAlias = (
    PingParameters
    | TracerouteParameters
    | IgiParameters
    | PathneckParameters
    | BrouteParameters
    | DnsParameters
    | HttpParameters
    | SipParameters
    | RtpParameters
    | SendParameters
    | ThroughputParameters
    | ResponsivenessParameters
)

PARAMETERS: dict[Technique, type[Parameters]] = {
    Technique.PING: PingParameters,
    Technique.TRACEROUTE: TracerouteParameters,
    Technique.IGI: IgiParameters,
    Technique.PATHNECK: PathneckParameters,
    Technique.BROUTE: BrouteParameters,
    Technique.DNS: DnsParameters,
    Technique.HTTP: HttpParameters,
    Technique.SIP_OPTIONS: SipParameters,
    Technique.SIP_INVITE: SipParameters,
    Technique.RTP: RtpParameters,
    Technique.UDP_SEND: SendParameters,
    Technique.TCP_SEND: SendParameters,
    Technique.THROUGHPUT: ThroughputParameters,
    Technique.RESPONSIVENESS: ResponsivenessParameters,
}


def parse_parameters(technique: Technique, texts: dict[str, str]) -> dict[str, Any]:
    """The values in `texts`, as a command line has them, in the types of the technique's parameters; ParameterError as below."""
    parsed = read_parameters(technique, texts, strict=False)
    return {name: getattr(parsed, name) for name in texts}


def read_parameters(technique: Technique, values: Mapping[str, Any], *, strict: bool = True) -> Parameters:
    """The checked parameters of a technique. ParameterError for an unknown name or a value that is not allowed.

    Not `strict`: a text may stand for a number or a truth value.
    """
    kind = PARAMETERS[technique]
    known = kind.__struct_fields__
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ParameterError(f"{technique} has no parameter {', '.join(map(repr, unknown))}; it has {', '.join(known)}")
    try:
        return msgspec.convert(values, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise ParameterError(f"{technique}: {_plain(str(error))}") from error


def _plain(text: str) -> str:
    """msgspec writes "Expected `int` <= 10 - at `$.count`"."""
    expected, found, place = text.partition(" - at `$.")
    return f"the parameter {place.rstrip('`')!r} is wrong: {expected[:1].lower()}{expected[1:]}" if found else text


def planned_cost(operation: Operation) -> Cost:
    """The most that an operation costs, for the dry run and for budgets. ParameterError if its parameters are wrong."""
    return read_parameters(operation.technique, operation.parameters).cost()
