"""How to score, as an operator says it: the flags of every command that scores, declared once."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MosFlags:
    """The constants of MOS(B, D)."""

    mos_c1: float | None = None
    """MOS model: weight of discontinuity; -5, with --mos-calibration public -5.5."""

    mos_c2: float | None = None
    """MOS model: base; 2, with --mos-calibration public 2.2. It has no effect under ceiling, and is refused there."""

    mos_a: float | None = None
    """MOS model: what the playback rate can add; 4, with --mos-calibration public 1.94."""

    mos_lambda: float | None = None
    """MOS model: how fast it adds, per kbit/s; 0.0015, with --mos-calibration public 0.0006."""

    mos_calibration: Literal["ceiling", "public", "none"] = "ceiling"
    """MOS model: ceiling shifts the paper's equation to end at 5; public has constants that were fitted to public ratings, and no
    shift; both stay within 1 to 5; none is the paper's bare equation."""


@dataclass(frozen=True, kw_only=True)
class Scoring(MosFlags):
    """Those, and the coefficients of every other quality model."""

    model_set: tuple[str, ...] = ()
    """A coefficient of a quality model, MODEL.COEFFICIENT=VALUE, such as mos_stalling.length=0.2; again for another one."""
