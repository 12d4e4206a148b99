"""From a request's body to its messages. A small body may inflate to a huge one, so limits hold while inflating, not after it."""

import io
import zlib
from enum import Enum

import msgspec
import zstandard

from feedback_wire.limits import BATCH_INFLATED_BYTES
from feedback_wire.problem import Problem

BATCH_MESSAGES = 10_000
"""More in one request are refused: their refusals alone would make an answer of a megabyte."""

BATCH_OBJECTS = 60_000
"""Opening braces in a JSON array: six for each of 10,000 messages. Elements are counted when all are read, at 70 ns each."""

MEMBERS = 64
"""Gzip members or zstd frames in one body: each costs some 10 µs, however little it holds."""

# An array with fewer commas is read in 4 ms whatever its elements are.
_SMALL_ARRAY = 50_000

UNIT_BYTES = 4096
UNIT_VALUES = 128
"""A message of the usual kind has 500 bytes and 30 values; the largest that needs no unknown field has 87 values."""

# Every zstd frame begins with one of these; the first byte of a skippable frame's magic number varies, so it is left out.
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", b"\x2a\x4d\x18")

# A frame may ask its reader for a window of gigabytes; none of ours needs more than the content itself.
_WINDOW_BYTES = 2 * BATCH_INFLATED_BYTES
_SENTINEL = zstandard.ZstdCompressor().compress(b"\n")
_raws = msgspec.json.Decoder(list[msgspec.Raw])


class _Object(msgspec.Struct):
    """Any JSON object; what is in it is skipped, at 6 ns for each value."""


_objects = msgspec.json.Decoder(list[_Object])


class Form(Enum):
    """How messages stand in a body."""

    JSON = "one object, or an array of objects"
    LINES = "one object a line"


def inflate(body: bytes, encoding: str) -> bytes:
    """`body` without its content encoding (identity, gzip or zstd); Problem if it cannot be had whole, within the limits."""
    match encoding:
        case "identity":
            return body
        case "gzip":
            return _gunzip(body)
        case "zstd":
            return _unzstd(body)
    raise Problem(415, "unsupported_encoding", f"Content-Encoding {encoding[:40]} is not taken; send identity, gzip or zstd")


def cost(messages: int, body: bytes) -> int:
    """What a key is charged for a request: its messages, or one for each 4 KiB inflated or each 128 values if that is more."""
    return max(messages, 1 + len(body) // UNIT_BYTES, 1 + body.count(b",") // UNIT_VALUES)


def screen(body: bytes, form: Form) -> None:
    """Problem (413) about a JSON array that could hold hundreds of thousands of elements, before `split` makes all of them."""
    if form is Form.LINES or body.count(b",") < _SMALL_ARRAY or body.lstrip()[:1] != b"[":
        return
    if body.count(b"{") > BATCH_OBJECTS:
        raise Problem(413, "too_many_values", f"at most {BATCH_OBJECTS} objects go into one array; send smaller batches")
    try:
        _objects.decode(body)
    except msgspec.ValidationError:
        raise Problem(413, "too_many_values", f"an array of {_SMALL_ARRAY} values holds nothing but messages") from None
    except (msgspec.DecodeError, RecursionError):
        return  # `split` says what is wrong with it


def split(body: bytes, form: Form) -> list[bytes]:
    """The texts of the messages in `body`, unchecked, in order; Problem if even their borders cannot be seen."""
    if form is Form.LINES:
        if body.count(b"\n") > 2 * BATCH_MESSAGES:
            raise _too_many()
        texts = [line for line in body.split(b"\n") if line and not line.isspace()]
    elif body.lstrip()[:1] == b"[":
        texts = _elements(body)
    else:
        return [body]
    if len(texts) > BATCH_MESSAGES:
        raise _too_many()
    return texts


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
    # The stream reader takes a frame that ends too early for a short one, so a known frame stands behind the body as its end.
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).stream_reader(
        io.BytesIO(body + _SENTINEL), read_across_frames=True
    )
    try:
        inflated = reader.read(BATCH_INFLATED_BYTES + 2)
    except zstandard.ZstdError as error:
        raise Problem(400, "bad_encoding", f"the body is not valid zstd: {error}") from None
    if len(inflated) > BATCH_INFLATED_BYTES + 1:
        raise _inflates_too_far()
    if inflated[-1:] != b"\n":
        raise Problem(400, "bad_encoding", "the zstd body ends too early")
    return inflated[:-1]


def _elements(body: bytes) -> list[bytes]:
    try:
        raws = _raws.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not a JSON array: {error}") from None
    if len(raws) > BATCH_MESSAGES:
        raise _too_many()
    return [bytes(raw) for raw in raws]


def _too_many() -> Problem:
    return Problem(413, "too_many_messages", f"at most {BATCH_MESSAGES} messages go into one request; send more requests")


def _too_many_members() -> Problem:
    return Problem(413, "too_many_members", f"compress a body once: it has at most {MEMBERS} gzip members or zstd frames")


def _inflates_too_far() -> Problem:
    return Problem(413, "body_too_large", f"the body inflates to more than {BATCH_INFLATED_BYTES} bytes; send smaller batches")
