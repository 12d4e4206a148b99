"""The kinds of records. Each kind has its own messages, logs and columns, and its own route at the coordinator.

A log holds records of one kind, which its name states. To add a kind, define its fields here, and its checks at the coordinator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from feedback_wire.field import Field
from feedback_wire.inference import INFERENCE_FIELDS, inference_schema
from feedback_wire.measurement import MEASUREMENT_FIELDS, MEASUREMENT_OBJECTS, measurement_schema
from feedback_wire.message import FIELDS, message_schema

KindName = Literal["feedback", "measurement", "inference"]
"""The names of all kinds, for flags and arguments."""


class RecordKind(StrEnum):
    """The value is the kind's name in log names and routes."""

    FEEDBACK = "feedback"
    MEASUREMENT = "measurement"
    INFERENCE = "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The fields of the messages of one kind.

    `objects` are fields with objects or arrays; columns hold them as JSON text. Two records with the same values in the fields of
    `identity` are copies of one message.
    """

    fields: tuple[Field, ...]
    identity: tuple[str, ...]
    schema: Callable[[], dict[str, Any]]
    objects: tuple[str, ...] = ()


CONTRACTS = {
    RecordKind.FEEDBACK: Contract(fields=FIELDS, identity=("session_id", "seq"), schema=message_schema, objects=("extra",)),
    RecordKind.MEASUREMENT: Contract(
        fields=MEASUREMENT_FIELDS, identity=("operation_id",), schema=measurement_schema, objects=MEASUREMENT_OBJECTS
    ),
    RecordKind.INFERENCE: Contract(fields=INFERENCE_FIELDS, identity=("inference_id",), schema=inference_schema),
}
