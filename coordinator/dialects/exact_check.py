"""Checks a message of any kind exactly: what one correct JSON reader reads in it, all others must read too.

A message may have unknown fields, but no name twice, no invalid UTF-8 and no infinite number, and its size, its depth and the
number of its values are limited.
"""

import json
import math
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Never, Protocol

import msgspec
from msgspec import UNSET, Meta, UnsetType

from feedback_wire.field import Field
from feedback_wire.limits import MESSAGE_BYTES, MESSAGE_DEPTH, MESSAGE_VALUES, TEXT_CHARS
from feedback_wire.record import RECORD_FIELD_NAMES

DETAIL_CHARS = 100
"""Kept at each end of a detail that is too long."""


class Refused(Exception):  # noqa: N818 — a refusal is an answer, not an error of ours
    """A message that is refused. `reason` is counted, `detail` is sent to the sender."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class CheckedMessage(Protocol):
    """The part of a message that the coordinator uses itself."""

    peer_id: str


TEXT = Annotated[str, Meta(max_length=TEXT_CHARS)]
NAME = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS)]
# Read as float, a whole number of any size is in range unless it exceeds the largest double; readers could not compute with it.
NUMBER = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]


# Possessive, and with an optional end: linear in the length of any text, unterminated ones included.
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_EMPTY = re.compile(rb"\[\s*+\]|\{\s*+\}")


def field_type(field: Field) -> Any:  # noqa: ANN401 — a type form
    """The type that msgspec checks for a field; a field that is not required may be null or absent."""
    if field.choices:
        kind: Any = Literal[field.choices]
    elif field.kind is str:
        kind = NAME if field.required else TEXT
    else:
        kind = Annotated[field.kind, Meta(ge=field.least, le=field.most)]
    return kind if field.required else kind | None | UnsetType


def message_type(
    name: str, fields: Sequence[Field], objects: Mapping[str, Any], namespace: dict[str, Any] | None = None, *, strict: bool = False
) -> type[msgspec.Struct]:
    """The type of messages with these fields. `objects`: fields with objects or arrays, and their types; all of them are optional.

    `strict`: no unknown field is allowed.
    """
    required = [(field.name, field_type(field)) for field in fields if field.required]
    optional = [(field.name, field_type(field), UNSET) for field in fields if not field.required]
    nested = [(each, kind | None | UnsetType, UNSET) for each, kind in objects.items()]
    # gc=False: messages form no cycles, so the collector need not visit them.
    return msgspec.defstruct(name, [*required, *optional, *nested], namespace=namespace, forbid_unknown_fields=strict, gc=False)


def one_line(raw: bytes) -> bytes:
    """A checked message as one line that begins with its brace. Only messages of several lines are formatted again."""
    if 10 in raw or 13 in raw:
        return msgspec.json.format(raw, indent=-1)
    return raw if raw[0] == 123 else raw.strip()


def checked(raw: bytes, decoder: "msgspec.json.Decoder[Any]", required: Collection[str], what: str) -> CheckedMessage:
    """The message in `raw`, read by `decoder`; raises Refused. `what` names the message in a refusal, such as "feedback message".

    It takes about a microsecond for each value in the message. So their number has a limit, which is checked first.
    """
    if len(raw) > MESSAGE_BYTES:
        raise Refused("message_too_large", f"the message has {len(raw)} bytes; {MESSAGE_BYTES} are allowed")
    if _has_too_many_values(raw):
        raise Refused("too_many_values", f"the message has more than {MESSAGE_VALUES} values in its objects and arrays")
    content = json_value(raw)
    if not isinstance(content, dict):
        raise Refused("malformed", f"a {what} is a JSON object")
    if taken := [name for name in RECORD_FIELD_NAMES if name in content]:
        raise Refused("reserved_name", f"{taken[0]} is written by the servers; send it under another name, or in extra")
    if missing := [name for name in required if name not in content]:
        raise Refused("missing_field", f"required, but absent: {', '.join(missing)}")
    try:
        return decoder.decode(raw)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise Refused("invalid_field", _short(str(error))) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused("malformed", f"not JSON: {error}") from None


def _short(detail: str) -> str:
    """A detail without the middle of a long quoted value: 64 KiB of it in each refusal would make a huge answer."""
    return detail if len(detail) <= 2 * DETAIL_CHARS else f"{detail[:DETAIL_CHARS]} … {detail[-DETAIL_CHARS:]}"


def _has_too_many_values(raw: bytes) -> bool:
    """Whether `raw` has more than MESSAGE_VALUES values; exact for JSON."""
    if len(raw) <= MESSAGE_VALUES or _most_values(raw) <= MESSAGE_VALUES:
        return False
    bare = _TEXTS.sub(b"", raw)
    return _most_values(bare) - len(_EMPTY.findall(bare)) > MESSAGE_VALUES


def _most_values(text: bytes) -> int:
    """An upper bound: each object or array that is not empty has one more value than commas."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def json_value(raw: bytes) -> object:
    """The JSON value in `raw`, if all correct JSON readers agree on it; raises Refused."""
    try:
        text = raw.decode()
        content = _careful.decode(text)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is not valid text
    except UnicodeError as error:
        raise Refused("malformed", f"not UTF-8: {error.reason if isinstance(error, UnicodeDecodeError) else error}") from None
    except RecursionError:
        raise Refused("malformed", "nested too deeply") from None
    except ValueError as error:
        raise Refused("malformed", f"not JSON: {error}") from None
    if text.count("[") + text.count("{") > MESSAGE_DEPTH and _deeper_than(MESSAGE_DEPTH, content):
        raise Refused("malformed", f"nested too deeply; at most {MESSAGE_DEPTH} levels are allowed")
    return content


def _deeper_than(levels: int, content: object) -> bool:
    inner: Iterable[object] = content.values() if isinstance(content, dict) else content if isinstance(content, list) else ()
    return any(levels == 1 or _deeper_than(levels - 1, value) for value in inner if isinstance(value, dict | list))


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise Refused("duplicate_name", "a name occurs twice in one object; send it once: tools would read different values")
    return names


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is too large for a double")
    return number


def _not_a_number(text: str) -> Never:
    raise ValueError(f"{text} is not a JSON number")


_careful = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_int=_finite, parse_constant=_not_a_number)
