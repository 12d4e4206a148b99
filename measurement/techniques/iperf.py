"""THROUGHPUT and RESPONSIVENESS: the rate of TCP or UDP by iperf3 at both ends, and round trips while iperf3 loads the path.

The responder of the destination consents, and reflects the packets whose round trips are measured. Responsiveness is given as
round trips per minute by the formula of draft-ietf-ippm-responsiveness for one kind of probe. The draft measures with HTTP on new
connections and on those that load the path; this measures with UDP packets beside the load.
"""

import json
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from measurement.estimates.round_trips import median_with_lost, round_trips_per_minute
from measurement.outcome import Status, Value
from measurement.responder_protocol import REFLECTED, RTP_HEADER, RTP_SAMPLES, RTP_VERSION
from measurement.technique_parameters import ResponsivenessParameters, ThroughputParameters
from measurement.techniques.kernel_sockets import receive_all, send_now, stamp_arrivals, wait_readable
from measurement.techniques.responder_session import TrainSession
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

PORT = 5201
IDLE_S = 1.0
INTERVAL_S = 0.05
WARM_UP_S = 1.0
"""The time until the load has filled the queue of the path."""
LAST_ANSWERS_S = 1.0
PATIENCE_S = 8.0
"""How much longer than planned iperf3 may take."""
CONNECT_TIMEOUT_MS = 3000
CHECK_EVERY_S = 0.25


def throughput(task: Task, parameters: ThroughputParameters) -> Findings:
    """Let iperf3 send for the planned time."""
    with (
        TrainSession(task, "consent", token=parameters.token, port=parameters.responder_port) as session,
        _iperf(task, parameters) as process,
    ):
        return Findings(values=_rates(_result(session, parameters, process), parameters))


def responsiveness(task: Task, parameters: ResponsivenessParameters) -> Findings:
    """Round trips while nothing else is sent, then while iperf3 loads the path."""
    with (
        TrainSession(task, "reflect", token=parameters.token, port=parameters.responder_port) as session,
        task.socket(socket.SOCK_DGRAM) as sock,
    ):
        stamp_arrivals(sock, errors=True)
        echoes = _Echoes(task, session, sock)
        idle = echoes.round_trips_ms(IDLE_S)
        task.report(Findings(status=Status.PARTIAL, reason="the path is loaded now", values=_per_minute("idle", idle)))
        with _iperf(task, parameters) as process:
            echoes.round_trips_ms(min(WARM_UP_S, parameters.seconds / 2))
            loaded = echoes.round_trips_ms(max(parameters.seconds - WARM_UP_S, parameters.seconds / 2))
            rates = _rates(_result(session, parameters, process), parameters)
    values = [*_per_minute("idle", idle), *_per_minute("loaded", loaded), *rates]
    if not any(delay is not None for delay in (*idle, *loaded)):
        raise NotMeasured(Status.TIMEOUT_TARGET, "the responder reflected no packet", values)
    return Findings(values=values)


def _per_minute(state: str, delays_ms: list[float | None]) -> list[Value]:
    answered = [delay for delay in delays_ms if delay is not None]
    return [
        Value(
            name=f"round_trips_per_minute_{state}",
            value=round_trips_per_minute(delays_ms),
            method="60 s / the mean of the fastest 95 %; a lost packet takes 1 s",
        ),
        Value(name=f"rtt_median_{state}_ms", value=median_with_lost(delays_ms), method="a lost packet is infinitely late"),
        Value(name=f"rtt_mean_{state}_ms", value=statistics.fmean(answered) if answered else None),
        Value(name=f"loss_ratio_{state}", value=1 - len(answered) / len(delays_ms) if delays_ms else None),
    ]


@dataclass(slots=True)
class _Echoes:
    """Packets that the responder reflects."""

    task: Task
    session: TrainSession
    sock: socket.socket
    sent_ns: list[int] = field(default_factory=list)
    delays_ms: list[float | None] = field(default_factory=list)

    def round_trips_ms(self, duration_s: float) -> list[float | None]:
        """The round trips of packets that are sent for some time; None for those that do not come back within a second."""
        first, due = len(self.sent_ns), time.monotonic()
        end = due + duration_s
        while (now := time.monotonic()) < end and not self.task.expired():
            if now >= due:
                self._send()
                due += INTERVAL_S
            wait_readable([self.sock], min(due, end) - now)
            self._receive()
        end += LAST_ANSWERS_S
        while None in self.delays_ms[first:] and (now := time.monotonic()) < end and not self.task.expired():
            wait_readable([self.sock], end - now)
            self._receive()
        return self.delays_ms[first:]

    def _send(self) -> None:
        number = len(self.sent_ns)
        header = RTP_HEADER.pack(RTP_VERSION, 0, number & 0xFFFF, number, 0)
        data = header + self.session.session_id.ljust(RTP_SAMPLES, b"\0")
        self.sent_ns.append(send_now(self.sock, data, (self.task.address, self.session.port)))
        self.delays_ms.append(None)

    def _receive(self) -> None:
        for answer in receive_all(self.sock, errors=True):
            if answer.icmp_type is not None or len(answer.data) < RTP_HEADER.size + REFLECTED.size:
                continue
            _, _, _, number, _ = RTP_HEADER.unpack_from(answer.data)
            session, arrived_ns, left_ns, _ = REFLECTED.unpack_from(answer.data, RTP_HEADER.size)
            if session == self.session.session_id and number < len(self.sent_ns) and self.delays_ms[number] is None:
                self.delays_ms[number] = max(answer.arrived_ns - self.sent_ns[number] - (left_ns - arrived_ns), 0) / 1e6


@contextmanager
def _iperf(task: Task, parameters: ThroughputParameters) -> Iterator[subprocess.Popen[str]]:
    """Run iperf3 during the block."""
    program = shutil.which("iperf3")
    if program is None:
        raise NotMeasured(Status.REFUSED, f"{task.operation.technique} needs the program iperf3, which the agent does not have")
    command = [program, "--client", task.address, "--port", str(task.port(PORT)), "--json", "--time", str(parameters.seconds)]
    command += ["--bitrate", f"{parameters.limit_kbps}K", "--connect-timeout", str(CONNECT_TIMEOUT_MS)]
    command += ["--reverse"] if parameters.direction == "down" else []
    command += ["--udp"] if parameters.protocol == "udp" else []
    command += ["--bind", task.settings.source_address] if task.settings.source_address else []
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)  # noqa: S603 - no shell
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _printed(session: TrainSession, parameters: ThroughputParameters, process: subprocess.Popen[str]) -> str:
    """What iperf3 printed. NotMeasured if it takes too long, or if the destination ends its consent meanwhile."""
    end = time.monotonic() + parameters.seconds + PATIENCE_S
    while time.monotonic() < end and not session.task.expired():
        session.check_open()
        try:
            return process.communicate(timeout=CHECK_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            continue
    raise NotMeasured(Status.TIMEOUT_TARGET, "iperf3 did not end in time")


def _result(session: TrainSession, parameters: ThroughputParameters, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What iperf3 measured. NotMeasured if it failed."""
    printed = _printed(session, parameters, process)
    try:
        result: dict[str, Any] = json.loads(printed)
    except ValueError:
        raise NotMeasured(Status.REFUSED, f"iperf3 ended with code {process.returncode} and without a result") from None
    if "error" in result:
        text = str(result["error"])
        status = (
            Status.TIMEOUT_TARGET if "timed out" in text else Status.UNREACHABLE if "unable to connect" in text else Status.REFUSED
        )
        raise NotMeasured(status, f"iperf3: {text}")
    return result


def _rates(result: dict[str, Any], parameters: ThroughputParameters) -> list[Value]:
    end = result.get("end", {})
    received = end.get("sum_received") or end.get("sum") or {}
    sent = end.get("sum_sent") or end.get("sum") or {}
    bits_per_second = received.get("bits_per_second")
    lost = end.get("sum", {}).get("lost_percent") if parameters.protocol == "udp" else None
    return [
        Value(
            name="throughput_kbps",
            value=bits_per_second / 1e3 if bits_per_second is not None else None,
            method=f"{parameters.protocol.upper()} payload, {parameters.direction}, at most {parameters.limit_kbps} kbit/s",
        ),
        Value(name="retransmissions", value=sent.get("retransmits"), method="TCP segments that the sender sent again"),
        *values_of({"loss_ratio": lost / 100 if lost is not None else None}),
    ]
