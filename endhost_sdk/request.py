"""A batch as a request, and what the answer to it means. No I/O; docs/formats/routes.md describes both."""

import json
import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from endhost_sdk.buffer import Batch
from endhost_sdk.transport import Answer
from feedback_wire import routes
from feedback_wire.message import Message
from feedback_wire.problem import MESSAGE_REASONS, is_problem

# Below a kilobyte the whole request fits into one packet anyway.
GZIP_FROM_BYTES = 1024
# Beside 5xx: a key that this coordinator does not know, a slow request, too many requests. None of them is a message's fault.
_NOT_NOW = (401, 408, 429)
# Of the 5xx, this one may be the fault of a message: what stands behind the coordinator refuses the batch for good.
_REJECTED_BEHIND = "rejected_by_feedback_server"
_REASON_CHARS = 64
_DETAIL_CHARS = 300


class Outcome(Enum):
    """What an answer means for the batch."""

    ACCEPTED = "on disk, but for those it names"
    REFUSED = "will never be taken as it is"
    FAILED = "a coordinator does not take it now: to be sent again"
    BLOCKED = "no coordinator has decided about it: to be sent again, and to be suspected"
    TOO_LARGE = "too much at once: to be sent again in smaller batches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An answer, understood; `detail` is for people."""

    outcome: Outcome
    detail: str = ""
    refused_for: Counter[str]


def encode(message: Message) -> bytes:
    """A message as one line of JSON, without the line feed."""
    return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def request_for(batch: Batch, key: str | None) -> tuple[bytes, dict[str, str]]:
    """Body and headers that carry `batch`."""
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


def understand(answer: Answer, messages: int) -> Verdict:
    """What `answer` means for a batch of that many `messages`.

    Only a coordinator's own words take a message out of the buffer: a body that accounts for every message of the batch, or a
    problem document whose reason concerns the message itself. Hotels' login pages, gateways and proxies know no such words.
    """
    said = _object(answer.body)
    if 200 <= answer.status < 300 and _accounts_for(said, messages):
        return Verdict(outcome=Outcome.ACCEPTED, detail=_first_refusal(said), refused_for=Counter(_reasons(said)))
    detail = _problem(answer, said)
    if answer.status == 413 and messages > 1:  # a proxy may find that as well
        return Verdict(outcome=Outcome.TOO_LARGE, detail=detail, refused_for=Counter())
    if not is_problem(said or {}, status=answer.status, content_type=answer.content_type):
        what = f"{answer.status} came from something that is no coordinator"
        return Verdict(outcome=Outcome.BLOCKED, detail=what, refused_for=Counter())
    if answer.status in _NOT_NOW or (answer.status >= 500 and (said or {}).get("reason") != _REJECTED_BEHIND):
        return Verdict(outcome=Outcome.FAILED, detail=detail, refused_for=Counter())
    refused_for = _all_refused(said, messages)
    outcome = Outcome.REFUSED if refused_for else Outcome.BLOCKED
    return Verdict(outcome=outcome, detail=detail, refused_for=refused_for)


def _accounts_for(said: dict[str, object] | None, messages: int) -> bool:
    """Whether a body says of each message that it is on disk, or that it is refused."""
    accepted = (said or {}).get("accepted")
    return type(accepted) is int and accepted >= 0 and accepted + len(_reasons(said)) == messages


def _object(body: bytes) -> dict[str, object] | None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _refusals(said: dict[str, object] | None) -> Iterable[dict[str, object]]:
    refused = (said or {}).get("refused")
    return [one for one in refused if isinstance(one, dict)] if isinstance(refused, list) else []


def _reasons(said: dict[str, object] | None) -> list[str]:
    return [_text(one.get("reason"), _REASON_CHARS) or "unnamed" for one in _refusals(said)]


def _first_refusal(said: dict[str, object] | None) -> str:
    return next((_text(one.get("detail"), _DETAIL_CHARS) for one in _refusals(said)), "")


def _all_refused(said: dict[str, object] | None, messages: int) -> Counter[str]:
    """The reasons if a problem document refuses every message for good; empty if it does not."""
    reasons = _reasons(said)
    if len(reasons) == messages:
        return Counter(reasons)
    reason = (said or {}).get("reason")
    return Counter([reason]) if messages == 1 and isinstance(reason, str) and reason in MESSAGE_REASONS else Counter()


def _problem(answer: Answer, said: dict[str, object] | None) -> str:
    """What a refusal or failure says to people: status, reason, detail, as far as given."""
    parts = [_text((said or {}).get(name), _DETAIL_CHARS) for name in ("reason", "detail")]
    return ": ".join([str(answer.status), *[part for part in (*parts, _first_refusal(said)) if part]])


def _text(value: object, most: int) -> str:
    return plain(value[:most]) if isinstance(value, str) else ""


def plain(text: str) -> str:
    """`text` for a log or a terminal: what others say must not begin a line there, nor move its cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
