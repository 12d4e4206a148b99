"""A named field of a message: its JSON type, its bounds and what it means. Every kind of messages is defined by such fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feedback_wire.limits import LARGEST_INT, TEXT_CHARS


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One named field of a message. The bounds are inclusive."""

    name: str
    kind: type[str] | type[int] | type[float]
    meaning: str
    unit: str = ""
    required: bool = False
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()


def text(name: str, meaning: str, *, required: bool = False) -> Field:
    return Field(name=name, kind=str, meaning=meaning, required=required)


def count(name: str, meaning: str, unit: str = "", *, required: bool = False) -> Field:
    return Field(name=name, kind=int, meaning=meaning, unit=unit, required=required, least=0, most=LARGEST_INT)


def rate(name: str, meaning: str) -> Field:
    # 10^9 kbit/s is a terabit: more than any end host has, and small enough for exact sums over a day.
    return Field(name=name, kind=float, meaning=meaning, unit="kbit/s", least=0, most=10**9)


def share(name: str, meaning: str) -> Field:
    return Field(name=name, kind=float, meaning=meaning, least=0, most=1)


def version(number: int) -> Field:
    return Field(name="v", kind=int, meaning="version of this format", required=True, least=number, most=number)


def field_schema(field: Field) -> dict[str, Any]:
    """JSON Schema of the values of a field."""
    meaning = f"{field.meaning} ({field.unit})" if field.unit else field.meaning
    if field.choices:
        return {"description": meaning, "enum": list(field.choices)}
    json_type = {str: "string", int: "integer", float: "number"}[field.kind]
    schema: dict[str, Any] = {"description": meaning, "type": json_type if field.required else [json_type, "null"]}
    if field.kind is str:
        schema |= {"maxLength": TEXT_CHARS} | ({"minLength": 1} if field.required else {})
    if field.least is not None:
        schema["minimum"] = field.least
    if field.most is not None:
        schema["maximum"] = field.most
    return schema


def schema_of(title: str, fields: Sequence[Field], objects: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema (2020-12) of messages with these fields, and with `objects`: names of fields and their schemas."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        "required": [field.name for field in fields if field.required],
        "properties": {**{field.name: field_schema(field) for field in fields}, **objects},
        "additionalProperties": True,
    }
