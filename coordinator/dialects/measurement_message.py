"""Checks measurement messages. They are few, so each one is checked exactly."""

from typing import Annotated

import msgspec
from msgspec import Meta

from coordinator.dialects.exact_check import NAME, NUMBER, TEXT, CheckedMessage, checked, message_type
from feedback_wire.limits import EXTRA_KEYS
from feedback_wire.measurement import HOPS, MEASUREMENT_FIELDS

_VALUES = Annotated[dict[NAME, NUMBER | None], Meta(max_length=EXTRA_KEYS)]
_HOPS = Annotated[list[dict[NAME, TEXT | NUMBER | None]], Meta(max_length=HOPS)]
_TAGS = Annotated[dict[NAME, TEXT], Meta(max_length=EXTRA_KEYS)]
_REQUIRED = tuple(field.name for field in MEASUREMENT_FIELDS if field.required)
_OBJECTS = {"values": _VALUES, "hops": _HOPS, "tags": _TAGS}
# The coordinator places the messages of one end host on one server; here it is the agent that stands for the end host.
_END_HOST = {"peer_id": property(lambda message: message.agent)}

_decoder = msgspec.json.Decoder(message_type("Measurement", MEASUREMENT_FIELDS, _OBJECTS, _END_HOST))


def check_measurement(raw: bytes) -> CheckedMessage:
    """The measurement message in `raw`; raises Refused."""
    return checked(raw, _decoder, _REQUIRED, "measurement message")
