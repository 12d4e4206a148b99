"""Ports on loopback."""

import socket


def free_port() -> int:
    """A port that nothing listens on. Use `--listen 127.0.0.1:0` instead where a test need not know the port beforehand."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
