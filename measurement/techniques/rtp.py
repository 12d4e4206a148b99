"""RTP: a simulated voice call against the responder's reflector: delay, jitter and loss of each direction, and an estimated MOS.

The reflector stamps arrival and departure of each packet (as STAMP does, RFC 8762), so its own delay is subtracted. Its clock need
not agree with the agent's: only differences on the same clock are used.
"""

import socket
import time
from dataclasses import dataclass, field

from measurement.estimates.packet_loss import arrival_order, loss_ratio
from measurement.estimates.round_trips import summarize_round_trips
from measurement.estimates.rtp_reception import RtpReception
from measurement.estimates.voice_mos import voice_mos
from measurement.outcome import Status, Value
from measurement.responder_protocol import (
    REFLECTED,
    RTP_HEADER,
    RTP_RATE,
    RTP_SAMPLES,
    RTP_VERSION,
    ReflectorCount,
)
from measurement.technique_parameters import RtpParameters
from measurement.techniques.kernel_sockets import Received, receive_all, send_now, stamp_arrivals, wait_readable
from measurement.techniques.responder_session import TrainSession
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

PACKET_S = 0.02
LAST_ANSWERS_S = 1.0
SOURCE = 0x5357_5250
ESTIMATED = "estimated: E-model, ITU-T G.107 simplified, G.711, half of the round trip"


@dataclass(slots=True)
class _Call:
    """The packets of one call."""

    task: Task
    session: TrainSession
    sock: socket.socket
    sent_ns: list[int] = field(default_factory=list)
    round_trips_ms: list[float | None] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the packets that came back, in the order of arrival."""
    reception: RtpReception | None = None
    problem: str = ""

    def send(self) -> None:
        number = len(self.sent_ns)
        header = RTP_HEADER.pack(RTP_VERSION, 0, number & 0xFFFF, number * RTP_SAMPLES & 0xFFFF_FFFF, SOURCE)
        data = header + self.session.session_id.ljust(RTP_SAMPLES, b"\0")
        self.sent_ns.append(send_now(self.sock, data, (self.task.address, self.session.port)))
        self.round_trips_ms.append(None)

    def receive(self) -> None:
        for answer in receive_all(self.sock, errors=True):
            if answer.icmp_type is not None:
                self.problem = f"{answer.address} answers that the responder cannot be reached by UDP"
            elif len(answer.data) >= RTP_HEADER.size + REFLECTED.size:
                self._returned(answer)

    def _returned(self, answer: Received) -> None:
        _, _, low, timestamp, _ = RTP_HEADER.unpack_from(answer.data)
        session, arrived_ns, left_ns, _ = REFLECTED.unpack_from(answer.data, RTP_HEADER.size)
        number = timestamp // RTP_SAMPLES
        if session != self.session.session_id or number >= len(self.sent_ns) or number & 0xFFFF != low:
            return
        self.numbers.append(number)
        if self.round_trips_ms[number] is None:
            self.round_trips_ms[number] = max(answer.arrived_ns - self.sent_ns[number] - (left_ns - arrived_ns), 0) / 1e6
        if self.reception is None:
            self.reception = RtpReception(low)
        # For this direction, the packet was sent when the reflector let it go.
        self.reception.receive(low, left_ns * RTP_RATE // 10**9, answer.arrived_ns * RTP_RATE // 10**9)


def rtp(task: Task, parameters: RtpParameters) -> Findings:
    """Send 50 packets per second, and compare what was sent, reflected and returned. Reports once a second."""
    with TrainSession(task, "reflect", token=parameters.token) as session, task.socket(socket.SOCK_DGRAM) as sock:
        stamp_arrivals(sock, errors=True)
        call = _Call(task, session, sock)
        due = time.monotonic()
        end = due + parameters.packets * PACKET_S + LAST_ANSWERS_S
        while (now := time.monotonic()) < end and not task.expired():
            unsent = len(call.sent_ns) < parameters.packets
            if unsent and now >= due:
                call.send()
                due += PACKET_S
                if len(call.sent_ns) % 50 == 0:
                    session.check_open()
                    task.report(Findings(status=Status.PARTIAL, reason=f"{len(call.sent_ns)} packets are sent"))
            elif not unsent and len(set(call.numbers)) == parameters.packets:
                break
            wait_readable([sock], min(due - now if unsent else 0.05, task.left_s()))
            call.receive()
        reflected = session.reflected(len(call.sent_ns))
        call.receive()
    return _findings(call, reflected, parameters.packets)


def _findings(call: _Call, reflected: ReflectorCount, planned: int) -> Findings:
    sent = len(call.sent_ns)
    order = arrival_order(call.numbers)
    forward = loss_ratio(max(sent - reflected.received, 0), sent)
    backward = loss_ratio(max(reflected.received - order.received, 0), reflected.received)
    summary = summarize_round_trips(call.round_trips_ms)
    values = [
        *values_of({"packets_sent": sent, "packets_reflected": reflected.received, "packets_returned": order.received}),
        *values_of({"loss_forward_ratio": forward.ratio, "loss_backward_ratio": backward.ratio}),
        *values_of({"reordered_forward": reflected.reordered, "reordered_backward": order.reordered}),
        *values_of({"duplicates_forward": reflected.duplicates, "duplicates_backward": order.duplicates}),
        *values_of({"rtt_min_ms": summary.min_ms, "rtt_median_ms": summary.median_ms, "rtt_p95_ms": summary.p95_ms}),
        Value(name="jitter_forward_ms", value=_milliseconds(reflected.jitter, reflected.received), method="RFC 3550 A.8"),
        Value(
            name="jitter_backward_ms",
            value=_milliseconds(call.reception.jitter if call.reception else 0, order.received),
            method="RFC 3550 A.8",
        ),
        *values_of(
            {"mos_forward": _mos(summary.mean_ms, forward.ratio), "mos_backward": _mos(summary.mean_ms, backward.ratio)},
            method=ESTIMATED,
        ),
    ]
    if not reflected.received:
        status = Status.UNREACHABLE if call.problem else Status.TIMEOUT_TARGET
        raise NotMeasured(status, call.problem or f"the responder received none of {sent} UDP packets", values)
    if sent < planned:
        return Findings(status=Status.TIMEOUT_AGENT, reason=f"the time limit ended the call after {sent} packets", values=values)
    if order.received == sent:
        return Findings(values=values)
    reason = f"{sent} packets were sent, {reflected.received} reflected, {order.received} returned"
    return Findings(status=Status.PARTIAL, reason=reason, values=values)


def _milliseconds(rtp_units: int, packets: int) -> float | None:
    return rtp_units * 1e3 / RTP_RATE if packets > 2 else None


def _mos(round_trip_ms: float | None, loss: float | None) -> float | None:
    return None if round_trip_ms is None or loss is None else voice_mos(round_trip_ms / 2, loss)
