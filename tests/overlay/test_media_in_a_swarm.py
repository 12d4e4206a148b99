"""A media file over the overlay: libavformat, ffmpeg, VLC and GStreamer open the player's `rtp://` without an SDP and decode it."""

import io
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.overlay.loopback import Loopback
from tests.overlay.swarm import Part, Swarm

av = pytest.importorskip("av", reason="the extra overlay-media is not installed")
FRAMES, MANY_FRAMES = 30, 100
RECORDED_PACKETS = 200
"""Two seconds at 1 Mbit/s: the second in which a group of pictures may begin, and one second of frames."""
CLIP_S, FRAMES_A_SECOND = 60, 25
RELAYS = ("r1", "r2", "r3")


@contextmanager
def film_behind_four_links(folder: Path, *, seconds: int) -> Iterator[tuple[Part, int]]:
    """The player that plays a clip, and the port to which it sends RTP."""
    from tests.overlay.clips import write_clip

    clip = write_clip(folder / "clip.mp4", seconds=seconds)
    names = ("s", *RELAYS, "p")
    topology = {name: {"neighbors": [*names[place + 1 : place + 2]]} for place, name in enumerate(names)}
    topology["x"] = {"neighbors": []}
    streams = {"film": {"source": "s", "rate_kbps": 1000, "players": ["p"]}}
    network, port = Loopback(), free_port()
    try:
        swarm = Swarm(network, {**topology, "streams": streams}, folder, bootstrapper_at="s", port=free_port())
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        for name in RELAYS:
            swarm.start("node", name)
        swarm.start("source", "s", "--stream", "film", "--file", str(clip), "--rate-kbps", "1000")
        player = swarm.start("play", "p", "--stream", "film", "--file", "clip.mp4", "--rtp", f"127.0.0.1:{port}")
        eventually(lambda: player.printed("played_ms") and player.printed("played_ms")[-1]["played_ms"] > 0)
        listed = swarm.list_offers("p")
        assert (listed["stream"], listed["source"], listed["files"]) == ("film", "s", ["clip.mp4"])
        refused = swarm.refused_play("x", "--stream", "film", "--file", "clap.mp4")
        assert refused == "swarmscope: stream 'film' has no file 'clap.mp4'; its source offers clip.mp4\n"
        yield player, port
    finally:
        network.end()


def test_a_stock_player_decodes_the_file_behind_four_links(tmp_path: Path):
    with film_behind_four_links(tmp_path, seconds=3) as (player, port):
        with av.open(f"rtp://127.0.0.1:{port}", options={"analyzeduration": "1000000", "probesize": "200000"}) as media:
            times_s = [float(frame.pts * frame.time_base) for frame in islice(media.decode(video=0), FRAMES)]
        played = player.printed("played_ms")[-1]
        with av.open(io.BytesIO(ts_without_a_gap(port, RECORDED_PACKETS))) as media:
            recorded_s = [float(frame.pts * frame.time_base) for frame in media.decode(video=0)]
    due = (recorded_s[-1] - recorded_s[0]) * FRAMES_A_SECOND + 1
    print(f"{len(recorded_s)} frames of {due:.0f} due; TR 101 290 at the edge: {played['ts']}")
    assert played["depth"] == 4
    assert len(times_s) == FRAMES
    assert times_s == sorted(times_s)
    assert due >= FRAMES_A_SECOND
    assert len(recorded_s) >= 0.99 * due - 1  # a repetition of the clip begins between two frames
    assert played["ts"]["missing_streams"] == []
    assert "continuity_count_error" not in played["ts"]


def ts_without_a_gap(port: int, packets: int) -> bytes:
    """The transport stream in consecutive RTP packets. It begins again if this process was too slow to read one of them."""
    payloads: list[bytes] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", port))
        receiver.settimeout(30)
        before = None
        while len(payloads) < packets:
            packet = receiver.recv(2048)
            sequence = int.from_bytes(packet[2:4], "big")
            if before is not None and sequence != (before + 1) % 65536:
                payloads.clear()
            payloads.append(packet[12:])
            before = sequence
    return b"".join(payloads)


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
def test_the_program_ffmpeg_decodes_a_minute_behind_four_links(tmp_path: Path):
    """Without an SDP file. The clip repeats, so a minute from any moment on has as many frames."""
    with film_behind_four_links(tmp_path, seconds=CLIP_S) as (_, port):
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", f"rtp://127.0.0.1:{port}", "-map", "0:v:0", "-t", str(CLIP_S)]
        framed = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True, timeout=CLIP_S * 3, check=True)
    times_s = [int(line.split(",")[2]) / FRAMES_A_SECOND for line in framed.stdout.splitlines() if line and line[0] != "#"]
    due = (times_s[-1] - times_s[0]) * FRAMES_A_SECOND + 1
    print(f"{len(times_s)} frames of {due:.0f} due in {CLIP_S} s")
    assert due >= 0.95 * CLIP_S * FRAMES_A_SECOND
    assert len(times_s) >= 0.99 * due


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="the program gst-launch-1.0 is not installed")
def test_gstreamer_decodes_the_file_behind_four_links(tmp_path: Path):
    caps = "application/x-rtp,media=video,encoding-name=MP2T,payload=33,clock-rate=90000"
    with film_behind_four_links(tmp_path, seconds=CLIP_S) as (_, port):
        pipeline = f"udpsrc port={port} caps={caps} ! rtpjitterbuffer ! rtpmp2tdepay ! decodebin"
        counted = f"{pipeline} ! video/x-raw ! identity eos-after={MANY_FRAMES} ! fakesink"
        subprocess.run(["gst-launch-1.0", "-q", *counted.split()], timeout=CLIP_S, check=True)  # ends after so many frames


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("cvlc") is None, reason="the program cvlc is not installed")
def test_vlc_decodes_the_file_behind_four_links(tmp_path: Path):
    """VLC refuses to run as root. It decodes the video and encodes it again as MPEG-2, which shows that it decoded frames."""
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    # Only root may enter the folders of pytest.
    with TemporaryDirectory() as seen, film_behind_four_links(tmp_path, seconds=CLIP_S) as (_, port):
        Path(seen).chmod(0o777)
        written = Path(seen, "vlc.ts")
        again = f"#transcode{{vcodec=mp2v,vb=2000,acodec=none}}:std{{access=file,mux=ts,dst={written}}}"
        command = ["cvlc", "--quiet", f"rtp://@127.0.0.1:{port}", "--sout", again]
        environment = {**os.environ, "HOME": seen}
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, **user) as vlc:
            try:
                eventually(lambda: frames_in(written) >= MANY_FRAMES, within_s=CLIP_S, every_s=1)
            finally:
                vlc.terminate()


def frames_in(file: Path) -> int:
    """The frames of MPEG-2 video in a file that is being written."""
    with suppress(FileNotFoundError, av.error.InvalidDataError), av.open(str(file)) as media:
        if media.streams.video and media.streams.video[0].codec_context.name == "mpeg2video":
            return sum(1 for _ in media.decode(video=0))
    return 0
