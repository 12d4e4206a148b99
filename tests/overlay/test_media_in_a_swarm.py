"""A media file over the overlay: libavformat, as in ffmpeg and VLC, opens the player's `rtp://` without an SDP and decodes it."""

from itertools import islice
from pathlib import Path

import pytest

from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.overlay.loopback import Loopback
from tests.overlay.swarm import Swarm

av = pytest.importorskip("av", reason="the extra overlay-media is not installed")
FRAMES = 100
RELAYS = ("r1", "r2", "r3")


def test_a_stock_player_decodes_the_file_behind_four_links(tmp_path: Path):
    from tests.overlay.clips import write_clip

    clip = write_clip(tmp_path / "clip.mp4")
    names = ("s", *RELAYS, "p")
    topology = {name: {"neighbors": [*names[place + 1 : place + 2]]} for place, name in enumerate(names)}
    streams = {"film": {"source": "s", "rate_kbps": 1000, "players": ["p"]}}
    network, port = Loopback(), free_port()
    try:
        swarm = Swarm(network, {**topology, "streams": streams}, tmp_path, bootstrapper_at="s", port=free_port())
        eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
        for name in RELAYS:
            swarm.start("node", name)
        swarm.start("source", "s", "--stream", "film", "--file", str(clip), "--rate-kbps", "1000")
        player = swarm.start("play", "p", "--stream", "film", "--rtp", f"127.0.0.1:{port}")
        eventually(lambda: player.printed("played_ms") and player.printed("played_ms")[-1]["played_ms"] > 0)
        with av.open(f"rtp://127.0.0.1:{port}", options={"analyzeduration": "1000000", "probesize": "200000"}) as media:
            times_s = [float(frame.pts * frame.time_base) for frame in islice(media.decode(video=0), FRAMES)]
        played = player.printed("played_ms")[-1]
    finally:
        network.end()
    due = (times_s[-1] - times_s[0]) * 25
    print(f"{len(times_s)} frames of {due:.0f} due; TR 101 290 at the edge: {played['ts']}")
    assert played["depth"] == 4
    assert len(times_s) == FRAMES
    assert len(times_s) >= 0.97 * due  # the sound of the clip is longer than its video
    assert played["ts"]["missing_streams"] == []
    assert "continuity_count_error" not in played["ts"]
