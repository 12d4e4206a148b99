"""What a receiver of RTP packets counts for one sender: RFC 3550, appendices A.1 (sequence numbers), A.3 (loss) and A.8 (jitter).

The names of the constants are those of the RFC. Time stamps and the jitter are in units of the RTP clock, for example 1/8000 s.
"""

from dataclasses import dataclass, field

RTP_SEQ_MOD = 1 << 16
RTP_TIMESTAMP_MOD = 1 << 32
MAX_DROPOUT = 3000
MAX_MISORDER = 100
MIN_SEQUENTIAL = 2


@dataclass(slots=True)
class RtpReception:
    """The state of one source. Begin with the sequence number of the first packet, and give every packet to `receive`."""

    first_sequence: int
    base_sequence: int = 0
    max_sequence: int = 0
    cycles: int = 0
    """65536 for each time the sequence numbers began again."""
    bad_sequence: int = RTP_SEQ_MOD + 1
    probation: int = MIN_SEQUENTIAL
    """How many more packets in sequence make the source valid."""
    received: int = 0
    _transit: int | None = None
    _scaled_jitter: int = field(default=0)

    def __post_init__(self) -> None:
        self._start(self.first_sequence % RTP_SEQ_MOD)
        self.max_sequence = (self.first_sequence - 1) % RTP_SEQ_MOD

    def _start(self, sequence: int) -> None:
        self.base_sequence = self.max_sequence = sequence
        self.bad_sequence = RTP_SEQ_MOD + 1
        self.cycles = self.received = 0

    def receive(self, sequence: int, timestamp: int, arrival: int) -> bool:
        """Count a packet; False if its sequence number is not plausible (A.1). `arrival` is the receiver's clock in RTP units."""
        valid = self._update_sequence(sequence % RTP_SEQ_MOD)
        if valid:
            self._update_jitter(timestamp, arrival)
        return valid

    def _update_sequence(self, sequence: int) -> bool:
        step = (sequence - self.max_sequence) % RTP_SEQ_MOD
        if self.probation > 0:
            return self._on_probation(sequence, step)
        if step < MAX_DROPOUT:
            if sequence < self.max_sequence:
                self.cycles += RTP_SEQ_MOD
            self.max_sequence = sequence
        elif step <= RTP_SEQ_MOD - MAX_MISORDER:  # a large jump
            if sequence != self.bad_sequence:
                self.bad_sequence = (sequence + 1) % RTP_SEQ_MOD
                return False
            self._start(sequence)  # two packets in sequence: the sender began again
        self.received += 1
        return True

    def _on_probation(self, sequence: int, step: int) -> bool:
        if step == 1:
            self.probation -= 1
            self.max_sequence = sequence
            if self.probation == 0:
                self._start(sequence)
                self.received = 1
                return True
        else:
            self.probation = MIN_SEQUENTIAL - 1
            self.max_sequence = sequence
        return False

    def _update_jitter(self, timestamp: int, arrival: int) -> None:
        transit = (arrival - timestamp) % RTP_TIMESTAMP_MOD
        if self._transit is not None:
            difference = (transit - self._transit) % RTP_TIMESTAMP_MOD
            distance = min(difference, RTP_TIMESTAMP_MOD - difference)
            self._scaled_jitter += distance - ((self._scaled_jitter + 8) >> 4)
        self._transit = transit

    @property
    def jitter(self) -> int:
        """The interarrival jitter in RTP units: A.8 in its integer form."""
        return self._scaled_jitter >> 4

    @property
    def expected(self) -> int:
        """Packets from the first to the highest sequence number (A.3); 0 while the source is on probation."""
        return 0 if self.probation else self.cycles + self.max_sequence - self.base_sequence + 1

    @property
    def lost(self) -> int:
        """Packets that did not arrive (A.3). Duplicates can make it negative."""
        return self.expected - self.received
