"""Reads a text file in decompressed pieces, and divides it into lines. Memory is bounded for every file, also for a hostile one."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard

from serving.regular_files import open_regular

LONGEST_LINE_BYTES = 1024 * 1024
"""A longer line is not read. A feedback message has at most 64 KiB."""

_PIECE_BYTES = 64 * 1024
_WINDOW_BYTES = 128 * 1024 * 1024
"""The largest zstd window that the `zstd` tool accepts by default."""

# Python's zstd reader takes a file that ends within a frame for a complete one. A known frame is appended to show the end.
# A torn block of the file takes a part of this frame for its own content. The frame does not contain the text uncompressed, and it
# ends with a checksum, so the text and a valid end appear only if the file is complete.
_END = bytes(64)
_END_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(_END)


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _WithEndFrame:
    """A file of zstd frames with `_END_FRAME` behind it."""

    def __init__(self, file: _Source) -> None:
        self._file = file
        self._end = _END_FRAME

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        if not data:
            data, self._end = self._end[:size], self._end[size:]
        return data


def pieces(path: Path) -> Iterator[bytes]:
    """The decompressed content of `path`; ValueError if it is not the compression that its name states, or ends too early."""
    try:
        with open_regular(path) as file:
            if path.suffix == ".gz":
                yield from _pieces_of(gzip.GzipFile(fileobj=file))
            elif path.suffix == ".zst":
                yield from _zstd_pieces(file)
            else:
                yield from _pieces_of(file)
    except (gzip.BadGzipFile, zlib.error, EOFError, zstandard.ZstdError) as error:
        raise ValueError(f"{path} cannot be decompressed: {error}") from error


def lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """The lines of `path`, numbered from 1, with their line feeds; None for a line longer than `LONGEST_LINE_BYTES`."""
    rest, is_too_long, number = b"", False, 0
    for piece in pieces(path):
        *ended, rest = (rest + piece).split(b"\n")
        for line in ended:
            number += 1
            yield number, None if is_too_long or len(line) > LONGEST_LINE_BYTES else line + b"\n"
            is_too_long = False
        if len(rest) > LONGEST_LINE_BYTES:
            rest, is_too_long = b"", True
    if rest or is_too_long:
        yield number + 1, None if is_too_long else rest


def _pieces_of(file: _Source) -> Iterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _zstd_pieces(file: _Source) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    held = b""
    frames = cast("BinaryIO", _WithEndFrame(file))  # only its `read` is used
    for piece in _pieces_of(decompressor.stream_reader(frames, read_across_frames=True)):
        held += piece
        yield held[: -len(_END)]
        held = held[-len(_END) :]
    if held != _END:
        raise EOFError("the file ends within a zstd frame")
