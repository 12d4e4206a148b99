"""Fits what an app says into the fields of the feedback message: what does not fit is counted, no invalid message is ever built.

Wrong types, negative numbers, NaN and infinity are left out, not set to 0: zero would be a statement that nobody made.
Too large numbers and too long texts are cut down: they are right in kind, and a continuity of 1.0000001 is nobody's fault.
"""

import math
from numbers import Real
from typing import TypeGuard

from endhost_sdk.misfits import Misfits
from feedback_wire.limits import EXTRA_KEYS, LARGEST_INT, MESSAGE_BYTES, TEXT_CHARS
from feedback_wire.message import FIELDS, ExtraValue

_RANGES = {
    field.name: (field.kind, field.least, field.most) for field in FIELDS if field.least is not None and field.most is not None
}

# A character takes at most 6 bytes in JSON (\u0000). The named fields hold 6 texts: 6 x 256 x 6 B = 9 KiB, and names and
# numbers below 2 KiB; 16 KiB are set aside for them, and extra gets the rest of a message.
EXTRA_CHARS = (MESSAGE_BYTES - 16 * 1024) // 6
# The longest finite double in JSON is -1.2345678901234567e-308: 24 characters; with the marks around an entry, 30.
_ENTRY_CHARS = 30


def fit_number(name: str, value: object, misfits: Misfits) -> float | None:
    """`value` as a number that the field `name` can hold; None if it is None or cannot."""
    if value is None:
        return None
    number = _finite(name, value, misfits)
    if number is None:
        return None
    kind, least, most = _RANGES[name]
    if number < least:
        misfits.drop(name, f"is below {least}")
        return None
    if number > most:
        misfits.clip(name, f"is above {most}")
        number = most
    return round(number) if kind is int else float(number)


def fit_text(name: str, value: object, misfits: Misfits) -> str | None:
    """`value` as a text that any field can hold; None if it is None or no text."""
    if value is None:
        return None
    if not isinstance(value, str):
        misfits.drop(name, f"is a {type(value).__name__}, not a text")
        return None
    fitting = value[:TEXT_CHARS]
    if not fitting.isascii():
        fitting = fitting.encode(errors="replace").decode()  # half a surrogate pair is no text in UTF-8
    if fitting != value:
        misfits.clip(name, f"has more than {TEXT_CHARS} characters, or some that UTF-8 cannot hold,")
    return fitting


def fit_extra(entries: object, misfits: Misfits) -> dict[str, ExtraValue]:
    """Those of `entries` that a message can hold, in their order."""
    if not isinstance(entries, dict):
        misfits.drop("extra", f"is a {type(entries).__name__}, not a dict")
        return {}
    fitting: dict[str, ExtraValue] = {}
    room = EXTRA_CHARS
    # copy() is one step, so another thread of the app may go on changing its dict.
    for name, value in dict.copy(entries).items():
        fit = _fit_entry(name, value, misfits)
        if fit is None:
            continue
        room -= _ENTRY_CHARS + len(name) + (len(fit) if isinstance(fit, str) else 0)
        if room < 0 or len(fitting) == EXTRA_KEYS:
            misfits.drop(f"extra.{name}", f"is beyond {EXTRA_KEYS} entries or {EXTRA_CHARS} characters")
            break
        fitting[name] = fit
    return fitting


def _is_number(value: object) -> TypeGuard[float]:
    """As Python's numeric tower has it, so that other libraries' numbers are welcome; True is no number here."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _finite(name: str, value: object, misfits: Misfits) -> int | float | None:
    """`value` as a finite int or float, or None."""
    if not _is_number(value):
        misfits.drop(name, f"is a {type(value).__name__}, not a number")
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    if not math.isfinite(number):
        misfits.drop(name, "is not finite")
        return None
    return int(value) if isinstance(value, int) else number


def _fit_entry(name: object, value: object, misfits: Misfits) -> ExtraValue | None:
    if not isinstance(name, str) or not 0 < len(name) <= TEXT_CHARS or fit_text("name", name, misfits) != name:
        misfits.drop("extra", f"has a name that is not 1 to {TEXT_CHARS} characters of text; its entry")
        return None
    label = f"extra.{name}"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return fit_text(label, value, misfits)
    number = _finite(label, value, misfits)
    if isinstance(number, int) and abs(number) > LARGEST_INT:
        misfits.drop(label, f"is beyond {LARGEST_INT}, where readers lose exactness,")
        return None
    return number
