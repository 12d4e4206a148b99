"""One relay of the overlay under the profiles of the MoQ relay benchmark (draft-evens-moq-bench-00): audio, video, and meetings.

The relay is a process of its own; publishers and subscribers are nodes in this process, on the loopback interface. Names, sizes,
intervals and durations of the tracks are those of the draft's examples. An object that is larger than a packet travels in several
RTP packets, and is lost if one of them is. What the draft calls a datagram track is a stream on UDP, with repair; a reliable one
is a stream on links with TCP. Variances are mean deviations from the interval of the track, as the draft defines them.
"""

import asyncio
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.goals import heading, load
from overlay.bootstrapper import Bootstrapper
from overlay.node import OverlayNode
from overlay.node_settings import NodeSettings, StreamChoice
from overlay.overlay_file import read_overlay_file
from overlay.proofs import node_key
from overlay.reception import Arrival

START_DELAY_S, TRANSMIT_S = 5.0, 30.0
SECRET = b"a secret of the benchmark, 32 bytes"
MOST_PAYLOAD = 1300
HEADER = struct.Struct("!BQQHH")
"""Type of the message, group, object, part, parts."""
START, DATA, COMPLETION = 1, 2, 3
RELAY = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A config profile of the draft. Sizes in bytes."""

    name: str
    interval_s: float
    objects_per_group: int
    first_object: int
    other_object: int


AUDIO = Track(name="audio", interval_s=0.02, objects_per_group=1, first_object=120, other_object=120)
VIDEO = Track(name="video", interval_s=1 / 30, objects_per_group=150, first_object=21_333, other_object=2_666)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row: who publishes what, and to how many subscribers."""

    name: str
    tracks: tuple[Track, ...]
    subscribers: int
    meetings: int = 0
    """In meetings of three, everyone publishes, and subscribes to the two others."""
    transport: str = "udp"

    def subscriptions(self) -> dict[str, list[str]]:
        """The streams that each client subscribes to. A stream is named after its publisher and its track."""
        if not self.meetings:
            return {f"c{number}": [f"p {track.name}" for track in self.tracks] for number in range(self.subscribers)}
        clients = [f"m{side} {place}" for side in range(self.meetings) for place in range(3)]
        return {
            one: [f"{other} {track.name}" for other in clients for track in self.tracks if one != other and one[:-2] == other[:-2]]
            for one in clients
        }

    def publishers(self) -> dict[str, dict[str, Track]]:
        """The streams that each client publishes."""
        names = [*self.subscriptions()] if self.meetings else ["p"]
        return {name: {f"{name} {track.name}": track for track in self.tracks} for name in names}


CASES = [
    *(Case(name="1: audio", tracks=(AUDIO,), subscribers=count) for count in (10, 100)),
    *(Case(name="2: audio, video", tracks=(AUDIO, VIDEO), subscribers=count) for count in (10, 50, 100)),
    Case(name="2: audio, video, TCP", tracks=(AUDIO, VIDEO), subscribers=50, transport="tcp"),
    *(Case(name="3: meetings of 3", tracks=(AUDIO, VIDEO), subscribers=3 * count, meetings=count) for count in (2, 8)),
]
COLUMNS = {
    "profile": 22,
    "clients": 9,
    "sent": 9,
    "lost": 7,
    "kbit/s each": 13,
    "Mbit/s out": 12,
    "publ. var. ms": 15,
    "recv. var. ms": 15,
    "max delta ms": 14,
    "relay core": 12,
}
"""`sent`: objects times subscribers. `max delta`: longest time between two objects of a track. `relay core`: share of one core."""


def main() -> None:
    """Print a row for each case."""
    print(heading(COLUMNS), flush=True)
    for case in CASES:
        print(
            "".join(f"{value:>{width}}" for value, width in zip(asyncio.run(run(case)), COLUMNS.values(), strict=True)), flush=True
        )
    print(load())


@dataclass(slots=True)
class Published:
    """What a publisher has sent of a track."""

    objects: int = 0
    late_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Received:
    """What a subscriber has received of a track."""

    interval_s: float
    ready: bool = False
    objects: int = 0
    payload_bytes: int = 0
    deviations_s: list[float] = field(default_factory=list)
    longest_s: float = 0.0
    complete: bool = False
    _first: tuple[int, float] | None = None
    _latest_s: float = 0.0
    _parts: dict[int, int] = field(default_factory=dict)

    def packet(self, rtp: bytes, now_s: float, objects_per_group: int) -> None:
        """A packet. An object counts when its last part is here."""
        kind, group, place, _, parts = HEADER.unpack_from(rtp, 12)
        self.ready = self.ready or kind == START
        self.complete = self.complete or kind == COMPLETION
        if kind != DATA:
            return
        self.payload_bytes += len(rtp) - 12
        number = group * objects_per_group + place
        self._parts[number] = self._parts.get(number, 0) + 1
        if self._parts[number] < parts:
            return
        del self._parts[number]
        self.objects += 1
        if self._first is None:
            self._first = number, now_s
        else:
            self.longest_s = max(self.longest_s, now_s - self._latest_s)
            first, first_s = self._first
            self.deviations_s.append(abs((now_s - first_s) - (number - first) * self.interval_s))
        self._latest_s = now_s


def packets_of(kind: int, group: int, place: int, size: int, sequence: int, source_id: int) -> Iterator[bytes]:
    """The RTP packets of an object."""
    parts = max(1, -(-size // MOST_PAYLOAD))
    for part in range(parts):
        length = min(MOST_PAYLOAD, size - part * MOST_PAYLOAD)
        rtp = struct.pack("!BBHII", 0x80, 96, (sequence + part) % 65_536, 0, source_id)
        yield rtp + HEADER.pack(kind, group, place, part, parts) + bytes(max(length - HEADER.size, 0))


class Publisher:
    """Publishes one track on time."""

    def __init__(self, node: OverlayNode, stream: str, track: Track, source_id: int) -> None:
        self.published, self._node, self._stream, self._track, self._id = Published(), node, stream, track, source_id
        self._sequence = 0

    def _send(self, kind: int, group: int, place: int, size: int) -> None:
        for rtp in packets_of(kind, group, place, size, self._sequence, self._id):
            self._node.originate(self._stream, rtp)
            self._sequence += 1

    async def start(self, ready: asyncio.Event) -> None:
        """Send START until every subscriber has it."""
        while not ready.is_set():
            self._send(START, 0, 0, HEADER.size)
            await asyncio.sleep(max(START_DELAY_S / 10, 0.1))

    async def publish(self) -> None:
        """Send the objects of the track, and the completion message."""
        track, begin_s = self._track, time.monotonic()
        for number in range(round(TRANSMIT_S / track.interval_s)):
            due_s = begin_s + number * track.interval_s
            await asyncio.sleep(max(due_s - time.monotonic(), 0))
            self.published.late_s.append(time.monotonic() - due_s)
            group, place = divmod(number, track.objects_per_group)
            self._send(DATA, group, place, track.other_object if place else track.first_object)
            self.published.objects += 1
        await asyncio.sleep(0.2)
        self._send(COMPLETION, 0, 0, HEADER.size)


async def run(case: Case) -> list[str]:
    """The values of a row."""
    publishers, subscriptions = case.publishers(), case.subscriptions()
    tracks = {stream: track for streams in publishers.values() for stream, track in streams.items()}
    clients = dict.fromkeys([*publishers, *subscriptions])
    topology = {
        **{name: {"neighbors": [RELAY], "role": "player", "max_children": 1} for name in clients},
        RELAY: {"neighbors": []},
        "links": [{"between": [name, RELAY], "transport": case.transport} for name in clients],
        "streams": {stream: {"source": name} for name, streams in publishers.items() for stream in streams},
    }
    bootstrapper, bound = Bootstrapper(read_overlay_file(json.dumps(topology)), SECRET), asyncio.get_running_loop().create_future()
    tasks = [asyncio.create_task(bootstrapper.serve("127.0.0.1", 0, bound.set_result))]
    port = await bound
    received = {
        (name, stream): Received(tracks[stream].interval_s) for name, streams in subscriptions.items() for stream in streams
    }

    def client(name: str) -> OverlayNode:
        def arrived(arrival: Arrival) -> None:
            if (one := received.get((name, arrival.stream))) is not None:
                one.packet(arrival.rtp, arrival.now_s, tracks[arrival.stream].objects_per_group)

        settings = NodeSettings(
            name=name,
            key=node_key(SECRET, name),
            bootstrapper=("127.0.0.1", port),
            plays=tuple(StreamChoice(stream=stream) for stream in subscriptions.get(name, ())),
            originates=dict.fromkeys(publishers.get(name, ()), ()),
        )
        return OverlayNode(settings, arrived)

    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        relay = _relay(Path(folder), port)
        try:
            nodes = {name: client(name) for name in clients}
            tasks += [asyncio.create_task(node.run()) for node in nodes.values()]
            sending = [
                Publisher(nodes[name], stream, track, number)
                for number, (name, stream, track) in enumerate(
                    (name, stream, track) for name, streams in publishers.items() for stream, track in streams.items()
                )
            ]
            ready = asyncio.Event()
            starting = [asyncio.create_task(each.start(ready)) for each in sending]
            async with asyncio.timeout(120):
                while not all(each.ready for each in received.values()):  # noqa: ASYNC110 - it is no event
                    await asyncio.sleep(0.1)
            await asyncio.sleep(START_DELAY_S)
            ready.set()
            await asyncio.gather(*starting)
            used_s, began_s = _cpu_s(relay.pid), time.monotonic()
            await asyncio.gather(*(each.publish() for each in sending))
            await asyncio.sleep(1.0)  # the last repairs
            cores = (_cpu_s(relay.pid) - used_s) / (time.monotonic() - began_s)
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            relay.send_signal(signal.SIGTERM)
            relay.wait(30)
    return _row(case, sending, list(received.values()), tracks, received, cores)


def _row(
    case: Case,
    sending: list[Publisher],
    subscribed: list[Received],
    tracks: dict[str, Track],
    received: dict[tuple[str, str], Received],
    cores: float,
) -> list[str]:
    due = sum(round(TRANSMIT_S / tracks[stream].interval_s) for _, stream in received)
    total_bits = 8 * sum(each.payload_bytes for each in subscribed)
    clients = len({name for name, _ in received})
    late_s = [value for each in sending for value in each.published.late_s]
    deviations_s = [value for each in subscribed for value in each.deviations_s]
    return [
        case.name,
        f"{clients}",
        f"{due}",
        f"{due - sum(each.objects for each in subscribed)}",
        f"{total_bits / TRANSMIT_S / clients / 1000:.0f}",
        f"{total_bits / TRANSMIT_S / 1e6:.1f}",
        f"{statistics.fmean(late_s) * 1000:.1f}",
        f"{statistics.fmean(deviations_s) * 1000:.1f}",
        f"{max(each.longest_s for each in subscribed) * 1000:.0f}",
        f"{cores:.2f}",
    ]


def _relay(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    key = folder / "relay.key"
    key.write_text(node_key(SECRET, RELAY).hex(), encoding="ascii")
    flags = ["--key", str(key), "--bootstrapper", f"127.0.0.1:{port}"]
    return subprocess.Popen([sys.executable, "-m", "swarmscope", "overlay", "node", RELAY, *flags], stdout=subprocess.DEVNULL)


def _cpu_s(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
