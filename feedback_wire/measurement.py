"""The measurement message, version 1: how one operation of active measurement ended.

An operation is one measurement of one destination by one agent with one technique. `operation_id` identifies the message: a
master may send it again, and readers count it once. `values` has the measured numbers; their names end with their units. `hops`
has the routers of the path, `tags` the properties of the agent. `MEASUREMENT_FIELDS` is the only definition; the JSON Schema, the
coordinator's validation and all column types follow from it.
"""

from typing import Any

from feedback_wire.field import Field, count, schema_of, text, version
from feedback_wire.limits import EXTRA_KEYS, LARGEST_INT, TEXT_CHARS

MEASUREMENT_VERSION = 1

HOPS = 255
"""The most hops of one path."""

STATUSES = (
    "ok",
    "partial",
    "timeout_target",
    "timeout_agent",
    "agent_lost",
    "unreachable",
    "refused",
    "rate_limited",
    "invalid_train",
    "cancelled",
    "missed",
    "expired",
    "needs_cap_net_raw",
)


MEASUREMENT_FIELDS: tuple[Field, ...] = (
    version(MEASUREMENT_VERSION),
    text("operation_id", "id of the operation; the same in each copy of the message", required=True),
    text("request_id", "id of the request that the operation belongs to", required=True),
    count("round", "number of the round of a periodic request, from 0"),
    text("technique", "how it was measured, such as PING or PATHNECK", required=True),
    text("agent", "name of the agent that measured", required=True),
    text("agent_address", "the agent's address, as its master sees it"),
    text("destination", "what was measured, as the requester wrote it", required=True),
    text("address", "the address to which the agent sent"),
    count("port", "the port to which the agent sent; absent if the technique has none"),
    Field(name="status", kind=str, meaning="how the operation ended", required=True, choices=STATUSES),
    text("reason", "why the status is not ok, for people"),
    text("quality", "good or degraded; absent if the technique does not judge it"),
    count("started_ms", "the agent's clock at the first packet, Unix time", "ms", required=True),
    Field(name="duration_ms", kind=float, meaning="from the first packet to the end", unit="ms", least=0, most=LARGEST_INT),
)
"""The 15 named fields, in the order in which they are documented and stored in columns."""

MEASUREMENT_OBJECTS = ("values", "hops", "tags")
"""Fields with objects and arrays: `values` {name: number or null}, `hops` [object], `tags` {name: text}."""


def measurement_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a measurement message."""
    tag = {"type": "string", "maxLength": TEXT_CHARS}
    hop = {"type": "object", "additionalProperties": {"type": ["string", "number", "null"], "maxLength": TEXT_CHARS}}
    objects = {
        "values": {"type": ["object", "null"], "maxProperties": EXTRA_KEYS, "additionalProperties": {"type": ["number", "null"]}},
        "hops": {"type": ["array", "null"], "maxItems": HOPS, "items": hop},
        "tags": {"type": ["object", "null"], "maxProperties": EXTRA_KEYS, "additionalProperties": tag},
    }
    return schema_of("Swarmscope measurement message, version 1", MEASUREMENT_FIELDS, objects)
