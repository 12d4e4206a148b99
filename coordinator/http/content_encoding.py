"""Decompress a request's body. A small body can inflate to a huge one, so the limits apply during decompression, not after it."""

import io
import zlib

import zstandard

from feedback_wire.limits import BATCH_INFLATED_BYTES
from feedback_wire.problem import Problem

MEMBERS = 64
"""Gzip members or zstd frames in one body: each costs some 10 µs, even if it is empty."""

# Every zstd frame begins with one of these. The first byte of a skippable frame's magic number varies, so it is left out.
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18")

# A frame may demand a window of gigabytes from its reader; an accepted body needs no more than its own content.
_WINDOW_BYTES = 2 * BATCH_INFLATED_BYTES

# A torn block of the body takes a part of this frame for its own content. The frame does not contain the text uncompressed, and it
# ends with a checksum, so the text and a valid end appear only if the body is complete.
_END = bytes(64)
_END_FRAME = zstandard.ZstdCompressor(write_checksum=True).compress(_END)


def inflate(body: bytes, encoding: str) -> bytes:
    """`body` without its content encoding (identity, gzip or zstd).

    Problem if the body is damaged or exceeds a limit (413), or if the encoding is unknown (415).
    """
    match encoding:
        case "identity":
            return body
        case "gzip":
            return _gunzip(body)
        case "zstd":
            return _unzstd(body)
        case _:
            what = f"Content-Encoding {encoding[:40]} is not accepted; send identity, gzip or zstd"
            raise Problem(415, "unsupported_encoding", what)


def _gunzip(body: bytes) -> bytes:
    inflated = bytearray()
    members = 0
    while body:
        members += 1
        if members > MEMBERS:
            raise _too_many_members()
        member = zlib.decompressobj(wbits=31)
        try:
            inflated += member.decompress(body, BATCH_INFLATED_BYTES + 1 - len(inflated))
        except zlib.error as error:
            raise Problem(400, "bad_encoding", f"the body is not valid gzip: {error}") from None
        if len(inflated) > BATCH_INFLATED_BYTES:
            raise _inflates_too_far()
        if not member.eof:
            raise Problem(400, "bad_encoding", "the gzip body ends too early")
        body = member.unused_data
    return bytes(inflated)


def _unzstd(body: bytes) -> bytes:
    if sum(body.count(magic) for magic in _ZSTD_MAGICS) > MEMBERS:
        raise _too_many_members()
    # The stream reader accepts a frame that ends too early as a short one. `_END_FRAME` behind it shows where the body ends.
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(
        io.BytesIO(body + _END_FRAME), read_across_frames=True
    )
    try:
        inflated = reader.read(BATCH_INFLATED_BYTES + 1 + len(_END))
    except zstandard.ZstdError as error:
        raise Problem(400, "bad_encoding", f"the body is not valid zstd: {error}") from None
    if len(inflated) > BATCH_INFLATED_BYTES + len(_END):
        raise _inflates_too_far()
    if not inflated.endswith(_END):
        raise Problem(400, "bad_encoding", "the zstd body ends too early")
    return inflated[: -len(_END)]


def _too_many_members() -> Problem:
    return Problem(413, "too_many_members", f"compress a body once: it may have at most {MEMBERS} gzip members or zstd frames")


def _inflates_too_far() -> Problem:
    return Problem(413, "body_too_large", f"the body inflates to more than {BATCH_INFLATED_BYTES} bytes; send smaller batches")
