"""How much TCP gets through the link before a session: an independent check of the planned rate.

The window of the receiver is limited to what the link holds and half its queue, and the sender uses Reno. With a larger window, the
probe would measure how a congestion control recovers from a full queue. Only the second half counts, when the window is open. About
95.6 % of the bytes of full frames are payload.
"""

import select
import socket
import time
from dataclasses import asdict, dataclass
from typing import Any

from netlab import Lab
from qoe_lab.running.shaped_link import CLIENT, SERVER, LinkShape

SECONDS = 1.5
ROUND_TRIPS = 10
"""Added to the time for links with a long delay, where the window opens slowly."""
LEAST_WINDOW_BYTES = 8 * 1514
LEAST_SHARE, LARGEST_SHARE = 0.90, 0.98
GIVE_UP_FACTOR = 5
MOST_BYTES = 20_000_000
SEND_BYTES, RECEIVE_BYTES = 64 * 1024, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """The result of a short transfer to the client. `share` is that of the limit."""

    limit_mbps: float
    goodput_mbps: float
    took_s: float

    @property
    def share(self) -> float:
        return self.goodput_mbps / self.limit_mbps

    @property
    def is_plausible(self) -> bool:
        return LEAST_SHARE <= self.share <= LARGEST_SHARE

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"share": round(self.share, 4)}


def measure_goodput(lab: Lab, shape: LinkShape) -> Goodput:
    """Send from the server to the client for about two seconds. OSError if the link does not carry it in time."""
    round_trip_ms = 2 * shape.delay_ms
    seconds = SECONDS + ROUND_TRIPS * round_trip_ms / 1000
    window = max(LEAST_WINDOW_BYTES, int(shape.rate_kbps * (round_trip_ms + shape.queue_ms / 2) / 8))
    with (
        lab.socket(SERVER, kind=socket.SOCK_STREAM) as listening,
        lab.socket(CLIENT, kind=socket.SOCK_STREAM) as receiver,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        listening.bind((lab.address(SERVER), 0))
        listening.listen()
        receiver.connect(listening.getsockname())
        sender, _ = listening.accept()
        with sender:
            sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
            arrivals = _transfer(sender, receiver, min(int(shape.rate_kbps * 125 * seconds), MOST_BYTES), GIVE_UP_FACTOR * seconds)
    (first_s, _), (last_s, total) = arrivals[0], arrivals[-1]
    half_s, half = next(arrival for arrival in arrivals if arrival[1] >= total / 2)
    goodput_mbps = (total - half) * 8 / (last_s - half_s) / 1e6 if last_s > half_s else float("inf")
    return Goodput(limit_mbps=shape.rate_kbps / 1000, goodput_mbps=round(goodput_mbps, 6), took_s=round(last_s - first_s, 3))


def _transfer(sender: socket.socket, receiver: socket.socket, size: int, within_s: float) -> list[tuple[float, int]]:
    """Monotonic times in seconds, each with the bytes that had arrived until then."""
    for end in (sender, receiver):
        end.setblocking(False)
    sent = received = 0
    arrivals: list[tuple[float, int]] = []
    deadline_s = time.monotonic() + within_s
    zeros = bytes(SEND_BYTES)
    while received < size:
        readable, writable, _ = select.select(
            [receiver], [sender] if sent < size else [], [], max(deadline_s - time.monotonic(), 0)
        )
        if not readable and not writable:
            raise TimeoutError(f"the probe got {received} of {size} bytes within {within_s:.1f} s")
        if writable:
            sent += sender.send(zeros[: size - sent])
        if readable:
            received += len(receiver.recv(RECEIVE_BYTES))
            arrivals.append((time.monotonic(), received))
    return arrivals
