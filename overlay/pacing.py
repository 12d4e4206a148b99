"""When each packet of a transport stream is due: by its PCRs, which state the rate at which the stream has to arrive."""

import struct
from collections.abc import Iterable, Iterator

from overlay.ts_packets import TS_BYTES, pcr_ahead_s, read_ts_packet

TS_PACKETS = 7
PAYLOAD_TYPE = 33
"""MP2T (RFC 3551)."""
RTP_CLOCK_HZ = 90_000
MOST_BETWEEN_PCRS = 50_000
"""Packets. A stream without PCRs cannot be paced."""
LONGEST_PCR_GAP_S = 1.0
"""A larger step is a new start of the clock. The packets before it are due at once."""


class MediaFileError(ValueError):
    """A file cannot be played. The message states the reason and what to do."""


class NotPacedError(ValueError):
    """The transport stream has no PCR."""


def paced(ts: Iterable[bytes]) -> Iterator[tuple[float, bytes]]:
    """Payloads of seven TS packets, with the time at which each is due in seconds after the first.

    Between two PCRs, packets are spread evenly. NotPacedError if there is no PCR for 50,000 packets.
    """
    waiting: list[bytes] = []
    clock_s, pcr = 0.0, None
    timed: list[tuple[float, bytes]] = []
    for data in ts:
        packet = read_ts_packet(data)
        if packet is not None and packet.pcr is not None:
            if pcr is not None:
                step_s = pcr_ahead_s(packet.pcr, pcr)
                step_s = step_s if 0 <= step_s <= LONGEST_PCR_GAP_S else 0.0
                timed += [(clock_s + step_s * place / len(waiting), each) for place, each in enumerate(waiting)]
                clock_s += step_s
            else:
                timed += [(0.0, each) for each in waiting]
            pcr, waiting = packet.pcr, []
        waiting.append(data)
        if len(waiting) > MOST_BETWEEN_PCRS:
            raise NotPacedError(f"the stream has no PCR for {MOST_BETWEEN_PCRS} packets; use a file with a video or audio stream")
        while len(timed) >= TS_PACKETS:
            group, timed = timed[:TS_PACKETS], timed[TS_PACKETS:]
            yield group[0][0], b"".join(each for _, each in group)


def rtp_packets(timed: Iterable[tuple[float, bytes]], source_id: int) -> Iterator[tuple[float, bytes]]:
    """RTP packets (RFC 2250) of payloads, each with the time at which it is due."""
    for number, (due_s, payload) in enumerate(timed):
        timestamp = round(due_s * RTP_CLOCK_HZ) % 2**32
        yield due_s, struct.pack("!BBHII", 0x80, PAYLOAD_TYPE, number % 65536, timestamp, source_id) + payload


RTP_BYTES = 12 + TS_PACKETS * TS_BYTES
