"""Other traffic on a link: UDP datagrams at random times (a Poisson process). Run as `cross_traffic.py ADDRESS PORT KBPS`.

A process of its own, because a train that is sent busily stops all other threads of its process.
"""

import os
import random
import socket
import sys
import time
from contextlib import suppress

PAYLOAD_BYTES = 500
PACKET_BYTES = PAYLOAD_BYTES + 28


def main() -> None:
    address, port, kbps = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(49))
    chance, data = random.Random(1), bytes(PAYLOAD_BYTES)
    per_second = kbps * 1000 / 8 / PACKET_BYTES
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        due = time.perf_counter()
        while True:
            due += chance.expovariate(per_second)
            if (pause := due - time.perf_counter()) > 0.0001:
                time.sleep(pause - 0.00007)
            with suppress(OSError):  # the queue is full
                sender.sendto(data, (address, port))


if __name__ == "__main__":
    main()
