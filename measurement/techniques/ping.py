"""PING: ICMP echo, by a ping socket where the system permits it, else by a raw socket.

A ping socket (`net.ipv4.ping_group_range`) needs no right of root. A raw socket needs CAP_NET_RAW.
"""

import os
import random
import socket
import struct
import time
from dataclasses import dataclass, field

from measurement.estimates.packet_loss import loss_ratio
from measurement.estimates.round_trips import summarize_round_trips
from measurement.outcome import Status, Value
from measurement.technique_parameters import PingParameters
from measurement.techniques.kernel_sockets import Received, receive_all, send_now, stamp_arrivals, wait_readable, waited_ms
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

ECHO = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number."""
STAMP = struct.Struct("!8sII")
"""A mark of our packets, the run, and the number of the packet: 16 bytes."""
MAGIC = b"swarmscp"
REQUEST_REPLY = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
RIGHTS = (
    "a ping socket is not permitted (net.ipv4.ping_group_range) and a raw socket neither; add the agent's group to the range, or "
    "give the agent the capability CAP_NET_RAW"
)


@dataclass(slots=True)
class _Run:
    """The state of one operation."""

    task: Task
    parameters: PingParameters
    sock: socket.socket
    raw: bool
    run_id: int = field(default_factory=lambda: random.getrandbits(32))
    sent: list[tuple[int, float]] = field(default_factory=list)
    """Unix time in ns and monotonic time of each packet."""
    delays_ms: list[float | None] = field(default_factory=list)
    duplicates: int = 0
    ttl: int | None = None
    refusal: str = ""

    def send(self) -> None:
        number = len(self.sent)
        data = STAMP.pack(MAGIC, self.run_id, number).ljust(self.parameters.payload_bytes, b".")
        packet = echo_packet(self.sock.family, os.getpid() & 0xFFFF, number & 0xFFFF, data)
        seen = time.monotonic()
        self.sent.append((send_now(self.sock, packet, (self.task.address, 0)), seen))
        self.delays_ms.append(None)

    def receive(self) -> None:
        for answer in receive_all(self.sock, errors=True):
            if answer.icmp_type is None:
                self._answered(answer)
            elif answer.error and self._number(answer.data, 8) is not None:
                self.refusal = f"{answer.address} answers: {os.strerror(answer.error)}"

    def _answered(self, answer: Received) -> None:
        header = (answer.data[0] & 15) * 4 if self.raw and self.sock.family == socket.AF_INET else 0
        if answer.data[header : header + 1] != bytes([REQUEST_REPLY[self.sock.family][1]]):
            return
        number = self._number(answer.data[header:], ECHO.size)
        if number is None:
            return
        if self.delays_ms[number] is not None:
            self.duplicates += 1
            return
        sent_ns, seen = self.sent[number]
        delay_ms = waited_ms(sent_ns, answer.arrived_ns, (time.monotonic() - seen) * 1e3)
        if delay_ms <= self.parameters.timeout_ms:
            self.delays_ms[number] = delay_ms
            self.ttl = answer.ttl

    def _number(self, packet: bytes, offset: int) -> int | None:
        if len(packet) < offset + STAMP.size:
            return None
        magic, run_id, number = STAMP.unpack_from(packet, offset)
        return int(number) if (magic, run_id) == (MAGIC, self.run_id) and number < len(self.sent) else None

    def outstanding(self) -> bool:
        """Whether an answer may still come in time."""
        last = time.monotonic() - self.parameters.timeout_ms / 1e3
        return any(delay is None and seen > last for delay, (_, seen) in zip(self.delays_ms, self.sent, strict=True))

    def values(self) -> list[Value]:
        summary = summarize_round_trips(self.delays_ms)
        loss = loss_ratio(summary.sent - summary.answered, summary.sent)
        return [
            *values_of({"packets_sent": summary.sent, "packets_answered": summary.answered, "duplicates": self.duplicates}),
            Value(name="loss_ratio", value=loss.ratio, method=f"no answer within {self.parameters.timeout_ms} ms, RFC 6673"),
            *values_of({"loss_ratio_low": loss.low, "loss_ratio_high": loss.high}, method="Wilson interval, 95 %"),
            *values_of({"rtt_min_ms": summary.min_ms, "rtt_mean_ms": summary.mean_ms, "rtt_max_ms": summary.max_ms}),
            *values_of(
                {"rtt_median_ms": summary.median_ms, "rtt_p95_ms": summary.p95_ms}, method="a lost packet is infinitely late"
            ),
            *values_of({"rtt_stddev_ms": summary.stddev_ms, "reply_ttl": self.ttl}),
            Value(name="ipdv_mean_ms", value=summary.ipdv_mean_ms, method="mean |IPDV|, RFC 3393"),
            Value(name="pdv_p95_ms", value=summary.pdv_p95_ms, method="RFC 5481"),
        ]


def ping(task: Task, parameters: PingParameters) -> Findings:
    """Send the packets, wait for the answers, and summarize them. Reports once a second."""
    sock, raw = _open(task)
    with sock:
        stamp_arrivals(sock, errors=True)
        run = _Run(task, parameters, sock, raw)
        next_send = next_report = time.monotonic()
        while not task.expired():
            run.receive()
            now = time.monotonic()
            unsent = len(run.sent) < parameters.count
            if unsent and now >= next_send:
                run.send()
                next_send = now + parameters.interval_ms / 1e3 * random.uniform(1, 1.1)  # noqa: S311 - no secret
            elif not unsent and not run.outstanding():
                break
            if now >= next_report + 1:
                next_report = now
                task.report(Findings(status=Status.PARTIAL, reason="still measuring", values=run.values()))
            wait_readable([sock], min(next_send - now if unsent else 0.05, task.left_s()))
    return _findings(run)


def _findings(run: _Run) -> Findings:
    answered, count = sum(delay is not None for delay in run.delays_ms), run.parameters.count
    values = run.values()
    if len(run.sent) < count:
        return Findings(status=Status.TIMEOUT_AGENT, reason=f"the time limit ended after {len(run.sent)} packets", values=values)
    if answered == count:
        return Findings(values=values)
    if answered:
        return Findings(status=Status.PARTIAL, reason=f"{answered} of {count} packets were answered", values=values)
    if run.refusal:
        return Findings(status=Status.UNREACHABLE, reason=run.refusal, values=values)
    reason = f"none of {count} packets was answered within {run.parameters.timeout_ms} ms"
    return Findings(status=Status.TIMEOUT_TARGET, reason=reason, values=values)


def _open(task: Task) -> tuple[socket.socket, bool]:
    """A socket for echo packets, and whether it is a raw one."""
    protocol = socket.IPPROTO_ICMPV6 if task.family == socket.AF_INET6 else socket.IPPROTO_ICMP
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return task.socket(kind, protocol), kind == socket.SOCK_RAW
        except PermissionError:
            continue
    raise NotMeasured(Status.NEEDS_CAP_NET_RAW, RIGHTS)


def echo_packet(family: int, identifier: int, number: int, data: bytes) -> bytes:
    """An ICMP echo request with its checksum. The kernel computes the one of ICMPv6."""
    kind = REQUEST_REPLY[socket.AddressFamily(family)][0]
    unchecked = ECHO.pack(kind, 0, 0, identifier, number) + data
    return ECHO.pack(kind, 0, internet_checksum(unchecked), identifier, number) + data


def internet_checksum(data: bytes) -> int:
    """The checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total
