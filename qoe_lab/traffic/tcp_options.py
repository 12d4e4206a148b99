"""The options of a TCP header (RFC 9293, 7323, 2018)."""

import struct
from typing import NamedTuple

END, NOTHING, MSS, WINDOW_SCALE, SACK_PERMITTED, SACK, TIMESTAMPS = 0, 1, 2, 3, 4, 5, 8
LARGEST_WINDOW_SCALE = 14
ONLY_TIMESTAMPS = b"\x01\x01\x08\x0a"
"""How the options of most segments begin; these have nothing else (12 bytes)."""


class TcpOptions(NamedTuple):
    """The options that a segment has. A damaged option and all after it are ignored."""

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    sack_block: tuple[int, int] | None = None
    """The first block, which has the segment that arrived last: its first sequence number, and the one behind it."""
    timestamps: bool = False


def read_options(data: bytes) -> TcpOptions:
    """The options in `data`, the bytes behind the fixed TCP header. A malformed option ends the list."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == NOTHING:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else 0
        if size < 2 or at + size > len(data):
            break
        found[data[at]] = data[at + 2 : at + size]
        at += size
    mss, scale, sack = found.get(MSS, b""), found.get(WINDOW_SCALE, b""), found.get(SACK, b"")
    return TcpOptions(
        mss=int.from_bytes(mss, "big") if len(mss) == 2 else None,
        window_scale=min(scale[0], LARGEST_WINDOW_SCALE) if len(scale) == 1 else None,
        sack_permitted=SACK_PERMITTED in found,
        sack_block=struct.unpack_from("!II", sack) if len(sack) >= 8 else None,
        timestamps=TIMESTAMPS in found,
    )
