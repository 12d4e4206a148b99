"""The line number of each value of a JSON text. `json` gives no line numbers, and errors name the line."""

import json
import re
from dataclasses import dataclass, field

SIGN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')

JsonPath = tuple[str | int, ...]
"""Keys and places from the outermost value to an inner one, such as ("10.0.1.2", "neighbors", 0)."""


@dataclass(slots=True)
class LineNumbers:
    """The line of each key and value, and of the second occurrence of each key that one object has twice."""

    by_path: dict[JsonPath, int] = field(default_factory=dict)
    repeated: dict[JsonPath, int] = field(default_factory=dict)

    def line(self, path: JsonPath) -> int:
        """The line of a value, or of the nearest value around it that the text has."""
        while path not in self.by_path and path:
            path = path[:-1]
        return self.by_path.get(path, 1)


def line_numbers(text: str) -> LineNumbers:
    """The lines of a text that `json.loads` accepts."""
    found = LineNumbers()
    keys: list[str | int | None] = []
    """The key or place in each open object or list; None where an object's next key follows."""
    line, counted = 1, 0
    for match in SIGN.finditer(text):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        _take(match.group(), line, keys, found)
    return found


def _take(sign: str, line: int, keys: list[str | int | None], found: LineNumbers) -> None:
    if sign in "}]":
        keys.pop()
    elif sign == ",":
        place = keys[-1]
        keys[-1] = place + 1 if isinstance(place, int) else None
    elif keys and keys[-1] is None:
        keys[-1] = json.loads(sign)
        _note(line, keys, found, is_key=True)
    elif sign != ":":
        _note(line, keys, found, is_key=False)
        if sign in "{[":
            keys.append(None if sign == "{" else 0)


def _note(line: int, keys: list[str | int | None], found: LineNumbers, *, is_key: bool) -> None:
    path = tuple(key for key in keys if key is not None)
    if is_key and path in found.by_path:
        found.repeated.setdefault(path, line)
    found.by_path.setdefault(path, line)
