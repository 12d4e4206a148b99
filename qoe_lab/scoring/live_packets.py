"""The packets at an interface of this machine, as they come. Needs the capability CAP_NET_RAW, which root has."""

import select
import socket
import time
from collections.abc import Iterator

from qoe_lab.traffic.link_frame import LinkFrame
from qoe_lab.traffic.packet_headers import ETHERNET, LeftOut, Packet, read_packet

HEADER_BYTES = 128
WAIT_S = 0.2
_ALL_PROTOCOLS = 0x0003
_OUTGOING = 4


def live_packets(interface: str) -> Iterator[Packet | None]:
    """The packets, and None each `WAIT_S` without one. OSError if the interface does not exist or may not be read."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)) as packets:
        try:
            packets.bind((interface, _ALL_PROTOCOLS))
        except OSError as error:
            raise OSError(f"the interface {interface} cannot be read: {error.strerror}") from error
        packets.setblocking(False)
        while True:
            if not select.select([packets], [], [], WAIT_S)[0]:
                yield None
                continue
            frame, address = packets.recvfrom(1 << 16)
            # The loopback interface shows each packet twice: when it leaves, and when it comes.
            if interface == "lo" and address[2] == _OUTGOING:
                continue
            packet = read_packet(
                LinkFrame(time_ns=time.time_ns(), length=len(frame), link_type=ETHERNET, header=frame[:HEADER_BYTES])
            )
            if not isinstance(packet, LeftOut):
                yield packet
