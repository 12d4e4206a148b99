"""Frames of compressed lines: how the coordinator keeps messages on its disk, in the spool and in the quarantine."""

import zstandard

from feedback_wire.frames import NO_BATCH, Frame, records_frame


class FrameWriter:
    """Makes frames in one thread."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)

    def frame(self, lines: bytes, *, number: int, first_record: int, records: int, batch: bytes = NO_BATCH) -> bytes:
        """One frame with `lines`; `number` and `first_record` count the frames and records before it in its file."""
        payload = self._compressor.compress(lines)
        return records_frame(payload, number=number, first_record=first_record, records=records, inflated=len(lines), batch=batch)


def lines_of(frame: Frame) -> bytes:
    """The lines in a frame; zstandard.ZstdError if its payload is damaged."""
    return zstandard.ZstdDecompressor().decompress(frame.payload, max_output_size=frame.header.inflated)
