"""Checks inference messages. They are few, so each one is checked exactly."""

import msgspec

from coordinator.dialects.exact_check import CheckedMessage, checked, message_type
from feedback_wire.inference import INFERENCE_FIELDS

_REQUIRED = tuple(field.name for field in INFERENCE_FIELDS if field.required)
# The coordinator places the messages of one end host on one server; its address stands for the end host.
_END_HOST = {"peer_id": property(lambda message: message.address)}

_decoder = msgspec.json.Decoder(message_type("Inference", INFERENCE_FIELDS, {}, _END_HOST))


def check_inference(raw: bytes) -> CheckedMessage:
    """The inference message in `raw`; raises Refused."""
    return checked(raw, _decoder, _REQUIRED, "inference message")
