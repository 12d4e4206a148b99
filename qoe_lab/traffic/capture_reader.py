"""Reads a capture file: pcap or pcapng, also compressed with gzip.

reader = CaptureReader(Path("capture.pcap"))
for packet in reader:
    ...
print(reader.counts, reader.damage)
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from qoe_lab.traffic.link_frame import NotACaptureError
from qoe_lab.traffic.packet_headers import Packet
from qoe_lab.traffic.packet_stream import PacketStream
from serving.regular_files import open_regular

BLOCK_BYTES = 1 << 18
GZIP_MAGIC = b"\x1f\x8b"


class CaptureReader:
    """The packets of a capture file, in the order of the file. Iterate once; read `counts` and `damage` afterwards.

    `counts` has the names in `packet_stream.COUNTERS`. `damage` says what is wrong with the rest of the file, or is None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = PacketStream()
        self._cut_gzip: str | None = None

    @property
    def counts(self) -> Counter[str]:
        return self._stream.counts

    @property
    def damage(self) -> str | None:
        return self._stream.damage or self._cut_gzip

    def __iter__(self) -> Iterator[Packet]:
        """OSError if the file cannot be read, NotACaptureError if it is no capture."""
        try:
            with open_regular(self.path) as file:
                for block in self._blocks(file):
                    yield from self._stream.feed(block)
            self._stream.end()
        except NotACaptureError as error:
            raise NotACaptureError(f"{self.path} is not a capture: {error}") from error

    def _blocks(self, file: BinaryIO) -> Iterator[bytes]:
        compressed = file.read(2) == GZIP_MAGIC
        file.seek(0)
        if not compressed:
            yield from iter(lambda: file.read(BLOCK_BYTES), b"")
            return
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield from iter(lambda: unpacked.read1(BLOCK_BYTES), b"")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self._cut_gzip = f"its compression is damaged: {error}"
