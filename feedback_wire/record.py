"""The log record: a feedback message as it was sent, with four fields of the servers in front.

The servers insert text instead of encoding the message again, so the end host's bytes reach the log unchanged, including unknown
fields. A message is therefore one line that begins with `{`, and must not have a field with one of the four names.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from feedback_wire.field import Field
from feedback_wire.message import FIELDS, message_schema

RECORD_FIELDS: tuple[Field, ...] = (
    Field(
        name="received_ms", kind=int, meaning="the feedback server's clock at writing, Unix time", unit="ms", required=True, least=0
    ),
    Field(name="ip", kind=str, meaning="the end host's address, as --ip records it; empty if dropped", required=True),
    Field(name="weight", kind=float, meaning="number of end hosts represented; 1 without sampling", required=True, least=1),
    Field(name="via", kind=str, meaning="name of the coordinator", required=True),
)
RECORD_FIELD_NAMES = tuple(field.name for field in RECORD_FIELDS)
NAMED_FIELDS = (*RECORD_FIELDS, *FIELDS)
"""All named fields of a record, in the order of the columns of CSV and Parquet logs."""

RECEIVED_MS = re.compile(rb'\{"received_ms":(\d{1,18})[,}]')
"""The start of a record's line, with the time of receipt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The facts that a coordinator adds to a message."""

    ip: str
    weight: float
    via: str

    def prefix(self) -> bytes:
        """The bytes that replace a message's opening brace; the same for every message of one end host."""
        return json.dumps({"ip": self.ip, "weight": self.weight, "via": self.via}, separators=(",", ":")).encode()[:-1] + b","


def unsampled(prefix: bytes) -> bytes:
    """`prefix` (see `Origin.prefix`) with the weight 1, for records that are never sampled."""
    origin = json.loads(prefix[:-1] + b"}") | {"weight": 1}
    return json.dumps(origin, separators=(",", ":")).encode()[:-1] + b","


def stamp_received(lines: bytes, received_ms: int) -> bytes:
    """Put `received_ms` at the front of each of `lines` (whole JSON objects, one per line, each with its line feed)."""
    stamp = b'{"received_ms":%d,' % received_ms
    # Twice as fast as replacing "\n{": a search for one byte runs at the speed of memory, a search for two does not.
    return b"".join([stamp + line[1:] + b"\n" for line in lines.split(b"\n")[:-1]])


def record_schema(message: dict[str, Any] | None = None) -> dict[str, Any]:
    """JSON Schema (2020-12) of a log record: the schema of its `message` (None: of feedback) and the four fields of the servers."""
    schema = message or message_schema()
    kinds = {str: "string", int: "integer", float: "number"}
    own: dict[str, dict[str, Any]] = {
        field.name: {"description": field.meaning, "type": kinds[field.kind]}
        | ({} if field.least is None else {"minimum": field.least})
        for field in RECORD_FIELDS
    }
    return schema | {
        "title": "Swarmscope log record, version 1",
        "required": [*own, *schema["required"]],
        "properties": own | schema["properties"],
    }
