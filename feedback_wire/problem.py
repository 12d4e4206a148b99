"""Refusals as `application/problem+json` (RFC 9457): what is wrong with the request and what to do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from feedback_wire.routes import PROBLEM

MESSAGE_REASONS = frozenset(
    {
        "malformed",
        "duplicate_name",
        "message_too_large",
        "reserved_name",
        "missing_field",
        "invalid_field",
        "too_many_values",
        "body_too_large",
    }
)
"""Reasons that lie in a message itself: the same bytes always get the same answer. An end host drops such a message; for every
other reason it keeps the message. A new reason of this kind must be added here."""

BATCH_REASONS = frozenset({"bad_lines", "too_many_records", "batch_too_large"})
"""Reasons that lie in the records of a batch: every feedback server refuses the same bytes again.

A coordinator sets such a batch aside. For every other reason it keeps the batch: a proxy may have changed headers or framing, for
example. A new reason of this kind must be added here."""


def is_problem(body: Mapping[str, object], *, status: int, content_type: str) -> bool:
    """Whether `body`, the JSON body of an answer, is a problem document of one of our servers, with the status of the answer."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == PROBLEM and isinstance(body.get("reason"), str) and body.get("status") == status


@dataclass(eq=False)  # not frozen: Python itself writes to an exception (its traceback)
class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """A refused request. The server counts it under the short name `reason`; `detail` is a sentence for the sender."""

    status: int
    reason: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "title": self.reason.replace("_", " "),
            "status": self.status,
            "reason": self.reason,
            "detail": self.detail,
        }

    def body(self) -> bytes:
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused message of a batch: its index from 0, the counted reason, and what is wrong."""

    index: int
    reason: str
    detail: str


def accepted_body(accepted: int, refusals: tuple[Refusal, ...] = ()) -> bytes:
    """The answer to a batch: how many messages are durable, and which ones are refused and why."""
    refused = [{"index": refusal.index, "reason": refusal.reason, "detail": refusal.detail} for refusal in refusals]
    answer: dict[str, Any] = {"accepted": accepted} | ({"refused": refused} if refused else {})
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode()


def no_memory() -> Problem:
    """The refusal of a request when memory is exhausted."""
    return Problem(503, "no_memory", "this server has no memory for this request now; send it again later")
