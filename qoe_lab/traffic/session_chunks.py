"""The requests and chunks of all flows of a session, and the time without data from the server."""

from qoe_lab.traffic.chunk_detector import Chunk, ChunkDetector
from qoe_lab.traffic.flow_table import OpenFlow
from qoe_lab.traffic.segment_hints import SegmentHints
from qoe_lab.traffic.slot_sums import SlotSums
from qoe_lab.traffic.virtual_playback import VirtualPlayers

CHUNK_NUMBERS = (1, 2, 4)
"""The chunks whose ends are features of the session."""


class SessionChunks:
    """Adds what it finds to the sums of the open slot, which it gets with each call."""

    def __init__(self, begin_ns: int) -> None:
        self.ends_ns: list[int] = []
        """When the first chunks ended."""
        self.players = VirtualPlayers()
        self.hints = SegmentHints()
        self._open: dict[OpenFlow, ChunkDetector] = {}
        """Of flows with a request whose chunk is not complete."""
        self._last_request_ns: int | None = None
        self._last_data_ns = begin_ns
        self._longest_silence_ns = 0

    def up(self, flow: OpenFlow, payload: int, now_ns: int, sums: SlotSums) -> None:
        """See new payload from the client."""
        detector = self._open.get(flow) or ChunkDetector()
        if not detector.is_request(payload, tcp=flow.tcp is not None):
            return
        self._add(detector.request(now_ns), sums)
        self._open[flow] = detector
        sums.requests += 1
        if self._last_request_ns is not None:
            sums.request_gaps += 1
            sums.request_gap_ns += max(0, now_ns - self._last_request_ns)
        self._last_request_ns = now_ns

    def down(self, flow: OpenFlow, payload: int, now_ns: int) -> None:
        """See payload from the server."""
        silence_ns = now_ns - self._last_data_ns
        if silence_ns > 0:
            self._last_data_ns = now_ns
            if silence_ns > self._longest_silence_ns:
                self._longest_silence_ns = silence_ns
        detector = self._open.get(flow)
        if detector is not None:
            detector.data(payload, now_ns)

    def end_slot(self, end_ns: int, sums: SlotSums) -> None:
        """The slot is over: end the chunks of flows that are silent."""
        sums.silence_ns = max(self._longest_silence_ns, end_ns - self._last_data_ns)
        self._longest_silence_ns = 0
        for flow in [flow for flow, detector in self._open.items() if detector.is_silent(end_ns)]:
            self._add(self._open.pop(flow).close(), sums)

    def open_bytes(self) -> int:
        """Payload of the chunks that are not complete."""
        return sum(detector.bytes for detector in self._open.values())

    def oldest_request_ns(self) -> int | None:
        """Of the chunks that are not complete."""
        return min((detector.begin_ns for detector in self._open.values() if detector.begin_ns is not None), default=None)

    def _add(self, chunk: Chunk | None, sums: SlotSums) -> None:
        if chunk is not None:
            sums.add_chunk(chunk)
            self.players.arrive(chunk)
            self.hints.arrive(chunk)
            if len(self.ends_ns) < max(CHUNK_NUMBERS):
                self.ends_ns.append(chunk.end_ns)
