"""MPEG-TS packets (ISO/IEC 13818-1): the fields that pacing and checking need."""

from collections.abc import Iterator

from msgspec import Struct

TS_BYTES = 188
SYNC = 0x47
NULL_PID = 0x1FFF
PCR_HZ = 27_000_000
PCR_VALUES = (1 << 33) * 300
"""PCR wraps after 26.5 hours."""


class TsPacket(Struct, frozen=True, kw_only=True, gc=False):
    """The header of one packet."""

    pid: int
    starts: bool
    """Whether a section or PES packet begins here."""
    scrambled: bool
    damaged: bool
    """The transport error indicator."""
    counter: int
    has_payload: bool
    discontinuity: bool
    pcr: int | None
    """In units of 1/27,000,000 s."""
    payload: bytes


def read_ts_packet(data: bytes) -> TsPacket | None:
    """The header; None if the packet does not begin with the sync byte, or its fields reach beyond its end."""
    if len(data) != TS_BYTES or data[0] != SYNC:
        return None
    adaptation, begin, discontinuity, pcr = data[3] >> 4 & 3, 4, False, None
    if adaptation & 2:
        length = data[4]
        begin = 5 + length
        if begin > TS_BYTES:
            return None
        if length > 0:
            discontinuity = bool(data[5] & 0x80)
            if data[5] & 0x10 and length >= 7:
                base, extension = int.from_bytes(data[6:11], "big") >> 7, int.from_bytes(data[10:12], "big") & 0x1FF
                pcr = base * 300 + extension
    return TsPacket(
        pid=int.from_bytes(data[1:3], "big") & 0x1FFF,
        starts=bool(data[1] & 0x40),
        scrambled=bool(data[3] & 0xC0),
        damaged=bool(data[1] & 0x80),
        counter=data[3] & 15,
        has_payload=bool(adaptation & 1),
        discontinuity=discontinuity,
        pcr=pcr,
        payload=data[begin:] if adaptation & 1 else b"",
    )


def is_null_packet(data: bytes) -> bool:
    """Whether the packet only fills the stream."""
    return len(data) == TS_BYTES and data[0] == SYNC and data[1] & 0x1F == 0x1F and data[2] == 0xFF and not data[3] & 0x20


def split_ts(payload: bytes) -> Iterator[bytes]:
    """The pieces of a payload that have the size of a packet; the last one may be shorter."""
    return (payload[begin : begin + TS_BYTES] for begin in range(0, len(payload), TS_BYTES))


def pcr_ahead_s(later: int, earlier: int) -> float:
    """Seconds from one PCR to another; negative if the second one is earlier."""
    return ((later - earlier + PCR_VALUES // 2) % PCR_VALUES - PCR_VALUES // 2) / PCR_HZ
