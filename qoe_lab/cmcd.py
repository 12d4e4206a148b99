"""Common Media Client Data (CTA-5004), which a player adds to its requests: as text in the parameter `CMCD` of the URL."""

from collections.abc import Mapping

from feedback_wire.numbers import parsed_float

PARAMETER = "CMCD"
LONGEST = 4096
"""Characters; a longer text is not read."""

CmcdValue = str | float | bool
_TOKENS = frozenset({"ot", "sf", "st"})
"""Keys whose values are words without quotation marks."""


def cmcd_text(values: Mapping[str, CmcdValue | None]) -> str:
    """The values as a client sends them: sorted by key, without those that are None or False."""
    return ",".join(_pair(key, value) for key, value in sorted(values.items()) if value is not None and value is not False)


def _pair(key: str, value: CmcdValue) -> str:
    if value is True:
        return key
    if isinstance(value, str):
        return f"{key}={value}" if key in _TOKENS else f'{key}="{_escaped(value)}"'
    return f"{key}={round(value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def read_cmcd(text: str) -> dict[str, CmcdValue]:
    """The values in a text. What is no pair of a key and a value is left out: the text comes from the network."""
    found: dict[str, CmcdValue] = {}
    for part in _parts(text[:LONGEST]):
        key, equals, value = part.strip().partition("=")
        if key:
            found[key] = _value(value) if equals else True
    return found


def _parts(text: str) -> list[str]:
    """The text between commas that are not within quotation marks."""
    parts, quoted, escaped = [""], False, False
    for sign in text:
        if sign == "," and not quoted:
            parts.append("")
            continue
        if sign == '"' and not escaped:
            quoted = not quoted
        escaped = sign == "\\" and not escaped
        parts[-1] += sign
    return parts


def _value(text: str) -> CmcdValue:
    if text.startswith('"'):
        return text[1:].removesuffix('"').replace('\\"', '"').replace("\\\\", "\\")
    if text in {"true", "false"}:
        return text == "true"
    try:
        number = parsed_float(text)
    except ValueError:
        return text
    return number if abs(number) < 1e15 else text
