"""How to score, as an operator says it: the flags of every command that scores, declared once."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MosFlags:
    """The constants of MOS(B, D)."""

    mos_c1: float | None = None
    """MOS coefficient c1, the weight of discontinuity. The default is -5, or -5.5 with --mos-calibration public."""

    mos_c2: float | None = None
    """MOS coefficient c2, the base score. The default is 2, or 2.2 with --mos-calibration public. Refused with --mos-calibration
    ceiling, where it has no effect."""

    mos_a: float | None = None
    """MOS coefficient a, the maximum that the playback rate adds. The default is 4, or 1.94 with --mos-calibration public."""

    mos_lambda: float | None = None
    """MOS coefficient lambda, the growth per kbit/s of playback rate. The default is 0.0015, or 0.0006 with --mos-calibration
    public."""

    mos_calibration: Literal["ceiling", "public", "none"] = "ceiling"
    """Calibration of the MOS. ceiling: the paper's equation, shifted to a best score of 5. public: coefficients fitted to public
    ratings. none: the paper's equation. ceiling and public limit scores to the range 1 to 5."""


@dataclass(frozen=True, kw_only=True)
class Scoring(MosFlags):
    """Those, and the coefficients of every other quality model."""

    model_set: tuple[str, ...] = ()
    """Coefficient of a quality model as MODEL.COEFFICIENT=VALUE, such as mos_stalling.length=0.2. Repeat the flag for each
    coefficient."""
