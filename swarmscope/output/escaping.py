"""Escapes text for a terminal. Channel names and file names can contain control characters, which change a terminal's title, screen
or writing direction. Such characters are shown as escapes.
"""

import json
import re
from re import Match

_OUTSIDE_ASCII = re.compile(r"[\x7f-\uffff]")


def plain(text: str) -> str:
    """`text` in one line of printable characters."""
    return text if text.isprintable() else "".join(map(_printable, text))


def plain_json(value: object, *, indent: int | None = 2) -> str:
    """`value` as JSON, with unprintable characters as escapes. With `indent=None`, it is one line."""
    return _OUTSIDE_ASCII.sub(_escaped, json.dumps(value, indent=indent, ensure_ascii=False))


def _escaped(match: Match[str]) -> str:
    return match[0] if match[0].isprintable() else f"\\u{ord(match[0]):04x}"


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")
