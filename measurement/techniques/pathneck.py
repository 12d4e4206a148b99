"""PATHNECK: where the bottleneck of the path is, without help of the routers (Hu et al. 2004).

A recursive packet train consists of small packets with the TTLs 1, 2, ..., large load packets, and small packets with the TTLs in
reverse order. Each router drops the outermost packets and answers both, so the time between its answers is the length of the
train there. All packets have the same addresses and ports, so a load balancer does not tear the train apart; the IP identification
numbers them, and the answers quote it. The original tool changes the port instead.
"""

import itertools
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from measurement.estimates.choke_points import HopGap, PathVerdict, TrainVerdict, judge_path, judge_train
from measurement.outcome import Hop, Status, Value
from measurement.responder_protocol import USUAL_PORT
from measurement.technique_parameters import PathneckParameters
from measurement.techniques.igi import send_paced
from measurement.techniques.kernel_sockets import Received, receive_all, stamp_arrivals, undisturbed, wait_readable
from measurement.techniques.responder_session import TrainSession
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

IP_HEADER = struct.Struct("!BBHHHBBH4s4s")
UDP_HEADER = struct.Struct("!HHHH")
PROBE_BYTES = 60
LOAD_TTL = 255
TAIL = 128
"""Added to the TTL in the number of a packet at the end of the train; load packets have the number 0."""
TIME_EXCEEDED = 11
PAUSE_S, QUIET_S = 0.3, 0.3
LONGEST_SEND_GAP_NS = 1_000_000
TRIES = 4
NEEDS = "{} sends raw packets; give the agent the capability CAP_NET_RAW"


@dataclass(slots=True)
class _TrainAnswers:
    """The answers to the packets of one train: from where, and when."""

    heads: dict[int, tuple[str, int]] = field(default_factory=dict)
    """For each TTL: the address, and the arrival in ns."""
    tails: dict[int, tuple[str, int]] = field(default_factory=dict)

    def hop_gaps(self) -> list[HopGap]:
        """The hops that answered at least once, by TTL."""
        hops = []
        for ttl in sorted({*self.heads, *self.tails}):
            head, tail = self.heads.get(ttl), self.tails.get(ttl)
            known = head or tail
            complete = head is not None and tail is not None and head[0] == tail[0]
            gap_us = (tail[1] - head[1]) / 1e3 if complete and head and tail else None
            hops.append(HopGap(ttl, known[0] if known else "", gap_us))
        return hops


@dataclass(slots=True)
class PathProbe:
    """The raw sockets of one operation, and what its trains found."""

    task: Task
    parameters: PathneckParameters
    sender: socket.socket
    receiver: socket.socket
    port: int
    verdicts: list[TrainVerdict] = field(default_factory=list)
    seen: dict[int, str] = field(default_factory=dict)
    """The address of each TTL that answered in any train."""
    trains: int = 0
    rejected: int = 0

    def train(self) -> None:
        """Send a train and judge its answers."""
        self._send()
        hops = self._receive().hop_gaps()
        self.seen |= {hop.ttl: hop.address for hop in hops}
        verdict = judge_train(hops)
        if verdict is not None:
            self.verdicts.append(verdict)

    def _send(self) -> None:
        for _ in range(TRIES):
            self.trains += 1
            packets = self._packets()
            time.sleep(PAUSE_S)
            self._note_late_answers()
            with undisturbed():
                sent_ns = send_paced(self.sender, packets, 0)
            if max(later - earlier for earlier, later in itertools.pairwise(sent_ns)) <= LONGEST_SEND_GAP_NS:
                return
            self.rejected += 1

    def _note_late_answers(self) -> None:
        """Note answers to a rejected train, or after the timeout. They give no gap, but the router may send no others."""
        for answer in receive_all(self.receiver):
            identification = self._quoted_identification(answer)
            if identification is not None and (number := identification & 0xFF):
                self.seen.setdefault(number % TAIL, answer.address)

    def _packets(self) -> list[bytes]:
        ttls = range(1, self.parameters.max_ttl + 1)
        heads = [self._packet(ttl, ttl, PROBE_BYTES) for ttl in ttls]
        load = [self._packet(0, LOAD_TTL, self.parameters.load_bytes)] * self.parameters.load_packets
        tails = [self._packet(TAIL + ttl, ttl, PROBE_BYTES) for ttl in reversed(ttls)]
        return heads + load + tails

    def _packet(self, number: int, ttl: int, length: int) -> bytes:
        identification = self._identification(number)
        source, target = (socket.inet_aton(each) for each in ("0.0.0.0", self.task.address))  # noqa: S104 - the kernel fills it in
        header = IP_HEADER.pack(0x45, 0, length, identification, 0, ttl, socket.IPPROTO_UDP, 0, source, target)
        udp = UDP_HEADER.pack(self.port, self.port, length - IP_HEADER.size, 0)  # without a checksum, which IPv4 permits
        return (header + udp).ljust(length, b"\0")

    def _identification(self, number: int) -> int:
        return (self.trains % 255 + 1) << 8 | number

    def _receive(self) -> _TrainAnswers:
        answers = _TrainAnswers()
        begin = last = time.monotonic()
        end = begin + self.parameters.timeout_ms / 1e3
        while (now := time.monotonic()) < end and not self.task.expired():
            if now > last + QUIET_S and answers.heads:
                break
            wait_readable([self.receiver], min(0.05, end - now))
            for answer in receive_all(self.receiver):
                number = self._number(answer)
                if number:
                    last = time.monotonic()
                    side = answers.tails if number > TAIL else answers.heads
                    side.setdefault(number % TAIL, (answer.address, answer.arrived_ns))
        return answers

    def _number(self, answer: Received) -> int | None:
        """The number of the packet of this train that a TIME_EXCEEDED quotes; None for all other packets."""
        identification = self._quoted_identification(answer)
        if identification is None or identification >> 8 != self._identification(0) >> 8:
            return None
        return identification & 0xFF

    def _quoted_identification(self, answer: Received) -> int | None:
        """The IP identification of our packet that a TIME_EXCEEDED quotes; None for all other packets."""
        icmp = (answer.data[0] & 15) * 4 if answer.data else 0
        quoted = icmp + 8
        if len(answer.data) < quoted + IP_HEADER.size + UDP_HEADER.size or answer.data[icmp] != TIME_EXCEEDED:
            return None
        _, _, _, identification, _, _, protocol, _, _, target = IP_HEADER.unpack_from(answer.data, quoted)
        source_port, _, _, _ = UDP_HEADER.unpack_from(answer.data, quoted + (answer.data[quoted] & 15) * 4)
        ours = (protocol, target, source_port) == (socket.IPPROTO_UDP, socket.inet_aton(self.task.address), self.port)
        return int(identification) if ours else None


def pathneck(task: Task, parameters: PathneckParameters) -> Findings:
    """Send the trains and judge them together. Reports after each train."""
    return findings_of(*probe_path(task, parameters))


def probe_path(task: Task, parameters: PathneckParameters) -> tuple[PathProbe, PathVerdict | None]:
    """The trains, and the verdict over them."""
    if task.family != socket.AF_INET:
        raise NotMeasured(Status.REFUSED, f"{task.operation.technique} works with IPv4 only")
    try:
        sender = task.socket(socket.SOCK_RAW, socket.IPPROTO_RAW)
    except PermissionError:
        raise NotMeasured(Status.NEEDS_CAP_NET_RAW, NEEDS.format(task.operation.technique)) from None
    with sender, task.socket(socket.SOCK_RAW, socket.IPPROTO_ICMP) as receiver:
        stamp_arrivals(receiver)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.connect((task.address, 0))
        with TrainSession(task, "consent", token=parameters.token) as session:
            probe = PathProbe(task, parameters, sender, receiver, task.port(USUAL_PORT))
            for number in range(1, parameters.trains + 1):
                session.check_open()
                probe.train()
                task.report(Findings(status=Status.PARTIAL, reason=f"{number} of {parameters.trains} trains are sent"))
                if task.expired():
                    break
    return probe, judge_path(probe.verdicts, load_bytes=parameters.load_bytes * parameters.load_packets)


def findings_of(probe: PathProbe, verdict: PathVerdict | None) -> Findings:
    """The hops with their gaps, and the bottleneck."""
    without_gap = len(probe.seen) - (len(verdict.hops) if verdict else 0)
    values = values_of(
        {
            "trains": probe.trains,
            "trains_rejected": probe.rejected,
            "trains_judged": len(probe.verdicts),
            "hops_without_gap": without_gap,
        }
    )
    hops = path_hops(probe, verdict)
    if not probe.seen:
        raise NotMeasured(Status.TIMEOUT_TARGET, "no router answered the packets of the trains", values)
    if verdict is None:
        most = max((len(each.hops) for each in probe.verdicts), default=0)
        reason = f"of {probe.trains} trains, fewer than 5 with the same route have 4 hops with a gap (most: {most} hops)"
        status = Status.TIMEOUT_AGENT if probe.task.expired() else Status.PARTIAL
        return Findings(status=status, reason=reason, values=values, hops=hops)
    place = verdict.bottleneck
    choke = verdict.hops[place] if place is not None else None
    values += [
        Value(name="bottleneck_ttl", value=float(choke.ttl) if choke else None, method="the link into this hop limits the path"),
        Value(name="bottleneck_kbps", value=choke.bandwidth_kbps if choke else None, method="upper bound; IP layer"),
        *values_of({"bottleneck_detection_rate": choke.detection_rate if choke else None, "trains_same_route": verdict.trains}),
    ]
    problem = (
        f"{without_gap} hops answered only one of two packets; they may limit the rate of their answers" if without_gap else ""
    )
    return Findings(values=values, hops=hops, degraded=bool(problem), reason=problem)


def path_hops(probe: PathProbe, verdict: PathVerdict | None) -> list[Hop]:
    """Every TTL up to the last one that answered."""
    judged = {hop.ttl: hop for hop in verdict.hops} if verdict else {}
    hops = []
    for ttl in range(1, max(probe.seen, default=0) + 1):
        found = judged.get(ttl)
        hops.append(
            Hop(
                ttl=ttl,
                address=probe.seen.get(ttl),
                gap_us=found.gap_us if found else None,
                bandwidth_kbps=found.bandwidth_kbps if found else None,
                bound=found.bound if found else "",
            )
        )
    return hops


def least_bandwidth(hops: Sequence[Hop]) -> float | None:
    """The smallest bound of these hops in kbit/s; None if none is known."""
    return min((hop.bandwidth_kbps for hop in hops if hop.bandwidth_kbps is not None), default=None)
