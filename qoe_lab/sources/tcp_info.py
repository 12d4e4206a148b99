"""What the kernel knows about a TCP connection: `struct tcp_info` of Linux. Fields that an older kernel lacks are absent."""

import socket
import struct
from collections.abc import Mapping

_BYTES = 512
"""More than any kernel returns so far."""

_LAYOUT: Mapping[str, tuple[str, int]] = {
    "state": ("B", 0),
    "retransmits": ("B", 2),
    "rto_us": ("I", 8),
    "snd_mss": ("I", 16),
    "unacked": ("I", 24),
    "lost": ("I", 32),
    "retrans": ("I", 36),
    "rtt_us": ("I", 68),
    "rttvar_us": ("I", 72),
    "snd_ssthresh": ("I", 76),
    "snd_cwnd": ("I", 80),
    "total_retrans": ("I", 100),
    "pacing_rate": ("Q", 104),
    "bytes_acked": ("Q", 120),
    "bytes_received": ("Q", 128),
    "segs_out": ("I", 136),
    "segs_in": ("I", 140),
    "notsent_bytes": ("I", 144),
    "min_rtt_us": ("I", 148),
    "data_segs_in": ("I", 152),
    "data_segs_out": ("I", 156),
    "delivery_rate": ("Q", 160),
    "busy_us": ("Q", 168),
    "rwnd_limited_us": ("Q", 176),
    "sndbuf_limited_us": ("Q", 184),
    "delivered": ("I", 192),
    "bytes_sent": ("Q", 200),
    "bytes_retrans": ("Q", 208),
    "dsack_dups": ("I", 216),
    "reord_seen": ("I", 220),
}
"""Name, format and offset of each field. Rates are in bytes per second."""


def tcp_info(connection: socket.socket) -> dict[str, int]:
    """The fields now. OSError if the connection is gone."""
    return read_tcp_info(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES))


def read_tcp_info(data: bytes) -> dict[str, int]:
    """The fields in the kernel's bytes."""
    return {
        name: struct.unpack_from(f"={kind}", data, offset)[0]
        for name, (kind, offset) in _LAYOUT.items()
        if offset + struct.calcsize(kind) <= len(data)
    }
