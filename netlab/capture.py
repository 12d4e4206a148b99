"""Headers of the packets at one interface, in a pcap file with the kernel's time stamps in nanoseconds.

The sending end sees what its queue and its drop filter let pass; the receiving end what arrived.
"""

import select
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from netlab.packets import LARGEST_FRAME_BYTES, overflowed

PCAP_NANOSECONDS = 0xA1B23C4D
LINKTYPE_ETHERNET = 1
SO_TIMESTAMPNS = 35
RECEIVE_BUFFER_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedFrame:
    """`header` holds the first bytes of the frame; the frame had `length` bytes."""

    time_ns: int
    length: int
    header: bytes


class Capture:
    """Writes what a packet socket receives until it is closed."""

    def __init__(self, packets: socket.socket, path: Path, *, header_bytes: int = 96) -> None:
        self.path = path
        self.frames = 0
        self.overflowed = 0
        """Frames that the kernel dropped because this process read too slowly; complete once the capture is closed."""
        self._packets, self._header_bytes = packets, header_bytes
        packets.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        packets.setblocking(False)
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._write, name=f"capture {path.name}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write what has arrived so far, and stop."""
        if self._packets.fileno() < 0:
            return
        self._stop.close()
        self._thread.join()
        self.overflowed = overflowed(self._packets)
        self._packets.close()
        self._stopped.close()

    def _write(self) -> None:
        with self.path.open("wb") as file:
            file.write(struct.pack("=IHHiIII", PCAP_NANOSECONDS, 2, 4, 0, 0, self._header_bytes, LINKTYPE_ETHERNET))
            while True:
                readable, _, _ = select.select([self._packets, self._stopped], [], [])
                self._write_arrived(file)
                if self._stopped in readable:
                    return

    def _write_arrived(self, file: BinaryIO) -> None:
        while True:
            try:
                frame, ancillary, _, _ = self._packets.recvmsg(LARGEST_FRAME_BYTES, socket.CMSG_SPACE(16))
            except BlockingIOError:
                return
            except OSError:  # the interface went down; it may come up again
                return
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
            header = frame[: self._header_bytes]
            file.write(struct.pack("=IIII", seconds, nanoseconds, len(header), len(frame)) + header)
            self.frames += 1


def read_capture(path: Path) -> Iterator[CapturedFrame]:
    """The frames of a file that `Capture` wrote, in order. ValueError for another file; `qoe_lab.traffic` reads those."""
    with path.open("rb") as file:
        start = file.read(24)
        if len(start) < 24 or struct.unpack_from("=I", start)[0] != PCAP_NANOSECONDS:
            raise ValueError(f"{path} is not a capture of netlab")
        while len(preamble := file.read(16)) == 16:
            seconds, nanoseconds, kept, length = struct.unpack("=IIII", preamble)
            yield CapturedFrame(time_ns=seconds * 10**9 + nanoseconds, length=length, header=file.read(kept))
