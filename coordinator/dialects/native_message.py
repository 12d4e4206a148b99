"""Checks native feedback messages: `check_usual` quickly accepts usual ones, `check_exactly` decides about all others.

`check_usual` must never accept bytes that other JSON readers read differently, or logs would not mean the same everywhere: names
that occur twice (msgspec keeps the last value, DuckDB the first), invalid UTF-8 or infinite numbers in fields that msgspec skips.
So it accepts only known names.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta

from coordinator.dialects.exact_check import NAME, NUMBER, TEXT, CheckedMessage, checked, message_type
from feedback_wire.limits import EXTRA_KEYS, MESSAGE_BYTES
from feedback_wire.message import FIELDS, REQUIRED

_EXTRA = Annotated[dict[NAME, TEXT | NUMBER | bool], Meta(max_length=EXTRA_KEYS)]


_strict = msgspec.json.Decoder(message_type("Message", FIELDS, {"extra": _EXTRA}, strict=True))
_lenient = msgspec.json.Decoder(message_type("OpenMessage", FIELDS, {"extra": _EXTRA}))
_PLACES = len(FIELDS) + 1
_values = msgspec.structs.astuple
_COLON = b":"
_BACKSLASH = b"\\"


def check(raw: bytes) -> CheckedMessage:
    """The message in `raw`; raises Refused."""
    message = check_usual(raw)
    return check_exactly(raw) if message is None else message


def check_usual(raw: bytes) -> CheckedMessage | None:
    """The message in `raw` if it is of the usual kind, found in some microseconds; None if only `check_exactly` can decide."""
    if len(raw) > MESSAGE_BYTES:
        return None
    try:
        message: Any = _strict.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # Each name in the text has a colon. If there are no more colons than distinct names, no name occurs twice.
    names = _PLACES - _values(message).count(UNSET) + (len(message.extra) if message.extra else 0)
    return message if raw.count(_COLON) == names or _colons_outside_texts(raw) == names else None


def _colons_outside_texts(raw: bytes) -> int | None:
    """The number of colons outside of texts; None if a backslash may hide the end of a text."""
    return None if _BACKSLASH in raw else b"".join(raw.split(b'"')[::2]).count(_COLON)


def check_exactly(raw: bytes) -> CheckedMessage:
    """The message in `raw`, which may have unknown fields, or texts with colons and backslashes; raises Refused."""
    return checked(raw, _lenient, REQUIRED, "feedback message")
