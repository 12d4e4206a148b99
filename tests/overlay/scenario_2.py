"""The seed project's second scenario: two ways to a player, and the relay in use fails."""

import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from netlab import CapturedFrame, Lab, Topology, read_capture, read_topology
from overlay.data_header import HEADER_BYTES
from tests.harness.waiting import eventually
from tests.overlay.swarm import Swarm

RATE_KBPS = 1000.0
UDP = 17
LINKS = [("s", "n2"), ("n2", "n6"), ("n2", "n9"), ("n6", "p"), ("n9", "p")]
OVERLAY = {
    "s": {"neighbors": ["n2"], "role": "source"},
    "n2": {"neighbors": ["n6", "n9"]},
    "n6": {"neighbors": ["p"]},
    "n9": {"neighbors": ["p"]},
    "p": {"neighbors": [], "role": "player"},
}


def lab_topology(**shape: float) -> Topology:
    """Every node is a router too, so each can reach each."""
    nodes = {name: {"forwards": True} for name in ("s", "n2", "n6", "n9", "p")}
    return read_topology(json.dumps({"nodes": nodes, "links": [{"between": link, **shape} for link in LINKS]}))


@contextmanager
def streaming(
    lab: Lab, folder: Path, *, relays: tuple[str, ...] = ("n2", "n6", "n9"), transport: str = "udp", **stream: str
) -> Iterator[Swarm]:
    """The swarm once the player receives, and has a backup if there are two ways."""
    streams = {"news": {"source": "s", "rate_kbps": RATE_KBPS, **stream}}
    links = [{"between": link, "transport": transport} for link in LINKS]
    swarm = Swarm(lab, {**OVERLAY, "links": links, "streams": streams}, folder, bootstrapper_at="s")
    eventually(lambda: any("ready" in line for line in swarm.bootstrapper.lines))
    for name in relays:
        swarm.start("node", name)
    swarm.start("play", "p", "--stream", "news")
    for name in (*relays, "p"):
        eventually(lambda name=name: swarm.parts[name].lines)
    swarm.start("source", "s", "--stream", "news", "--rate-kbps", str(RATE_KBPS))
    eventually(lambda: received(swarm) > 50)
    yield swarm


def received(swarm: Swarm) -> int:
    return max((line["received"] for line in swarm.parts["p"].printed("received")), default=0)


def parent(swarm: Swarm) -> str:
    """Who feeds the player."""
    return str(swarm.parts["p"].printed("parent")[-1]["parent"])


def is_media(frame: CapturedFrame) -> bool:
    """Control messages are shorter."""
    return frame.length > 1000 and frame.header[23] == UDP


def arrivals(captures: list[Path]) -> dict[int, int]:
    """When each RTP packet first arrived at the end host that was captured, in ns."""
    first: dict[int, int] = {}
    for path in captures:
        for frame in read_capture(path):
            rtp = 42 + HEADER_BYTES
            if is_media(frame):
                sequence = struct.unpack_from("!H", frame.header, rtp + 2)[0]
                first[sequence] = min(frame.time_ns, first.get(sequence, frame.time_ns))
    return first


def largest_gap_ms(first: dict[int, int], after_ns: int) -> float:
    """The longest time without a new packet that ends after a moment."""
    moments = sorted(first.values())
    return max(later - earlier for earlier, later in pairwise(moments) if later > after_ns) / 1e6
