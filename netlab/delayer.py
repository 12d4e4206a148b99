"""Delay without `sch_netem`: this program carries frames between pairs of packet sockets and holds each for a while.

It runs as a process of its own, from this file alone (`python -I -S delayer.py WIRES`), with the standard library only. The
packet sockets are inherited descriptors. Frames of one direction keep their order. Standard input carries changes of delay, one
JSON object a line; its end ends the program. An empty line on standard output means
that it is ready, and one more that a change is made.
"""

import heapq
import json
import os
import random
import select
import sys
import time
from contextlib import suppress
from socket import socket

LARGEST_FRAME_BYTES = 65536
FRAMES_AT_ONCE = 64
"""How many frames of one socket are read before due frames of others are sent."""


class Wire:
    """One direction: frames that arrive at `source` leave at `target`."""

    __slots__ = ("delay_ns", "jitter_ns", "last_ns", "source", "target")

    def __init__(self, source: socket, target: socket, delay_ns: int, jitter_ns: int) -> None:
        self.source, self.target = source, target
        self.delay_ns, self.jitter_ns = delay_ns, jitter_ns
        self.last_ns = 0

    def release_ns(self, now_ns: int, chance: float) -> int:
        """When a frame that arrives now leaves; `chance` from 0 to 1 places it within the jitter."""
        planned = now_ns + self.delay_ns + int((2 * chance - 1) * self.jitter_ns)
        self.last_ns = max(self.last_ns, planned)
        return self.last_ns


def main() -> None:
    """Carry frames until standard input ends."""
    described = json.loads(sys.argv[1])
    ends = {descriptor: socket(fileno=descriptor) for descriptor in {wire["source"] for wire in described}}
    for end in ends.values():
        end.setblocking(False)
    wires = [Wire(ends[wire["source"]], ends[wire["target"]], wire["delay_ns"], wire["jitter_ns"]) for wire in described]
    by_descriptor = {wire.source.fileno(): wire for wire in wires}
    waiting: list[tuple[int, int, socket, bytes]] = []
    os.write(1, b"\n")  # ready
    number = 0
    while True:
        timeout_s = max(waiting[0][0] - time.monotonic_ns(), 0) / 1e9 if waiting else None
        readable, _, _ = select.select([0, *by_descriptor], [], [], timeout_s)
        for descriptor in readable:
            if descriptor == 0:
                if not change(wires):
                    return
                continue
            wire = by_descriptor[descriptor]
            for frame in arrived(wire.source):
                release_ns = wire.release_ns(time.monotonic_ns(), random.random())  # noqa: S311 - jitter is no secret
                number += 1
                heapq.heappush(waiting, (release_ns, number, wire.target, frame))
        now_ns = time.monotonic_ns()
        while waiting and waiting[0][0] <= now_ns:
            _, _, target, frame = heapq.heappop(waiting)
            pass_on(target, frame)


def arrived(source: socket) -> list[bytes]:
    """The waiting frames at `source`, at most FRAMES_AT_ONCE."""
    frames: list[bytes] = []
    with suppress(OSError):  # nothing more, or the interface is down
        while len(frames) < FRAMES_AT_ONCE:
            frames.append(source.recv(LARGEST_FRAME_BYTES))
    return frames


def pass_on(target: socket, frame: bytes) -> None:
    """Send a frame to the other end of the link."""
    with suppress(OSError):  # the interface is down or its queue is full: the frame is lost, as on a wire
        target.send(frame)


def change(wires: list[Wire]) -> bool:
    """Apply the changes that arrived; False at the end of standard input."""
    text = os.read(0, 65536)
    for line in text.splitlines():
        values = json.loads(line)
        wire = wires[values["wire"]]
        wire.delay_ns, wire.jitter_ns = values["delay_ns"], values["jitter_ns"]
        os.write(1, b"\n")
    return bool(text)


if __name__ == "__main__":
    main()
