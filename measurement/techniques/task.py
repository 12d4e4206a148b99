"""The task of a technique, and its findings."""

import errno
import ipaddress
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from measurement.operation import Destination, Operation
from measurement.outcome import Hop, Status, Value


class ProbeSettings(Struct, frozen=True, kw_only=True):
    """Settings of the agent, which a requester cannot change."""

    source_address: str = ""
    """The local address to send from; empty: the system chooses it."""
    invite_destinations: tuple[str, ...] = ()
    """Names or addresses to which SIP_INVITE is allowed, because it makes phones ring."""
    as_table: str = ""
    """Path of a file with prefixes and AS numbers, for BROUTE and for the AS numbers of hops."""
    ca_file: str = ""
    """Path of further certificate authorities for HTTPS, in PEM format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """How a technique ended, or what it has found so far."""

    status: Status = Status.OK
    reason: str = ""
    values: list[Value] = field(default_factory=list)
    hops: list[Hop] = field(default_factory=list)
    degraded: bool = False
    """The values are usable with care; `reason` states why."""


class NotMeasured(Exception):  # noqa: N818 - the end of an operation, not a mistake
    """The technique ends here, with these findings."""

    def __init__(self, status: Status, reason: str, values: list[Value] | None = None) -> None:
        super().__init__(reason)
        self.findings = Findings(status=status, reason=reason, values=values or [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One operation that is executed now."""

    operation: Operation
    settings: ProbeSettings
    report: Callable[[Findings], None]
    """Accepts the findings so far. A technique may call it any number of times."""
    deadline: float
    """The end of the operation's time limit, on the monotonic clock."""

    @property
    def destination(self) -> Destination:
        """The destination of the operation."""
        return self.operation.destination

    @property
    def address(self) -> str:
        """The address to send to. NotMeasured if it is none."""
        try:
            return str(ipaddress.ip_address(self.destination.address))
        except ValueError:
            raise NotMeasured(Status.REFUSED, f"{self.destination.address!r} is not an IP address") from None

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    def port(self, usual: int) -> int:
        """The port of the destination, or the usual one of the technique."""
        return self.destination.port or usual

    def left_s(self) -> float:
        """Seconds until the deadline, at least 0."""
        return max(self.deadline - time.monotonic(), 0.0)

    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self.deadline

    def socket(self, kind: int, protocol: int = 0) -> socket.socket:
        """A socket of the right family that sends from the agent's source address. The caller closes it."""
        opened = socket.socket(self.family, kind, protocol)
        try:
            if self.settings.source_address:
                opened.bind((self.settings.source_address, 0))
        except OSError:
            opened.close()
            raise
        return opened


def values_of(numbers: Mapping[str, float | None], *, method: str = "") -> list[Value]:
    """Values by their names; those of one method share its text."""
    return [Value(name=name, value=number, method=method) for name, number in numbers.items()]


_ANSWERS = {
    errno.ECONNREFUSED: "the destination answers that nothing listens on this port",
    errno.ECONNRESET: "the destination ended the connection",
    errno.EPIPE: "the destination ended the connection",
    errno.EHOSTUNREACH: "a router answers that the destination cannot be reached",
    errno.ENETUNREACH: "there is no route to the destination",
    errno.EHOSTDOWN: "the destination does not answer on its network",
}


def findings_of_error(error: OSError) -> Findings:
    """The status of an operation that an error of the system ended."""
    if isinstance(error, TimeoutError):
        return Findings(status=Status.TIMEOUT_TARGET, reason="the destination did not answer in time")
    if error.errno in _ANSWERS:
        return Findings(status=Status.UNREACHABLE, reason=_ANSWERS[error.errno])
    if error.errno in (errno.EPERM, errno.EACCES):
        reason = f"the system does not permit it: {error.strerror}; the agent may need the capability CAP_NET_RAW"
        return Findings(status=Status.NEEDS_CAP_NET_RAW, reason=reason)
    return Findings(status=Status.UNREACHABLE, reason=f"the system cannot send: {error.strerror or error}")
