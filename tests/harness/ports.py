"""Ports on loopback."""

import random
import socket
from contextlib import suppress
from pathlib import Path

_FIRST_EPHEMERAL = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
_FIRST = _FIRST_EPHEMERAL // 2
_choice = random.SystemRandom()  # not the seed of a test, which would be the same in each test process


def free_port() -> int:
    """A port that nothing listens on. Use `--listen 127.0.0.1:0` instead where a test need not know the port beforehand.

    The kernel gives such a port neither to a listener on port 0 nor to an outgoing connection, so a server that is killed and
    started again gets the same port, however many connections other tests open meanwhile.
    """
    while True:
        port = _choice.randrange(_FIRST, _FIRST_EPHEMERAL)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
