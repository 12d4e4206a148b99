"""A batch of records as a coordinator sends it: checked for its shape only.

Whether each line is a good message is the coordinator's judgement; here a batch must merely be something that can be stamped,
counted and cut into lines again, so that a bad one costs itself and never its neighbours in the log.
"""

import re
from dataclasses import dataclass

from feedback_wire.frames import NO_BATCH
from feedback_wire.problem import Problem
from feedback_wire.routes import BATCH_HEADER

BATCH_RECORDS = 65_536
"""A coordinator's batches have some thousands. Each record is stamped with its time, so that millions of tiny ones would swell to a
frame that is larger than readers take."""

_ID = re.compile(r"[0-9a-fA-F]{32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """`records` lines of JSON objects under the 16 bytes of their `id`."""

    id: bytes
    lines: bytes
    records: int

    @classmethod
    def parse(cls, header: str | None, body: bytes) -> "ReceivedBatch":
        """The batch in a request; Problem says what is wrong with it."""
        return cls(_batch_id(header), body, _count(body))


def _batch_id(header: str | None) -> bytes:
    if header is None or _ID.fullmatch(header) is None or bytes.fromhex(header) == NO_BATCH:
        raise Problem(
            400, "bad_batch_id", f"the header {BATCH_HEADER} must name the batch with 32 hexadecimal digits, not all zero"
        )
    return bytes.fromhex(header)


def _count(body: bytes) -> int:
    """How many lines `body` has, each of which begins with a brace."""
    if body.count(b"\n") > BATCH_RECORDS:
        raise Problem(413, "too_many_records", f"a batch has at most {BATCH_RECORDS} records; send smaller batches")
    *lines, rest = body.split(b"\n")
    if rest or not lines or not all(line.startswith(b"{") for line in lines):
        raise Problem(
            400, "bad_lines", "the body must be JSON objects, one a line; each line begins with '{', the last ends with a line feed"
        )
    return len(lines)
