"""The links whose frames the delayer carries. Each end of such a link is one half of a veth pair.

The other half, its peer, is in a separate namespace, where the delayer carries frames between the two peers of a link.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack, closing

from pyroute2 import IPRoute

from netlab import delayer, keeper, kernel
from netlab.packets import PACKET_IGNORE_OUTGOING, SOL_PACKET, overflowed, packet_socket
from netlab.topology import Shape

RECEIVE_BUFFER_BYTES = 4 << 20

End = tuple[str, int]
"""The name of a link and the place (0 or 1) of the end that sends."""


class Wiring:
    """The peers of the ends of all delayed links, and the one delayer process that carries their frames."""

    def __init__(self, namespace: int) -> None:
        self.namespace = namespace
        self._interfaces: dict[End, str] = {}
        self._sockets: list[socket.socket] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._overflowed = 0

    def add(self, end: End) -> dict[str, str | int]:
        """The peer that the interface at this end of a link needs, as pyroute2 takes it."""
        self._interfaces[end] = f"w{len(self._interfaces)}"
        return {"ifname": self._interfaces[end], "net_ns_fd": self.namespace}

    def start(self, shapes: Mapping[End, Shape], run: str) -> None:
        """Start the delayer if a link needs it; RuntimeError if it does not start."""
        if not self._interfaces:
            return
        with kernel.inside(self.namespace), closing(IPRoute()) as routes:
            for interface in self._interfaces.values():
                self._sockets.append(_open_end(routes, interface))
        descriptors = {end: each.fileno() for end, each in zip(self._interfaces, self._sockets, strict=True)}
        wires = [
            {"source": descriptors[link, side], "target": descriptors[link, 1 - side], **_delay(shapes[link, side])}
            for link, side in self._interfaces
        ]
        with kernel.inside(self.namespace):  # so that the keeper finds it
            self._process = subprocess.Popen(  # noqa: S603 - no shell
                [sys.executable, "-I", "-S", delayer.__file__, json.dumps(wires)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=list(descriptors.values()),
                env={**os.environ, keeper.MARK: run},
                start_new_session=True,
            )
        if self._process.stdout is None or not self._process.stdout.readline():
            raise RuntimeError("the process that delays frames did not start; its error output says why")

    def carries(self, end: End) -> bool:
        return end in self._interfaces

    def change(self, end: End, shape: Shape) -> None:
        """Delay frames from this end by the delay and jitter of `shape` from now on."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the wiring has not started")
        message = {"wire": list(self._interfaces).index(end), **_delay(shape)}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def overflowed(self) -> int:
        """Frames lost so far because the delayer was too slow. Figures of a lab where this is not 0 are wrong."""
        self._overflowed += sum(map(overflowed, self._sockets))
        return self._overflowed

    def close(self) -> None:
        with ExitStack() as closed:
            for each in self._sockets:
                closed.enter_context(each)
            if self._process is not None:
                closed.enter_context(self._process)  # closes its standard input, which ends it, and waits


def _delay(shape: Shape) -> dict[str, int]:
    return {"delay_ns": round(shape.delay_ms * 1e6), "jitter_ns": round(shape.jitter_ms * 1e6)}


def _open_end(routes: IPRoute, interface: str) -> socket.socket:
    kernel.turn_off_offloads(interface)
    routes.link("set", index=routes.link_lookup(ifname=interface)[0], state="up")
    end = packet_socket(interface)
    end.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return end
