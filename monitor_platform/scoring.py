"""How to score, as an operator says it: the flags of every command that scores, declared once."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MosFlags:
    """The constants of MOS(B, D)."""

    mos_c1: float = -5.0
    """MOS model: weight of discontinuity."""

    mos_c2: float = 2.0
    """MOS model: base."""

    mos_a: float = 4.0
    """MOS model: what the playback rate can add."""

    mos_lambda: float = 0.0015
    """MOS model: how fast it adds, per kbit/s."""

    mos_calibration: Literal["ceiling", "none"] = "ceiling"
    """MOS model: shift its ceiling to 5 and keep it within 1 to 5, or take the bare equation."""


@dataclass(frozen=True, kw_only=True)
class Scoring(MosFlags):
    """Those, and the coefficients of every other quality model."""

    model_set: tuple[str, ...] = ()
    """A coefficient of a quality model, MODEL.COEFFICIENT=VALUE, such as mos_stalling.length=0.2; again for another one."""
