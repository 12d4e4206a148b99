"""A media file becomes an endless transport stream in RTP, paced by its PCRs, without an error of TR 101 290."""

import io
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest

from overlay.null_stream import NULL_PACKET
from overlay.pacing import MOST_BETWEEN_PCRS, NotPacedError, paced, rtp_packets
from overlay.ts_check import TsCheck, crc32_mpeg
from overlay.ts_packets import TS_BYTES, pcr_ahead_s, read_ts_packet, split_ts

av = pytest.importorskip("av", reason="the extra overlay-media is not installed")
SECONDS, RATE_KBPS = 3, 1000.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.overlay.clips import write_clip

    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=SECONDS)


@pytest.fixture(scope="module")
def stream(clip: Path) -> list[tuple[float, bytes]]:
    """Eight seconds: the clip more than twice."""
    from overlay.media_file import ts_of_file

    payloads = []
    for due_s, payload in paced(ts_of_file(clip, RATE_KBPS)):
        if due_s > 8:
            break
        payloads.append((due_s, payload))
    return payloads


def checked(stream: list[tuple[float, bytes]]) -> TsCheck:
    check = TsCheck()
    for due_s, payload in stream:
        check.payload(payload, due_s)
    return check


def test_the_stream_has_its_rate_and_no_error_of_tr_101_290(stream: list[tuple[float, bytes]]):
    check = checked(stream)
    assert check.as_json() == {"missing_streams": [], "pcr_intervals": check.pcr_intervals}
    assert check.pcr_intervals > 300
    bits = sum(len(payload) for _, payload in stream) * 8
    assert bits / stream[-1][0] / 1000 == pytest.approx(RATE_KBPS, rel=0.01)


def test_the_timestamps_continue_when_the_file_begins_again(stream: list[tuple[float, bytes]]):
    with av.open(io.BytesIO(b"".join(payload for _, payload in stream)), format="mpegts") as media:
        times_s = [float(frame.pts * frame.time_base) for frame in media.decode(video=0)]
    assert len(times_s) >= 25 * 7 - 1
    assert all(0.03 < later - earlier < 0.1 for earlier, later in pairwise(times_s))


def test_packets_are_due_at_the_times_of_their_pcrs_and_rtp_timestamps_follow(stream: list[tuple[float, bytes]]):
    pcrs = []
    for due_s, payload in stream:
        for data in split_ts(payload):
            packet = read_ts_packet(data)
            if packet is not None and packet.pcr is not None:
                pcrs.append((due_s, packet.pcr))
    first_s, first = pcrs[0]
    assert max(abs(pcr_ahead_s(pcr, first) - (due_s - first_s)) for due_s, pcr in pcrs) < 0.012  # one RTP packet
    for due_s, rtp in islice(rtp_packets(stream, 7), 50):
        assert int.from_bytes(rtp[4:8], "big") == round(due_s * 90_000)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("continuity_count_error", lambda payloads: payloads[:100] + payloads[101:]),
        ("sync_byte_error", lambda payloads: [*payloads[:100], b"\x00" + payloads[100][1:], *payloads[101:]]),
        ("ts_sync_loss", lambda payloads: [*payloads[:100], bytes(len(payloads[100])), *payloads[101:]]),
        ("transport_error", lambda payloads: changed(payloads, lambda data: data[:1] + bytes((data[1] | 0x80,)) + data[2:], 0x100)),
        ("crc_error", lambda payloads: changed(payloads, lambda data: data[:14] + bytes((data[14] ^ 1,)) + data[15:], 0)),
        ("pat_error", lambda payloads: changed(payloads, lambda _: NULL_PACKET, 0)),
        ("pmt_error", lambda payloads: changed(payloads, lambda _: NULL_PACKET, 0x1000)),
        ("pid_error", lambda payloads: changed(payloads, lambda _: NULL_PACKET, 0x101)),
        ("pcr_repetition_error", lambda payloads: payloads[:100] + payloads[110:]),
        ("pcr_discontinuity_error", lambda payloads: payloads[:100] + payloads[120:]),
        ("pts_error", lambda payloads: payloads[:100] + payloads[180:]),
        ("cat_error", lambda payloads: changed(payloads, lambda data: data[:3] + bytes((data[3] | 0x80,)) + data[4:], 0x100)),
    ],
)
def test_each_error_in_a_transport_stream_is_found_and_named(stream: list[tuple[float, bytes]], name: str, damage):
    damaged = damage([payload for _, payload in stream])
    by_payload = {payload: due_s for due_s, payload in stream}
    times_s = iter(due_s for due_s, _ in stream)
    check = TsCheck()
    for payload in damaged:
        check.payload(payload, by_payload.get(payload) or next(times_s))
    assert check.counts[name] > 0
    assert bool(check.missing_streams) == (name == "pid_error")


def changed(payloads: list[bytes], change, pid: int) -> list[bytes]:
    """Every packet of a PID, changed."""

    def packets(payload: bytes) -> Iterator[bytes]:
        for data in split_ts(payload):
            packet = read_ts_packet(data)
            yield change(data) if packet is not None and packet.pid == pid else data

    return [b"".join(packets(payload)) for payload in payloads]


def test_a_stream_of_null_packets_has_no_errors():
    assert checked([(number / 10, NULL_PACKET * 7) for number in range(100)]).as_json() == {
        "missing_streams": [],
        "pcr_intervals": 0,
    }


def test_a_stream_without_a_clock_is_refused():
    with pytest.raises(NotPacedError, match="no PCR"):
        list(paced(NULL_PACKET for _ in range(MOST_BETWEEN_PCRS + 1)))


def test_a_file_without_media_gets_an_error_with_advice(tmp_path: Path):
    from overlay.media_file import MediaFileError, least_rate_kbps

    wrong = tmp_path / "notes.mp4"
    wrong.write_text("no media")
    for path in (wrong, tmp_path / "absent.mp4"):
        with pytest.raises(MediaFileError, match=r"use MP4, MKV or TS"):
            least_rate_kbps(path)


def test_a_file_that_loses_its_packets_while_it_plays_ends_with_an_error(tmp_path: Path):
    from overlay.media_file import MediaFileError, ts_of_file
    from tests.overlay.clips import write_clip

    file = write_clip(tmp_path / "clip.ts", seconds=1)
    playing = ts_of_file(file, 1000.0)
    next(playing)
    tables = file.read_bytes()[: 3 * TS_BYTES]  # the names of the streams, and nothing of them
    file.write_bytes(tables)
    with pytest.raises(MediaFileError, match=r"no packets|cannot be read"):
        list(islice(playing, 20_000))


def test_a_file_with_times_that_a_stream_cannot_have_ends_with_an_error(tmp_path: Path):
    from overlay.media_file import MediaFileError, ts_of_file
    from tests.overlay.clips import write_clip

    file = tmp_path / "backwards.ts"
    clip = write_clip(tmp_path / "clip.ts", seconds=1).read_bytes()
    file.write_bytes(clip[: len(clip) // 2 // TS_BYTES * TS_BYTES] + clip)
    with pytest.raises(MediaFileError, match="is damaged"):
        list(islice(ts_of_file(file, 1000.0), 20_000))


def test_a_gap_of_hours_ends_with_an_error_and_does_not_fill_the_memory(tmp_path: Path):
    from overlay.media_file import MediaFileError, ts_of_file
    from tests.overlay.clips import write_clip

    clip, file = write_clip(tmp_path / "clip.mp4", seconds=1), tmp_path / "gap.mp4"
    with av.open(str(clip)) as media, av.open(str(file), "w") as out:
        (video,) = media.streams.video
        copied = out.add_stream_from_template(video)
        for number, packet in enumerate(media.demux(video)):
            if packet.dts is None:
                continue
            packet.dts += (number > 9) * round(36_000 / packet.time_base)
            packet.pts += (number > 9) * round(36_000 / packet.time_base)
            packet.stream = copied
            out.mux(packet)
    with pytest.raises(MediaFileError, match="has a gap of 36,000 s"):
        list(islice(ts_of_file(file, 1000.0), 20_000))


def test_a_file_whose_title_is_no_text_is_played(tmp_path: Path):
    from overlay.media_file import least_rate_kbps, ts_of_file
    from tests.overlay.clips import write_clip

    clip, file = write_clip(tmp_path / "clip.mp4", seconds=1), tmp_path / "title.mp4"
    file.write_bytes(clip.read_bytes().replace(b"VideoHandler", b"Video\xd2andler"))
    assert b"\xd2andler" in file.read_bytes()
    assert least_rate_kbps(file) > 0
    assert len(list(islice(ts_of_file(file, 1000.0), 100))) == 100


def test_damaged_ts_packets_are_rejected():
    assert read_ts_packet(b"\x47" + bytes(10)) is None
    assert read_ts_packet(bytes(TS_BYTES)) is None
    assert read_ts_packet(b"\x47\x00\x11\x30\xff" + bytes(TS_BYTES - 5)) is None
    assert crc32_mpeg(b"123456789") == 0x0376E6E7
