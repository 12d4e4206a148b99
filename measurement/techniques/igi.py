"""IGI: capacity and available bandwidth by packet trains (IGI/PTR, Hu and Steenkiste 2003, and a direct estimate).

The agent opens the connection to the responder; only UDP probes are sent besides, so no right of root is needed. Trains that the
sender could not pace are sent again. If a whole train is lost twice, the operation ends: the original tool waits forever.
"""

import socket
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from measurement.estimates.train_gaps import (
    IPV4_HEADER_BYTES,
    IPV6_HEADER_BYTES,
    UDP_HEADER_BYTES,
    BandwidthEstimate,
    GapSearch,
    Phase,
    Train,
    badly_sent,
    estimate_bandwidth,
    rate_kbps,
    usual_gap_us,
)
from measurement.outcome import Status, Value
from measurement.responder_protocol import TRAIN_MAGIC, TRAIN_PACKET
from measurement.technique_parameters import MOST_TRAIN_BYTES, MOST_TRAIN_SECONDS, MOST_TRAINS, IgiParameters
from measurement.techniques.kernel_sockets import undisturbed
from measurement.techniques.responder_session import TrainSession
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

SHORT_GAP_US = 100.0
"""Below this gap, larger packets are needed: the error of time stamps would be several percent of it."""
LARGE_PAYLOAD = 1472
TRIES = 6
PAUSE_S = 0.01
"""Between two trains, so that the queue of the path becomes empty."""
MOST_LOST = 0.5


@dataclass(slots=True)
class _TrainSender:
    """Sends trains, and counts them for the limits of an operation."""

    task: Task
    session: TrainSession
    sock: socket.socket
    parameters: IgiParameters
    payload: int
    end: float
    trains: int = 0
    packets: int = 0
    lost: int = 0
    rejected: int = 0
    silent: int = 0
    """Trains in a row of which nothing arrived."""

    @property
    def packet_bytes(self) -> int:
        """The length of a packet at the IP layer."""
        header = IPV6_HEADER_BYTES if self.sock.family == socket.AF_INET6 else IPV4_HEADER_BYTES
        return self.payload + UDP_HEADER_BYTES + header

    def may_continue(self) -> bool:
        """Whether the limits permit one more phase."""
        size = self.packets * self.payload + self.parameters.trains * self.parameters.packets * self.payload
        within = self.trains + self.parameters.trains <= MOST_TRAINS and size <= MOST_TRAIN_BYTES
        return within and time.monotonic() < self.end and not self.task.expired()

    def phase(self, gap_us: float) -> Phase:
        """Trains with one gap."""
        return Phase(trains=[self.well_sent(gap_us) for _ in range(self.parameters.trains)])

    def well_sent(self, gap_us: float) -> Train:
        """A train whose gaps are the wanted ones; after several tries, the last one as it is."""
        for _ in range(TRIES):
            train = self.train(gap_us)
            if not badly_sent(train):
                return train
            self.rejected += 1
            if not self.may_continue():
                break
        return train

    def train(self, gap_us: float) -> Train:
        """Send one train and collect its arrivals."""
        self.trains = number = self.trains + 1
        fill = b"\0" * (self.payload - TRAIN_PACKET.size)
        packets = [
            TRAIN_PACKET.pack(TRAIN_MAGIC, self.session.session_id, number, place) + fill
            for place in range(self.parameters.packets)
        ]
        time.sleep(PAUSE_S)
        with undisturbed():
            sent_ns = send_paced(self.sock, packets, round(gap_us * 1e3))
        self.packets += len(packets)
        arrivals = self.session.arrivals(number, len(packets))
        train = Train(wanted_gap_us=gap_us, sent_ns=sent_ns, arrivals=[each for each in arrivals if each[0] < len(packets)])
        self.lost += train.lost
        self.silent = 0 if train.arrivals else self.silent + 1
        if self.silent >= 2:
            reason = f"the responder answers by TCP, but none of {2 * len(packets)} UDP packets to port {self.session.port} arrived"
            raise NotMeasured(Status.TIMEOUT_TARGET, reason)
        return train


def send_paced(sock: socket.socket, packets: Sequence[bytes], gap_ns: int) -> list[int]:
    """Send packets with equal gaps, by waiting busily: `sleep` is late by 70 us. Returns the time of each."""
    clock, send = time.perf_counter_ns, sock.send
    sent = []
    due = clock()
    for packet in packets:
        while (now := clock()) < due:
            pass
        sent.append(now)
        with suppress(BlockingIOError, ConnectionRefusedError):
            send(packet)
        due += gap_ns
    return sent


def igi(task: Task, parameters: IgiParameters) -> Findings:
    """Measure the capacity, then search the turning point. Reports after each phase."""
    with TrainSession(task, "train", token=parameters.token) as session, task.socket(socket.SOCK_DGRAM) as sock:
        sock.connect((task.address, session.port))
        sock.setblocking(False)
        end = time.monotonic() + MOST_TRAIN_SECONDS
        sender = _TrainSender(task, session, sock, parameters, payload=parameters.packet_bytes, end=end)
        usual, unpaced = _capacity(sender)
        search = GapSearch(unpaced, tolerance=parameters.tolerance)
        while (gap := search.next_gap_us) is not None and sender.may_continue():
            search.add(sender.phase(gap))
            task.report(_unfinished(sender, usual, "still measuring"))
        estimate = estimate_bandwidth(search, usual_gap=usual, packet_bytes=sender.packet_bytes)
    if estimate is None:
        if task.expired():
            return _unfinished(sender, usual, "the time limit ended the search", status=Status.TIMEOUT_AGENT)
        return _unfinished(sender, usual, "the limits of one operation ended the search for the available bandwidth")
    return _findings(sender, estimate)


def _capacity(sender: _TrainSender) -> tuple[float, float]:
    """The usual gap and the mean gap of trains without pacing, in us; with larger packets where the gap is too short."""
    while True:
        trains = [sender.train(0) for _ in range(sender.parameters.trains)]
        usual = [gap for train in trains if (gap := usual_gap_us(train.destination_gaps_us())) is not None]
        lost = sum(train.lost for train in trains) / sum(len(train.sent_ns) for train in trains)
        if not usual or lost > MOST_LOST:
            reason = f"{lost:.0%} of the packets of trains without gaps were lost; a shorter train may pass: lower `packets`"
            raise NotMeasured(Status.INVALID_TRAIN, reason)
        gap = statistics.median(usual)
        if gap >= SHORT_GAP_US or sender.payload >= LARGE_PAYLOAD:
            return gap, Phase(trains=trains).destination_gap_us
        sender.payload = LARGE_PAYLOAD


def _counts(sender: _TrainSender) -> list[Value]:
    return values_of(
        {"trains": sender.trains, "trains_rejected": sender.rejected, "packets": sender.packets, "packets_lost": sender.lost}
    )


def _unfinished(sender: _TrainSender, usual: float, reason: str, *, status: Status = Status.PARTIAL) -> Findings:
    capacity = Value(name="capacity_kbps", value=rate_kbps(sender.packet_bytes, usual), method="the usual gap; IP layer")
    return Findings(status=status, reason=reason, values=[capacity, *_counts(sender)])


def _findings(sender: _TrainSender, estimate: BandwidthEstimate) -> Findings:
    values = [
        Value(name="capacity_kbps", value=estimate.capacity_kbps, method="the usual gap; IP layer"),
        Value(name="available_kbps", value=estimate.available_kbps, method=estimate.method),
        *values_of({"direct_kbps": estimate.direct_kbps, "ptr_kbps": estimate.ptr_kbps, "igi_kbps": estimate.igi_kbps}),
        *values_of({"turning_gap_us": estimate.turning_gap_us, "available_is_lower_bound": float(estimate.is_lower_bound)}),
        *_counts(sender),
    ]
    problems = []
    if estimate.is_lower_bound:
        problems.append("the agent cannot send faster than the path, so the bandwidth is a lower bound")
    if sender.rejected > sender.trains / 3:
        problems.append(f"the agent was interrupted while it sent {sender.rejected} of {sender.trains} trains")
    return Findings(values=values, degraded=bool(problems), reason="; ".join(problems))
