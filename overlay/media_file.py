"""A media file as an endless transport stream: remuxed, not encoded again. The only module that imports PyAV.

Each repetition continues the timestamps of the one before, so receivers see one stream without an end.
"""

from collections import deque
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from overlay.pacing import MediaFileError
from overlay.ts_packets import TS_BYTES
from serving.regular_files import check_regular

MOST_GAP_S = 10.0
"""Between two packets. The muxer fills a gap with null packets, all of them at once in memory."""
OVERHEAD = 1.1
"""Headers of TS and PES, and PCRs, on top of the streams' own rate."""
OPTIONS = {"pcr_period": "20", "pat_period": "0.1", "sdt_period": "1", "max_delay": "700000"}
"""PCR and PAT more often than TR 101 290 asks for (40 and 500 ms); a decoder gets 0.7 s for large pictures, as in ffmpeg."""


class _Collected:
    """What the muxer writes."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def least_rate_kbps(file: Path) -> float:
    """The least rate of a transport stream that holds the file. MediaFileError if it is no media file."""
    with _opened(file) as media:
        if not media.streams.video and not media.streams.audio:
            raise MediaFileError(f"{file} has neither video nor audio; use a file with H.264 or AAC")
        known = [stream.codec_context for stream in (*media.streams.video, *media.streams.audio)]
        rates = [codec.bit_rate or 0 for codec in known if codec is not None]
        return max(sum(rates), media.bit_rate or 0) * OVERHEAD / 1000


def ts_of_file(file: Path, rate_kbps: float) -> Iterator[bytes]:
    """TS packets at a constant rate, without end. Null packets fill the rest of the rate.

    MediaFileError if the file cannot be read, or contains a codec that MPEG-TS does not know.
    """
    written = _Collected()
    options = {**OPTIONS, "muxrate": str(round(rate_kbps * 1000))}
    with av.open(written, mode="w", format="mpegts", options=options) as output:
        streams: dict[int, Any] = {}
        offset_s, end_s, last_s = 0.0, 0.0, inf
        begin_s: dict[int, float] = {}
        while True:
            packets = 0
            with _opened(file) as media:
                chosen = [*media.streams.video[:1], *media.streams.audio]
                for stream in chosen:
                    if stream.index not in streams:
                        streams[stream.index] = _added(output, stream, file)
                for packet in _demuxed(media, chosen, file):
                    packets += 1
                    begin_s.setdefault(packet.stream.index, float(packet.dts * packet.time_base))
                    end_s = max(end_s, _shift(packet, offset_s))
                    time_s = float(packet.dts * packet.time_base)
                    if time_s > last_s + MOST_GAP_S:
                        raise MediaFileError(f"{file} has a gap of {time_s - last_s:,.0f} s; the most is {MOST_GAP_S:g} s")
                    last_s = time_s if last_s == inf else max(last_s, time_s)
                    packet.stream = streams[packet.stream.index]
                    _mux(output, packet, file)
                    data = written.taken()
                    yield from (data[begin : begin + TS_BYTES] for begin in range(0, len(data), TS_BYTES))
            if not packets:
                raise MediaFileError(f"{file} contains no packets; use a complete media file")
            offset_s = end_s - min(begin_s.values())


def _demuxed(media: Any, chosen: Any, file: Path) -> Iterator[Any]:  # noqa: ANN401 - PyAV's types
    """The packets of these streams that have a time."""
    try:
        for packet in media.demux(chosen):
            if packet.dts is not None:  # None at the end of the file
                yield packet
    except FFmpegError as error:
        raise _damaged(file, error) from error


def _mux(output: Any, packet: Any, file: Path) -> None:  # noqa: ANN401 - PyAV's types
    try:
        output.mux(packet)
    except (FFmpegError, OverflowError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> MediaFileError:
    return MediaFileError(f"{file} is damaged: {error}; repair it, for example with: ffmpeg -i {file.name} -c copy NEW")


def _opened(file: Path) -> Any:  # noqa: ANN401 - PyAV's container, whose type depends on the mode
    try:
        check_regular(file)
        return av.open(str(file), metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        raise MediaFileError(f"{file} cannot be read as a media file: {error}; use MP4, MKV or TS with H.264 and AAC") from error


def _added(output: Any, stream: Any, file: Path) -> Any:  # noqa: ANN401 - PyAV's types
    try:
        return output.add_stream_from_template(stream)
    except (FFmpegError, ValueError, AttributeError) as error:  # AttributeError: a codec that FFmpeg does not know
        name = "of this file" if stream.codec_context is None else stream.codec_context.name
        raise MediaFileError(f"{file}: MPEG-TS cannot contain the codec {name}; convert it to H.264 or AAC") from error


def _shift(packet: Any, offset_s: float) -> float:  # noqa: ANN401 - PyAV's packet
    """Move the timestamps of a packet. Returns its end in seconds of the whole stream."""
    base = packet.time_base
    shift = round(offset_s / base)
    packet.dts += shift
    packet.pts = packet.dts if packet.pts is None else packet.pts + shift
    return float((max(packet.pts, packet.dts) + (packet.duration or 0)) * base)
