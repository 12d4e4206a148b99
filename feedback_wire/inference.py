"""The inference message, version 1: what a model concluded about one slot of one session from its packets.

A slot is a short time of a session, usually one second. `inference_id` identifies the message: a sender may send it again, and
readers count it once. An inference is never a fact about the session. So a message names its model, and gives a band beside a value
where the model has one. `INFERENCE_FIELDS` is the only definition; the JSON Schema, the coordinator's validation and all column
types follow from it.
"""

from typing import Any

from feedback_wire.field import Field, count, rate, schema_of, share, text, version
from feedback_wire.limits import LARGEST_INT

INFERENCE_VERSION = 1
LONGEST_SLOT_S = 3600
SOURCES = ("live", "capture")


def _milliseconds(name: str, meaning: str) -> Field:
    return Field(name=name, kind=float, meaning=meaning, unit="ms", least=0, most=LARGEST_INT)


def _mos(name: str, meaning: str) -> Field:
    return Field(name=name, kind=float, meaning=meaning, least=1, most=5)


INFERENCE_FIELDS: tuple[Field, ...] = (
    version(INFERENCE_VERSION),
    text("inference_id", "id of the inference; the same in each copy of the message", required=True),
    Field(name="source", kind=str, meaning="live packets, or a recorded capture", required=True, choices=SOURCES),
    text("model", "name of the model", required=True),
    text("model_sha256", "SHA-256 of the model, hexadecimal", required=True),
    text("address", "the end host's address in the packets", required=True),
    count("slot", "number of the slot, from 0 at the session's first packet", required=True),
    count("slot_ms", "beginning of the slot by the clock of the capture, Unix time", "ms", required=True),
    Field(name="slot_s", kind=float, meaning="length of the slot", unit="s", required=True, least=0, most=LONGEST_SLOT_S),
    text("session_id", "session of the feedback messages; absent if it is not known"),
    text("training_id", "training that the session belongs to"),
    text("flow", "flow of the packets; absent if they are of several"),
    rate("download_kbps", "rate that the end host received in the slot, counted from packets"),
    share("stalled_probability", "probability that playback is stalled in the slot"),
    share("session_stalled_probability", "probability that the session has stalled by the end of the slot"),
    count("height", "most probable height of the picture", "pixels"),
    share("height_probability", "probability of this height"),
    _milliseconds("startup_ms", "startup of the session"),
    _milliseconds("startup_low_ms", "lower end of the band of the startup"),
    _milliseconds("startup_high_ms", "upper end of the band of the startup"),
    _mos("mos", "MOS of the session by the end of the slot"),
    _mos("mos_low", "lower end of the band of the MOS"),
    _mos("mos_high", "upper end of the band of the MOS"),
    share("band_coverage", "share of sessions whose true value the bands are expected to contain"),
)
"""The 24 fields, in the order in which they are documented and stored in columns."""


def inference_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an inference message."""
    return schema_of("Swarmscope inference message, version 1", INFERENCE_FIELDS, {})
