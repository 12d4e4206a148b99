"""The flags for scores, of each command that computes scores."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MosFlags:
    """The coefficients of the MOS model; see `feedback_analysis/quality/mos.py`."""

    mos_c1: float | None = None
    """Coefficient c1 of the MOS (mean opinion score). MOS = c1 × (1 − continuity) + a × (1 − e^(−lambda × B)) + c2.
    Continuity is played time / (played time + stalled time), 0 to 1. B is the playback rate in kbit/s. The default is -5,
    or -5.5 with --mos-calibration public."""

    mos_c2: float | None = None
    """Coefficient c2 of the MOS. The default is 2, or 2.2 with --mos-calibration public. With ceiling, c2 has no effect, and a
    value other than 2 is refused."""

    mos_a: float | None = None
    """Coefficient a of the MOS: the maximum that the rate adds. The default is 4, or 1.94 with --mos-calibration public."""

    mos_lambda: float | None = None
    """Coefficient lambda of the MOS, per kbit/s. With a higher value, a lower playback rate is sufficient for the same score. The
    default is 0.0015, or 0.0006 with --mos-calibration public."""

    mos_calibration: Literal["ceiling", "public", "none"] = "ceiling"
    """Variant of the MOS equation. ceiling: the paper's equation, shifted so that the best score is 5. public: the same equation
    with coefficients fitted to public ratings. none: the paper's equation unchanged. With ceiling and with public, scores
    are limited to the range 1 to 5."""


@dataclass(frozen=True, kw_only=True)
class Scoring(MosFlags):
    """The flags for the MOS, and the coefficients of all quality models."""

    model_set: tuple[str, ...] = ()
    """Coefficient of a quality model as MODEL.COEFFICIENT=VALUE, such as mos_stalling.length=0.2. MODEL is mos, mos_stalling,
    qoe_linear, startup_score or good_sessions. docs/quality-models.md lists the coefficients. Repeat the flag for each
    coefficient."""
