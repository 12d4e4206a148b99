"""Checks of a transport stream at the edge, after ETSI TR 101 290: priority 1 and 2. Packets and times in, counts out.

An error that is a state (no PAT for half a second) counts once when it begins. PCR accuracy is not checked, because the time at
which software receives a packet says nothing about it. A stream of null packets only has no errors.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from overlay.ts_packets import NULL_PID, TsPacket, is_null_packet, pcr_ahead_s, read_ts_packet, split_ts

PAT_PID, CAT_PID = 0, 1
LONGEST_TABLE_GAP_S = 0.5
LONGEST_PCR_GAP_S = 0.04
LARGEST_PCR_STEP_S = 0.1
LONGEST_PTS_GAP_S = 0.7
STREAM_MISSING_S = 5.0
SYNC_LOST_AFTER, SYNC_FOUND_AFTER = 2, 5
ERRORS = (
    "ts_sync_loss",
    "sync_byte_error",
    "pat_error",
    "continuity_count_error",
    "pmt_error",
    "pid_error",
    "transport_error",
    "crc_error",
    "pcr_repetition_error",
    "pcr_discontinuity_error",
    "pts_error",
    "cat_error",
)


def crc32_mpeg(data: bytes) -> int:
    """CRC-32 of sections (ISO/IEC 13818-1, annex A); 0 over a whole section with its CRC."""
    return reduce(lambda crc, byte: (crc << 8) & 0xFFFFFFFF ^ _CRC[(crc >> 24) ^ byte], data, 0xFFFFFFFF)


def _crc_entry(value: int) -> int:
    value <<= 24
    for _ in range(8):
        value = (value << 1) ^ 0x04C11DB7 if value & 0x80000000 else value << 1
    return value & 0xFFFFFFFF


_CRC = [_crc_entry(value) for value in range(256)]


@dataclass(slots=True)
class _Seen:
    """One PID."""

    counter: int | None = None
    repeated: bool = False
    arrived_s: float = 0.0
    pcr: int | None = None
    pcr_s: float = 0.0
    pts_s: float | None = None


@dataclass(slots=True)
class TsCheck:
    """`counts` has the errors by their name in TR 101 290, in lower case."""

    counts: Counter[str] = field(default_factory=Counter)
    pcr_intervals: int = 0
    missing_streams: set[int] = field(default_factory=set)
    """PIDs of the PMT that have been missing for 5 s. They are reported in addition to the counter `pid_error`."""
    _pids: dict[int, _Seen] = field(default_factory=dict)
    _programs: dict[int, set[int]] = field(default_factory=dict)
    """The elementary streams of each PMT, by its PID."""
    _tables_s: dict[int, float] = field(default_factory=dict)
    """When each table arrived last. For a table that is expected from now on, it begins with the present time."""
    _late: set[int] = field(default_factory=set)
    _wrong_syncs: int = 0
    _right_syncs: int = SYNC_FOUND_AFTER
    _scrambled_without_cat: bool = False

    def payload(self, payload: bytes, now_s: float) -> None:
        """The TS packets of an RTP packet."""
        for data in split_ts(payload):
            packet = None if (is_null := is_null_packet(data)) else read_ts_packet(data)
            self._sync(found=is_null or packet is not None)
            if packet is not None and packet.pid != NULL_PID:
                self._packet(packet, now_s)
        if self._pids:
            self._look_for_absent(now_s)

    def as_json(self) -> dict[str, Any]:
        """The errors that have occurred, the streams that are missing now, and the number of PCR intervals."""
        errors = {name: self.counts[name] for name in ERRORS if self.counts[name]}
        return {**errors, "missing_streams": sorted(self.missing_streams), "pcr_intervals": self.pcr_intervals}

    def _sync(self, *, found: bool) -> None:
        if found:
            self._right_syncs += 1
            self._wrong_syncs = 0
            return
        self.counts["sync_byte_error"] += 1
        self._wrong_syncs += 1
        if self._wrong_syncs == SYNC_LOST_AFTER and self._right_syncs >= SYNC_FOUND_AFTER:
            self.counts["ts_sync_loss"] += 1
            self._right_syncs = 0

    def _packet(self, packet: TsPacket, now_s: float) -> None:
        if not self._pids:
            self._tables_s[PAT_PID] = now_s
        if packet.damaged:
            self.counts["transport_error"] += 1
            return  # its other fields may be wrong
        seen = self._pids.setdefault(packet.pid, _Seen())
        self._continuity(packet, seen)
        seen.arrived_s = now_s
        if packet.scrambled and CAT_PID not in self._pids and not self._scrambled_without_cat:
            self._scrambled_without_cat = True
            self.counts["cat_error"] += 1
        if packet.pcr is not None:
            self._pcr(packet, packet.pcr, seen, now_s)
        if packet.pid == PAT_PID or packet.pid in self._programs:
            self._table(packet, now_s)
        elif packet.starts and packet.payload[:3] == b"\x00\x00\x01" and len(packet.payload) > 8 and packet.payload[7] & 0x80:
            if seen.pts_s is not None and now_s - seen.pts_s > LONGEST_PTS_GAP_S:
                self.counts["pts_error"] += 1
            seen.pts_s = now_s

    def _continuity(self, packet: TsPacket, seen: _Seen) -> None:
        """Check the counter, which increases with each packet that has a payload. Such a packet may come twice, not three times."""
        expected = (seen.counter + packet.has_payload) % 16 if seen.counter is not None else packet.counter
        repeats = seen.counter == packet.counter and packet.has_payload and not seen.repeated
        if packet.counter != expected and not packet.discontinuity and not repeats:
            self.counts["continuity_count_error"] += 1
        seen.repeated = repeats and packet.counter != expected
        seen.counter = packet.counter

    def _pcr(self, packet: TsPacket, pcr: int, seen: _Seen, now_s: float) -> None:
        if seen.pcr is not None:
            self.pcr_intervals += 1
            step_s = pcr_ahead_s(pcr, seen.pcr)
            if now_s - seen.pcr_s > LONGEST_PCR_GAP_S:
                self.counts["pcr_repetition_error"] += 1
            if not 0 <= step_s <= LARGEST_PCR_STEP_S and not packet.discontinuity:
                self.counts["pcr_discontinuity_error"] += 1
        seen.pcr, seen.pcr_s = pcr, now_s

    def _table(self, packet: TsPacket, now_s: float) -> None:
        """Read a PAT or PMT. Sections longer than a packet are not read; with few streams, sections are short."""
        name, table = ("pat_error", 0) if packet.pid == PAT_PID else ("pmt_error", 2)
        if packet.scrambled:
            self.counts[name] += 1
            return
        if not packet.starts or not packet.payload:
            return
        section = packet.payload[1 + packet.payload[0] :]
        length = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF)
        if len(section) < length or length < 12:
            return
        section = section[:length]
        if crc32_mpeg(section):
            self.counts["crc_error"] += 1
        elif section[0] != table:
            self.counts[name] += 1
        else:
            self._tables_s[packet.pid] = now_s
            self._late.discard(packet.pid)
            if packet.pid == PAT_PID:
                self._pat(section, now_s)
            else:
                self._programs[packet.pid] = _streams_of_pmt(section)

    def _pat(self, section: bytes, now_s: float) -> None:
        entries = [section[begin : begin + 4] for begin in range(8, len(section) - 4, 4)]
        pids = {int.from_bytes(each[2:], "big") & 0x1FFF for each in entries if each[:2] != b"\x00\x00"}
        self._programs = {pid: self._programs.get(pid, set()) for pid in pids}
        for pid in pids:
            self._tables_s.setdefault(pid, now_s)
        self._tables_s = {pid: at_s for pid, at_s in self._tables_s.items() if pid == PAT_PID or pid in pids}

    def _look_for_absent(self, now_s: float) -> None:
        for pid, at_s in self._tables_s.items():
            if now_s - at_s > LONGEST_TABLE_GAP_S and pid not in self._late:
                self._late.add(pid)
                self.counts["pat_error" if pid == PAT_PID else "pmt_error"] += 1
        named = {pid for streams in self._programs.values() for pid in streams}
        self.missing_streams &= named
        for pid in named:
            seen = self._pids.setdefault(pid, _Seen(arrived_s=now_s))
            if now_s - seen.arrived_s <= STREAM_MISSING_S:
                self.missing_streams.discard(pid)
            elif pid not in self.missing_streams:
                self.missing_streams.add(pid)
                self.counts["pid_error"] += 1


def _streams_of_pmt(section: bytes) -> set[int]:
    begin, found = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF), set()
    while begin + 5 <= len(section) - 4:
        found.add(int.from_bytes(section[begin + 1 : begin + 3], "big") & 0x1FFF)
        begin += 5 + (int.from_bytes(section[begin + 3 : begin + 5], "big") & 0xFFF)
    return found
