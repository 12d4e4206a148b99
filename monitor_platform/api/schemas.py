"""Schemas that the OpenAPI descriptions of this package share."""

from serving.openapi import Schema

TIME: Schema = {"type": "integer", "description": "Unix milliseconds"}
NUMBER: Schema = {"type": ["number", "null"]}


def list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def object_of(**properties: Schema) -> Schema:
    """An object that has all of these properties."""
    return {"type": "object", "required": [*properties], "properties": properties}
