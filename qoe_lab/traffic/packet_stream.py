"""From the bytes of a capture to packets. The bytes may come from a file, or from a capture that is still being written.

The first bytes say whether it is pcap or pcapng. If the bytes stop making sense, the packets before that place are kept, and the
bytes after it are counted.
"""

from collections import Counter
from collections.abc import Iterator

from qoe_lab.traffic.link_frame import DamagedError, LinkFrame, NotACaptureError
from qoe_lab.traffic.packet_headers import LeftOut, Packet, read_packet
from qoe_lab.traffic.pcap_parser import HEADER_BYTES, MAGIC, PcapParser
from qoe_lab.traffic.pcapng_parser import PcapngParser

PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
COUNTERS = ("frames", "packets", *(reason.value for reason in LeftOut), "no_time", "damaged_bytes")


class PacketStream:
    """Turns bytes into packets. `counts` says what was read and what was left out, under the names in COUNTERS."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self.damage: str | None = None
        """What is wrong with the bytes that `counts["damaged_bytes"]` counts; None if nothing is."""
        self._parser: PcapParser | PcapngParser | None = None
        self._start = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that `data` completes. NotACaptureError if the first bytes are of another format."""
        packets = 0
        try:
            for frame in self._frames(data):
                packet = read_packet(frame)
                if isinstance(packet, Packet):
                    packets += 1
                    yield packet
                else:
                    self.counts["frames"] += 1
                    self.counts[packet.value] += 1
        finally:
            self.counts["frames"] += packets
            self.counts["packets"] += packets

    def end(self) -> None:
        """No more bytes follow: count a frame that is not complete. NotACaptureError if there was no whole header."""
        if self._parser is None:
            raise NotACaptureError(_other_format(self._start))
        if self._parser.unread_bytes and self.damage is None:
            self._damaged("it ends within a frame", self._parser.unread_bytes)

    def _frames(self, data: bytes) -> Iterator[LinkFrame]:
        if self.damage is not None:
            self.counts["damaged_bytes"] += len(data)
            return
        if self._parser is None:
            self._start += data
            if len(self._start) < HEADER_BYTES:
                return
            self._parser, data = _parser(self._start)
        try:
            yield from self._parser.feed(data)
        except DamagedError as error:
            self._damaged(str(error), self._parser.unread_bytes)
        if isinstance(self._parser, PcapngParser):
            self.counts["no_time"] = self._parser.frames_without_time

    def _damaged(self, what: str, size: int) -> None:
        self.damage = what
        self.counts["damaged_bytes"] += size


def _parser(start: bytes) -> tuple[PcapParser | PcapngParser, bytes]:
    """The parser for a file that begins with `start`, and the bytes that it has to be fed."""
    if start[:4] in MAGIC:
        return PcapParser(start[:HEADER_BYTES]), start[HEADER_BYTES:]
    if start[:4] == PCAPNG_MAGIC:
        return PcapngParser(), start
    raise NotACaptureError(_other_format(start))


def _other_format(start: bytes) -> str:
    if not start:
        return "it is empty; give a file that tcpdump or Wireshark wrote"
    if start[:4] in MAGIC or start[:4] == PCAPNG_MAGIC:
        return f"it is cut off within its first {HEADER_BYTES} bytes; copy it again"
    return f"it begins with {start[:4].hex(' ')}, so it is neither pcap nor pcapng; convert it: editcap -F pcap OLD NEW"
