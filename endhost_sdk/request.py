"""Builds the request for a batch and interprets the answer, without I/O. docs/formats/routes.md describes both."""

import json
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from endhost_sdk.buffer import MessageBatch
from endhost_sdk.transport import Answer
from feedback_wire import routes
from feedback_wire.message import Message
from feedback_wire.problem import MESSAGE_REASONS, is_problem

# A request below a kilobyte fits into one packet without compression.
GZIP_FROM_BYTES = 1024
# In addition to 5xx: an unknown key, a slow request, too many requests. The messages are not the cause.
_NOT_NOW = (401, 408, 429)
# For these 5xx reasons, a message can be the cause: a feedback server, or something in front of it, refuses the batch.
_SUSPECT_REASONS = ("rejected_by_feedback_server", "batch_blocked")
_REASON_CHARS = 64
_DETAIL_CHARS = 300


class DeliveryOutcome(Enum):
    """The meaning of an answer for the batch."""

    ACCEPTED = "on disk, except for the refused messages that the answer lists"
    REFUSED = "refused permanently"
    FAILED = "a coordinator cannot accept it now; send it again"
    BLOCKED = "no coordinator has answered; send it again, and suspect it"
    TOO_LARGE = "too large; send it again in smaller batches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An interpreted answer. `detail` is a text for people."""

    outcome: DeliveryOutcome
    detail: str = ""
    refused_for: Counter[str]


def encode(message: Message) -> bytes:
    """A message as one line of JSON, without a line feed."""
    return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def request_for(batch: MessageBatch, key: str | None) -> tuple[bytes, dict[str, str]]:
    """The body and headers of the request for `batch`."""
    body = b"\n".join(batch.lines) + b"\n"
    headers = {"Content-Type": routes.NDJSON, "User-Agent": "swarmscope-endhost-sdk"}
    if key:
        headers["Authorization"] = routes.bearer(key)
    if batch.forgotten:
        headers[routes.FORGOTTEN_HEADER] = str(batch.forgotten)
    if len(body) > GZIP_FROM_BYTES:
        packed = zlib.compress(body, wbits=31)
        if len(packed) < len(body):
            return packed, headers | {"Content-Encoding": "gzip"}
    return body, headers


def interpret(answer: Answer, messages: int) -> Verdict:
    """The meaning of `answer` for a batch with this number of `messages`.

    Only an answer in the coordinator's format removes a message from the buffer: a body that accounts for each message of the
    batch, or a problem document whose reason concerns the message itself. Login pages, gateways and proxies do not send this
    format.
    """
    body = _object(answer.body)
    if 200 <= answer.status < 300 and _accounts_for(body, messages):
        return Verdict(outcome=DeliveryOutcome.ACCEPTED, detail=_first_refusal(body), refused_for=Counter(_reasons(body)))
    detail = _problem(answer, body)
    if answer.status == 413 and messages > 1:  # a proxy can send this as well
        return Verdict(outcome=DeliveryOutcome.TOO_LARGE, detail=detail, refused_for=Counter())
    if not is_problem(body or {}, status=answer.status, content_type=answer.content_type):
        what = f"{answer.status} is not an answer of a coordinator"
        return Verdict(outcome=DeliveryOutcome.BLOCKED, detail=what, refused_for=Counter())
    if answer.status in _NOT_NOW or (answer.status >= 500 and (body or {}).get("reason") not in _SUSPECT_REASONS):
        return Verdict(outcome=DeliveryOutcome.FAILED, detail=detail, refused_for=Counter())
    refused_for = _all_refused(body, messages)
    outcome = DeliveryOutcome.REFUSED if refused_for else DeliveryOutcome.BLOCKED
    return Verdict(outcome=outcome, detail=detail, refused_for=refused_for)


def _accounts_for(body: dict[str, object] | None, messages: int) -> bool:
    """Whether the body accounts for each message, as accepted or refused."""
    accepted = (body or {}).get("accepted")
    return type(accepted) is int and accepted >= 0 and accepted + len(_reasons(body)) == messages


def _object(text: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refusals(body: dict[str, object] | None) -> Iterable[dict[str, object]]:
    refused = (body or {}).get("refused")
    return [refusal for refusal in refused if isinstance(refusal, dict)] if isinstance(refused, list) else []


def _reasons(body: dict[str, object] | None) -> list[str]:
    return [_text(refusal.get("reason"), _REASON_CHARS) or "unnamed" for refusal in _refusals(body)]


def _first_refusal(body: dict[str, object] | None) -> str:
    return next((_text(refusal.get("detail"), _DETAIL_CHARS) for refusal in _refusals(body)), "")


def _all_refused(body: dict[str, object] | None, messages: int) -> Counter[str]:
    """The reasons if a problem document refuses each message permanently; otherwise empty."""
    reasons = _reasons(body)
    if len(reasons) == messages:
        return Counter(reasons)
    reason = (body or {}).get("reason")
    return Counter([reason]) if messages == 1 and isinstance(reason, str) and reason in MESSAGE_REASONS else Counter()


def _problem(answer: Answer, body: dict[str, object] | None) -> str:
    """A text about a refusal or failure: status, and reason and detail if the answer contains them."""
    parts = [_text((body or {}).get(name), _DETAIL_CHARS) for name in ("reason", "detail")]
    return ": ".join([str(answer.status), *[part for part in (*parts, _first_refusal(body)) if part]])


def _text(value: object, most: int) -> str:
    return plain(value[:most]) if isinstance(value, str) else ""


def plain(text: str) -> str:
    """`text` without line feeds and control characters, for a log or a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
