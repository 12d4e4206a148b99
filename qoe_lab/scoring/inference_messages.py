"""Inference messages for a coordinator: docs/formats/inference.md describes their fields."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from feedback_wire.inference import INFERENCE_VERSION
from qoe_lab.models.bands import COVERAGE
from qoe_lab.models.lab_model import LabModel
from qoe_lab.scoring.session_scorer import InferredBand, SlotInference
from qoe_lab.traffic.slot_features import SLOT_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredSession:
    """Which session inferences are about. The ids are those of feedback messages, if they are known."""

    address: str
    source: str
    """live or capture."""
    begin_ms: int
    session_id: str | None = None
    training_id: str | None = None


def inference_message(model: LabModel, session: ScoredSession, inference: SlotInference) -> dict[str, Any]:
    """The message of one slot. Scoring the same slot twice gives the same id, so it counts once."""
    identity = f"{session.address} {session.session_id or session.begin_ms} {inference.begin_ms} {model.sha256}"
    message = {
        "v": INFERENCE_VERSION,
        "inference_id": hashlib.sha256(identity.encode()).hexdigest()[:32],
        "source": session.source,
        "model": model.name,
        "model_sha256": model.sha256,
        "address": session.address,
        "slot": inference.slot,
        "slot_ms": inference.begin_ms,
        "slot_s": float(SLOT_SECONDS),
        "session_id": session.session_id,
        "training_id": session.training_id,
        "download_kbps": inference.download_kbps,
        "stalled_probability": inference.stalled_probability,
        "session_stalled_probability": inference.session_stalled_probability,
        "height": inference.height,
        "height_probability": inference.height_probability,
        **_band("startup", "_ms", inference.startup_ms),
        **_band("mos", "", inference.mos),
    }
    bands = [each for each in (inference.startup_ms, inference.mos) if each is not None and each.low is not None]
    if bands:
        message["band_coverage"] = COVERAGE
    return {name: value for name, value in message.items() if value is not None}


def _band(name: str, unit: str, band: InferredBand | None) -> dict[str, float | None]:
    if band is None:
        return {}
    return {f"{name}{unit}": band.value, f"{name}_low{unit}": band.low, f"{name}_high{unit}": band.high}


def inference_line(model: LabModel, session: ScoredSession, inference: SlotInference) -> bytes:
    """The message as a line for a coordinator, without its end."""
    return json.dumps(inference_message(model, session, inference), allow_nan=False).encode()
