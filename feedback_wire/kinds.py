"""The kinds of records. Each kind has its own messages, logs and columns, and its own route at the coordinator.

A log holds records of one kind, which its name states. To add a kind, define its fields here, and its checks at the coordinator.
"""

from dataclasses import dataclass
from enum import StrEnum

from feedback_wire.measurement import MEASUREMENT_FIELDS, MEASUREMENT_OBJECTS
from feedback_wire.message import FIELDS, Field


class RecordKind(StrEnum):
    """The value is the kind's name in log names and routes."""

    FEEDBACK = "feedback"
    MEASUREMENT = "measurement"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The fields of the messages of one kind. `objects` are fields with objects or arrays; columns hold them as JSON text."""

    fields: tuple[Field, ...]
    objects: tuple[str, ...]


CONTRACTS = {
    RecordKind.FEEDBACK: Contract(fields=FIELDS, objects=("extra",)),
    RecordKind.MEASUREMENT: Contract(fields=MEASUREMENT_FIELDS, objects=MEASUREMENT_OBJECTS),
}
