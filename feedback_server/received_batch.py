"""A batch of records as a coordinator sends it; only its shape is checked.

The coordinator checks the messages. Here it must only be possible to add a time to each line, to count the lines and to split them
again. So an invalid batch never damages the other batches in the log.
"""

import re
from dataclasses import dataclass

from feedback_wire.frames import NO_BATCH
from feedback_wire.problem import Problem
from feedback_wire.routes import BATCH_HEADER

BATCH_RECORDS = 65_536
"""A coordinator's batch has some thousands of records. The server adds a time to each record, so millions of tiny records would
make a frame that is larger than readers accept."""

_ID = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """Lines of JSON objects, their number `records`, and the 16 bytes of the batch id."""

    id: bytes
    lines: bytes
    records: int

    @classmethod
    def parse(cls, header: str | None, body: bytes) -> "ReceivedBatch":
        """The batch of a request; Problem if it is invalid."""
        return cls(_batch_id(header), body, _count(body))


def _batch_id(header: str | None) -> bytes:
    if header is None or _ID.fullmatch(header) is None or bytes.fromhex(header) == NO_BATCH:
        raise Problem(
            400, "bad_batch_id", f"the header {BATCH_HEADER} must contain the batch id: 32 hexadecimal digits, not all zero"
        )
    return bytes.fromhex(header)


def _count(body: bytes) -> int:
    """The number of lines of `body`; Problem unless each begins with a brace and the last one ends with a line feed."""
    if body.count(b"\n") > BATCH_RECORDS:
        raise Problem(413, "too_many_records", f"a batch has at most {BATCH_RECORDS} records; send smaller batches")
    *lines, rest = body.split(b"\n")
    if rest or not lines or not all(line.startswith(b"{") for line in lines):
        raise Problem(
            400,
            "bad_lines",
            "the body must be JSON objects, one per line; each begins with '{', and the last ends with a line feed",
        )
    return len(lines)
