"""Values from JSON files that another process wrote, perhaps not to the end: each one has its type, or the file is damaged."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from serving.regular_files import open_regular, read_regular

T = TypeVar("T")


LARGEST = 2.0**53
"""Numbers beyond this are no measured values, and have no exact place in a table."""


class DamagedFileError(ValueError):
    """A file does not have the content that its name states. `path` is the file."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is damaged: {why}")
        self.path, self.why = path, why


class JsonValues:
    """The fields of one JSON object. A field that is absent or null is None; one of another type is a DamagedFileError."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self._values = values

    @property
    def all(self) -> Mapping[str, Any]:
        return self._values

    def text(self, name: str) -> str | None:
        text = self._typed(name, str)
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise DamagedFileError(self.path, f"{name} is {text!a}, which has half a character") from None
        return text

    def boolean(self, name: str) -> bool | None:
        return self._typed(name, bool)

    def integer(self, name: str) -> int | None:
        number = self.number(name)
        if number is not None and number != int(number):
            raise DamagedFileError(self.path, f"{name} is {number!r}, which is no whole number")
        return None if number is None else int(number)

    def number(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST < value < LARGEST:
            raise DamagedFileError(self.path, f"{name} is {str(value)[:80]!r}, which is no number")
        return value

    def numbers(self, name: str) -> list[float] | None:
        values = self._typed(name, list)
        if values is None:
            return None
        return [JsonValues(self.path, {name: value}).number(name) or 0.0 for value in values]

    def object(self, name: str) -> "JsonValues":
        """An object within this one; empty if it is absent."""
        return JsonValues(self.path, self._typed(name, dict) or {})

    def _typed(self, name: str, kind: type[T]) -> T | None:
        value = self._values.get(name)
        if value is not None and not isinstance(value, kind):
            raise DamagedFileError(self.path, f"{name} is {str(value)[:80]!r}, which is no {kind.__name__}")
        return value


def read_object(path: Path) -> JsonValues | None:
    """The object in a file; None if there is no such file."""
    try:
        values = json.loads(read_regular(path))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(path, str(error)) from None
    if not isinstance(values, dict):
        raise DamagedFileError(path, "it holds no JSON object")
    return JsonValues(path, values)


def read_objects(path: Path) -> Iterator[JsonValues]:
    """The objects in the lines of a file; none if there is no such file. A last line that is cut off is left out."""
    try:
        file = open_regular(path)
    except FileNotFoundError:
        return
    with file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DamagedFileError(path, f"line {number}: {error}") from None
            if not isinstance(values, dict):
                raise DamagedFileError(path, f"line {number} holds no JSON object")
            yield JsonValues(path, values)
