"""Options of TCP in Linux for which Python has no names. On other systems, nothing happens."""

import socket
from contextlib import suppress

TCP_THIN_LINEAR_TIMEOUTS, TCP_RTO_MIN_US, TCP_DELACK_MAX_US = 16, 45, 46
"""linux/tcp.h; the last two since Linux 6.18 at the latest."""
RESEND_US, ACKNOWLEDGE_US = 40_000, 10_000
MOST_UNSENT_BYTES = 16 * 1024
"""In the kernel. The rest waits in the process, which drops media before it is seconds old."""


def resend_soon(connection: socket.socket) -> None:
    """Let TCP send a lost control message again after 40 ms instead of 200 ms, and not ever more rarely.

    The few short messages of a connection seldom trigger a fast retransmission, and a stream can wait for one of them.
    """
    for option, value in (
        (TCP_THIN_LINEAR_TIMEOUTS, 1),
        (TCP_RTO_MIN_US, RESEND_US),
        (TCP_DELACK_MAX_US, ACKNOWLEDGE_US),
        (socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES),
    ):
        with suppress(OSError):  # an older kernel
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
