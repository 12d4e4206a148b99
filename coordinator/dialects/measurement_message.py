"""Checks measurement messages. They are few, so each one is checked exactly."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from coordinator.dialects.exact_check import NAME, NUMBER, TEXT, CheckedMessage, checked, field_type
from feedback_wire.limits import EXTRA_KEYS
from feedback_wire.measurement import HOPS, MEASUREMENT_FIELDS

_VALUES = Annotated[dict[NAME, NUMBER | None], Meta(max_length=EXTRA_KEYS)]
_HOPS = Annotated[list[dict[NAME, TEXT | NUMBER | None]], Meta(max_length=HOPS)]
_TAGS = Annotated[dict[NAME, TEXT], Meta(max_length=EXTRA_KEYS)]
_REQUIRED = tuple(field.name for field in MEASUREMENT_FIELDS if field.required)


def _struct() -> type[msgspec.Struct]:
    required = [(field.name, field_type(field)) for field in MEASUREMENT_FIELDS if field.required]
    optional = [(field.name, field_type(field), UNSET) for field in MEASUREMENT_FIELDS if not field.required]
    objects: list[tuple[str, Any, Any]] = [
        ("values", _VALUES | None | UnsetType, UNSET),
        ("hops", _HOPS | None | UnsetType, UNSET),
        ("tags", _TAGS | None | UnsetType, UNSET),
    ]
    # The coordinator places the messages of one end host on one server; here it is the agent that stands for the end host.
    end_host = {"peer_id": property(lambda message: message.agent)}
    return msgspec.defstruct("Measurement", [*required, *optional, *objects], namespace=end_host, gc=False)


_decoder = msgspec.json.Decoder(_struct())


def check_measurement(raw: bytes) -> CheckedMessage:
    """The measurement message in `raw`; raises Refused."""
    return checked(raw, _decoder, _REQUIRED, "measurement message")
