"""Probes of a traceroute: UDP datagrams with a limited time to live, and the ICMP errors that they cause.

The errors come from the error queue of the socket (IP_RECVERR), which needs no right of root. A router quotes the packet that it
dropped; most of them quote enough to contain the number in our payload. An error with a shorter quote is only used if exactly one
probe is waiting for an answer.
"""

import socket
import struct
import time
from dataclasses import dataclass, field

from measurement.technique_parameters import TRACE_BYTES
from measurement.techniques.kernel_sockets import Received, receive_all, send_now, set_ttl, stamp_arrivals, waited_ms
from measurement.techniques.task import Task

NUMBER = struct.Struct("!4sI")
MAGIC = b"swtr"
USUAL_PORT = 33_434
"""The port at which traceroute begins by tradition: nothing listens there."""
PORT_UNREACHABLE = {socket.AF_INET: (3, 3), socket.AF_INET6: (1, 4)}
TIME_EXCEEDED = {socket.AF_INET: 11, socket.AF_INET6: 3}


@dataclass(slots=True)
class TraceProbe:
    """One datagram, and its answer."""

    ttl: int
    sent_ns: int
    sent_at: float
    """On the monotonic clock."""
    port: int
    rtt_ms: float | None = None
    answer: Received | None = None


@dataclass(slots=True)
class TraceSocket:
    """Sends probes from one port, so that all of them to the same port are one flow."""

    task: Task
    sock: socket.socket
    probes: list[TraceProbe] = field(default_factory=list)
    short_quotes: int = 0
    """Errors that could not be assigned to one of several waiting probes."""

    @classmethod
    def open(cls, task: Task) -> "TraceSocket":
        """A socket with a port of its own. `close` it."""
        sock = task.socket(socket.SOCK_DGRAM)
        if not task.settings.source_address:
            sock.bind(("", 0))
        stamp_arrivals(sock, errors=True)
        return cls(task, sock)

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def send(self, ttl: int, port: int) -> TraceProbe:
        """Send a probe."""
        set_ttl(self.sock, ttl)
        data = NUMBER.pack(MAGIC, len(self.probes)).ljust(TRACE_BYTES, b"\0")
        seen = time.monotonic()
        probe = TraceProbe(ttl, send_now(self.sock, data, (self.task.address, port)), seen, port)
        self.probes.append(probe)
        return probe

    def receive(self) -> None:
        """Assign what has arrived to the probes."""
        for answer in receive_all(self.sock, errors=True):
            if answer.icmp_type is None and answer.error:
                continue  # an error of this machine
            probe = self._probe(answer)
            if probe is not None and probe.answer is None:
                probe.answer = answer
                probe.rtt_ms = waited_ms(probe.sent_ns, answer.arrived_ns, (time.monotonic() - probe.sent_at) * 1e3)

    def _probe(self, answer: Received) -> TraceProbe | None:
        if len(answer.data) >= NUMBER.size:
            magic, number = NUMBER.unpack_from(answer.data)
            if magic == MAGIC and number < len(self.probes):
                return self.probes[int(number)]
        waiting = [probe for probe in self.probes if probe.answer is None]
        if len(waiting) == 1 and answer.port in (waiting[0].port, 0):
            return waiting[0]
        self.short_quotes += 1
        return None

    def is_destination(self, probe: TraceProbe) -> bool:
        """Whether the destination itself answered: its port is unreachable, or something there sent a datagram."""
        answer = probe.answer
        if answer is None:
            return False
        return answer.icmp_type is None or (answer.icmp_type, answer.icmp_code) == PORT_UNREACHABLE[self.task.family]

    def ends_path(self, probe: TraceProbe) -> bool:
        """Whether no later hop can answer: the destination did, or a router refused to forward."""
        return probe.answer is not None and probe.answer.icmp_type != TIME_EXCEEDED[self.task.family]
