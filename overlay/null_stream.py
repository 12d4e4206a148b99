"""A stream without pictures: MPEG-TS null packets at a constant rate. It measures the overlay, not a decoder."""

from collections.abc import Iterator

from overlay.pacing import RTP_BYTES, TS_PACKETS, rtp_packets

NULL_PACKET = bytes((0x47, 0x1F, 0xFF, 0x10)) + b"\xff" * 184
"""A TS packet of PID 0x1FFF, which every receiver discards (ISO/IEC 13818-1, 2.4.1)."""


def interval_s(rate_kbps: float) -> float:
    """The time between two packets."""
    return RTP_BYTES * 8 / (rate_kbps * 1000)


def packets(rate_kbps: float, source_id: int) -> Iterator[tuple[float, bytes]]:
    """When each RTP packet is due, in seconds after the first, and the packet. It never ends."""
    return rtp_packets(_payloads(rate_kbps), source_id)


def _payloads(rate_kbps: float) -> Iterator[tuple[float, bytes]]:
    payload, number = NULL_PACKET * TS_PACKETS, 0
    while True:
        yield number * interval_s(rate_kbps), payload
        number += 1
