"""Text for a terminal. What end hosts call their channels, and how files are named, may hold what a terminal obeys: its title, its
screen, the direction of writing. Such characters are shown by their number instead.
"""

import json
import re
from re import Match

_OUTSIDE_ASCII = re.compile(r"[\x7f-\uffff]")


def plain(text: str) -> str:
    """`text` in one line, of characters that can be seen."""
    return text if text.isprintable() else "".join(map(_seen, text))


def plain_json(value: object, *, indent: int | None = 2) -> str:
    """`value` as JSON that means the same and holds no character that cannot be seen; in one line without `indent`."""
    return _OUTSIDE_ASCII.sub(_escaped, json.dumps(value, indent=indent, ensure_ascii=False))


def _escaped(found: Match[str]) -> str:
    return found[0] if found[0].isprintable() else f"\\u{ord(found[0]):04x}"


def _seen(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", errors="backslashreplace").decode("ascii")
