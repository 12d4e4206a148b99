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

# Below a kilobyte the whole request fits into one packet anyway.
GZIP_FROM_BYTES = 1024
# What proxies and servers of other kinds answer, also while a coordinator's are being mended. Other 4xx concern the batch: whoever
# finds that too large or malformed would find it so again.
_OFTEN_OTHERS = (401, 402, 403, 404, 405, 407, 410, 421, 451)
_REASON_CHARS = 64
_DETAIL_CHARS = 300


class Outcome(Enum):
    """What an answer means for the batch."""

    ACCEPTED = "on disk, but for those it names"
    REFUSED = "will never be taken as it is"
    FAILED = "not taken now: to be sent again"
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
    """What `answer` means for a batch of that many `messages`."""
    said = _object(answer.body)
    if not _is_a_coordinators(answer.status, said):
        what = f"{answer.status} came from something that is no coordinator"
        return Verdict(outcome=Outcome.FAILED, detail=what, refused_for=Counter())
    if 200 <= answer.status < 300:
        reasons = _reasons(said)[:messages]
        return Verdict(outcome=Outcome.ACCEPTED, detail=_first_refusal(said), refused_for=Counter(reasons))
    detail = _problem(answer, said)
    if answer.status == 413 and messages > 1:
        return Verdict(outcome=Outcome.TOO_LARGE, detail=detail, refused_for=Counter())
    if 400 <= answer.status < 500 and answer.status not in {408, 429}:
        return Verdict(outcome=Outcome.REFUSED, detail=detail, refused_for=_all_refused(answer, said, messages))
    return Verdict(outcome=Outcome.FAILED, detail=detail, refused_for=Counter())


def _is_a_coordinators(status: int, said: dict[str, object] | None) -> bool:
    """Whether an answer that ends the matter is a coordinator's; hotels' login pages, gateways and proxies know no such words."""
    if 200 <= status < 300:
        accepted = (said or {}).get("accepted")
        return type(accepted) is int and accepted >= 0
    return status not in _OFTEN_OTHERS or isinstance((said or {}).get("reason"), str)


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


def _all_refused(answer: Answer, said: dict[str, object] | None, messages: int) -> Counter[str]:
    """Every message under a reason of its own if the answer names one for each, or else under that of the whole request."""
    reasons = _reasons(said)
    if len(reasons) == messages:
        return Counter(reasons)
    return Counter({_text((said or {}).get("reason"), _REASON_CHARS) or f"status_{answer.status}": messages})


def _problem(answer: Answer, said: dict[str, object] | None) -> str:
    """What a refusal or failure says to people: status, reason, detail, as far as given."""
    parts = [_text((said or {}).get(name), _DETAIL_CHARS) for name in ("reason", "detail")]
    return ": ".join([str(answer.status), *[part for part in (*parts, _first_refusal(said)) if part]])


def _text(value: object, most: int) -> str:
    return plain(value[:most]) if isinstance(value, str) else ""


def plain(text: str) -> str:
    """`text` for a log or a terminal: what others say must not begin a line there, nor move its cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
