"""The equation of MOS(B, D) in Python, written without the model's SQL."""

import math

from feedback_analysis.quality.mos import MosModel


def score(model: MosModel, playback_kbps: float, continuity: float) -> float:
    """The score of one interval."""
    bare = model.c1 * (1 - continuity) + model.a * (1 - math.exp(-model.lam * playback_kbps)) + model.c2
    return bare if model.calibration == "none" else min(5.0, max(1.0, bare + model.shift))
