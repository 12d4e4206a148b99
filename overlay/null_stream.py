"""A stream without pictures: MPEG-TS null packets in RTP at a constant rate. It measures the overlay, not a decoder."""

import struct
from collections.abc import Iterator

TS_PACKETS = 7
NULL_PACKET = bytes((0x47, 0x1F, 0xFF, 0x10)) + b"\xff" * 184
"""A TS packet of PID 0x1FFF, which every receiver discards (ISO/IEC 13818-1, 2.4.1)."""
PAYLOAD_TYPE = 33
"""MP2T (RFC 3551)."""
RTP_BYTES = 12 + TS_PACKETS * len(NULL_PACKET)


def interval_s(rate_kbps: float) -> float:
    """The time between two packets."""
    return RTP_BYTES * 8 / (rate_kbps * 1000)


def packets(rate_kbps: float, source_id: int) -> Iterator[tuple[float, bytes]]:
    """When each packet is due, in seconds after the first, and the packet. It never ends."""
    payload, number = NULL_PACKET * TS_PACKETS, 0
    while True:
        due_s = number * interval_s(rate_kbps)
        header = struct.pack("!BBHII", 0x80, PAYLOAD_TYPE, number % 65536, round(due_s * 90_000) % 2**32, source_id)
        yield due_s, header + payload
        number += 1
