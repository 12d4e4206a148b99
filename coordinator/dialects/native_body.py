"""Split the body of a native feedback request (JSON or JSON lines) into the texts of its messages."""

from enum import Enum

import msgspec

from feedback_wire.problem import Problem

BATCH_MESSAGES = 10_000
"""A request with more messages is refused: its refusals alone could make an answer of a megabyte."""

BATCH_OBJECTS = 60_000
"""Opening braces in a JSON array: six for each of 10,000 messages. Elements are counted when all are read, at 70 ns each."""

# An array with fewer commas is read within 4 ms, for elements of any kind.
_SMALL_ARRAY = 50_000

UNIT_BYTES = 4096
UNIT_VALUES = 128
"""A usual message has 500 bytes and 30 values. The largest message without unknown fields has 87 values."""

_raws = msgspec.json.Decoder(list[msgspec.Raw])


class _Object(msgspec.Struct):
    """Any JSON object. Its content is skipped, at 6 ns for each value."""


_objects = msgspec.json.Decoder(list[_Object])


class BodyForm(Enum):
    """How messages are written in a body."""

    JSON = "one object, or an array of objects"
    LINES = "one object a line"


def cost(messages: int, body: bytes) -> int:
    """The units that a request costs its key: one for each message, each 4 KiB inflated, or each 128 values; the largest counts."""
    return max(messages, cost_of_size(body), 1 + body.count(b",") // UNIT_VALUES)


def cost_of_size(body: bytes) -> int:
    """The units of a body by its length alone, for a body whose values need not be counted."""
    return 1 + len(body) // UNIT_BYTES


def check_array(body: bytes, form: BodyForm) -> None:
    """Problem (413) if a JSON array may have hundreds of thousands of elements; called before `split`, which makes all of them."""
    if form is BodyForm.LINES or body.count(b",") < _SMALL_ARRAY or body.lstrip()[:1] != b"[":
        return
    if body.count(b"{") > BATCH_OBJECTS:
        raise Problem(413, "too_many_values", f"an array may hold at most {BATCH_OBJECTS} objects; send smaller batches")
    try:
        _objects.decode(body)
    except msgspec.ValidationError:
        raise Problem(413, "too_many_values", f"an array of {_SMALL_ARRAY} values may hold only messages") from None
    except (msgspec.DecodeError, RecursionError):
        return  # `split` raises the error that describes it


def split(body: bytes, form: BodyForm) -> list[bytes]:
    """The texts of the messages in `body`, in order, not checked yet.

    Problem if the body cannot be split (400) or holds too many messages (413).
    """
    if form is BodyForm.LINES:
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


def _elements(body: bytes) -> list[bytes]:
    try:
        raws = _raws.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, "malformed", f"the body is not a JSON array: {error}") from None
    if len(raws) > BATCH_MESSAGES:
        raise _too_many()
    return [bytes(raw) for raw in raws]


def _too_many() -> Problem:
    return Problem(413, "too_many_messages", f"a request may hold at most {BATCH_MESSAGES} messages; send more requests")
