"""Inference messages for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form
from tests.harness.measurements import BEGIN_MS, write_kind


def inference(slot: int = 0, session: str | None = "s1", **fields: Any) -> dict[str, Any]:
    """A whole inference message of a slot of one second; `fields` are replaced or added, and omitted if None."""
    known = {
        "v": 1,
        "inference_id": f"{session}-{slot}",
        "source": "live",
        "model": "boosted-1",
        "model_sha256": "ab" * 32,
        "address": "192.0.2.7",
        "slot": slot,
        "slot_ms": BEGIN_MS + slot * 1000,
        "slot_s": 1.0,
        "session_id": session,
        "training_id": "t1",
        "download_kbps": 1850.5,
        "stalled_probability": 0.05,
        "session_stalled_probability": 0.1,
        "height": 360,
        "height_probability": 0.9,
        "startup_ms": 900.5,
        "startup_low_ms": 600.0,
        "startup_high_ms": 1400.0,
        "mos": 4.1,
        "mos_low": 3.6,
        "mos_high": 4.5,
        "band_coverage": 0.9,
    }
    return {name: value for name, value in (known | fields).items() if value is not None}


def inference_record(slot: int = 0, session: str | None = "s1", *, received_ms: int = BEGIN_MS, **fields: Any) -> dict[str, Any]:
    """The record of an inference message."""
    return {"received_ms": received_ms, "ip": "192.0.2.0", "weight": 1, "via": "c1"} | inference(slot, session, **fields)


def write_inferences(folder: Path, records: Sequence[dict[str, Any]], form: Form = Form.JSONL, *, part: int = 0) -> Path:
    """A log with inference records in `folder`."""
    return write_kind(folder, RecordKind.INFERENCE, records, form, part=part)
