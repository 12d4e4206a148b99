"""Fits the app's values into the fields of a feedback message. Values that do not fit are counted, so each message is valid.

Wrong types, negative numbers, NaN and infinity are left out and not set to 0, because 0 would be a wrong measurement.
Too large numbers are reduced and too long texts are shortened, because they are almost valid, such as a continuity of 1.0000001.
"""

import math
from numbers import Real
from typing import TypeGuard

from endhost_sdk.invalid_values import InvalidValues
from feedback_wire.limits import EXTRA_KEYS, LARGEST_INT, MESSAGE_BYTES, TEXT_CHARS
from feedback_wire.message import FIELDS, ExtraValue

_RANGES = {
    field.name: (field.kind, field.least, field.most) for field in FIELDS if field.least is not None and field.most is not None
}

# A character needs at most 6 bytes in JSON (\u0000). The named fields contain 6 texts (6 x 256 x 6 B = 9 KiB), and less than 2 KiB
# of names and numbers. 16 KiB are reserved for them, and `extra` gets the rest of a message.
EXTRA_CHARS = (MESSAGE_BYTES - 16 * 1024) // 6
# The longest finite double in JSON is -1.2345678901234567e-308: 24 characters; with the marks around an entry, 30.
_ENTRY_CHARS = 30


def fit_number(name: str, value: object, invalid_values: InvalidValues) -> float | None:
    """`value` as a number that fits the field `name`; None if `value` is None or does not fit."""
    if value is None:
        return None
    number = _finite(name, value, invalid_values)
    if number is None:
        return None
    kind, least, most = _RANGES[name]
    if number < least:
        invalid_values.drop(name, f"is below {least}")
        return None
    if number > most:
        invalid_values.clip(name, f"is above {most}")
        number = most
    return round(number) if kind is int else float(number)


def fit_text(name: str, value: object, invalid_values: InvalidValues) -> str | None:
    """`value` as a text that fits each text field; None if `value` is None or not a text."""
    if value is None:
        return None
    if not isinstance(value, str):
        invalid_values.drop(name, f"is a {type(value).__name__}, not a text")
        return None
    fitting = value[:TEXT_CHARS]
    if not fitting.isascii():
        fitting = fitting.encode(errors="replace").decode()  # half a surrogate pair is not valid in UTF-8
    if fitting != value:
        invalid_values.clip(name, f"has more than {TEXT_CHARS} characters, or some that UTF-8 cannot hold,")
    return fitting


def fit_extra(entries: object, invalid_values: InvalidValues) -> dict[str, ExtraValue]:
    """The `entries` that fit into a message, in their order."""
    if not isinstance(entries, dict):
        invalid_values.drop("extra", f"is a {type(entries).__name__}, not a dict")
        return {}
    fitting: dict[str, ExtraValue] = {}
    room = EXTRA_CHARS
    # dict.copy() is atomic, so another thread of the app may change the dict.
    for name, value in dict.copy(entries).items():
        fit = _fit_entry(name, value, invalid_values)
        if fit is None:
            continue
        room -= _ENTRY_CHARS + len(name) + (len(fit) if isinstance(fit, str) else 0)
        if room < 0 or len(fitting) == EXTRA_KEYS:
            invalid_values.drop(f"extra.{name}", f"is beyond {EXTRA_KEYS} entries or {EXTRA_CHARS} characters")
            break
        fitting[name] = fit
    return fitting


def _is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a real number, also one of another library such as NumPy. True and False are not numbers here."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _finite(name: str, value: object, invalid_values: InvalidValues) -> int | float | None:
    """`value` as a finite int or float, or None."""
    if not _is_number(value):
        invalid_values.drop(name, f"is a {type(value).__name__}, not a number")
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    if not math.isfinite(number):
        invalid_values.drop(name, "is not finite")
        return None
    return int(value) if isinstance(value, int) else number


def _fit_entry(name: object, value: object, invalid_values: InvalidValues) -> ExtraValue | None:
    if not isinstance(name, str) or not 0 < len(name) <= TEXT_CHARS or fit_text("name", name, invalid_values) != name:
        invalid_values.drop("extra", f"has a name that is not 1 to {TEXT_CHARS} characters of text; its entry")
        return None
    label = f"extra.{name}"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return fit_text(label, value, invalid_values)
    number = _finite(label, value, invalid_values)
    if isinstance(number, int) and abs(number) > LARGEST_INT:
        invalid_values.drop(label, f"is beyond {LARGEST_INT}, where readers lose exactness,")
        return None
    return number
