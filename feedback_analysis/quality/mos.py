"""MOS(B, D) = c1·D + a·(1 − e^(−λB)) + c2, from the paper's equation 1: a mean opinion score for one feedback message.

The bare equation can reach a + c2 = 6, but an opinion score ends at 5. The paper notes that its figures are "calibrated according
to a maximum Mean Opinion Score of 5": we shift by 5 − (a + c2) and keep the result within 1 to 5. Its averages B ≈ 850 kbit/s and
D ≈ 0.012 then give the 3.82 of its Figure 5; the bare equation gives 4.82. docs/quality-models.md has the details.

The calibration `public` has other constants, fitted to public ratings, and no shift: docs/scores-and-people.md.

The equation stands here twice: `sql` for the score of each message, and `terms` for the parts of a score. Tests compare the results
of `sql` with the equation in Python, and the sum of the terms with the score.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Literal, get_args

Calibration = Literal["ceiling", "public", "none"]

LOWEST = 1.0
HIGHEST = 5.0

_C2 = 2.0
# Fitted to the 1,350 sessions of the Waterloo Streaming QoE Database IV: RMSE 0.51 there; 0.50 on I, 0.69 on the P.1203 open set.
_FITTED = {"c1": -5.5, "c2": 2.2, "a": 1.94, "lam": 0.0006}

# Far beyond any fitted constant; it keeps scores, and exact sums of them, finite.
_LARGEST_CONSTANT = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class MosModel:
    """The constants of the equation, by default those of the paper. B is in kbit/s; the score is from 1 to 5, per message."""

    name: ClassVar[str] = "mos"
    inputs: ClassVar[Mapping[str, str]] = {"kbps": "playback_kbps", "played": "continuity"}
    columns: ClassVar[frozenset[str]] = frozenset({"playback_kbps", "continuity"})

    c1: float = -5.0
    """The change of the score by full discontinuity (D = 1)."""
    c2: float = _C2
    """The score without any picture."""
    a: float = 4.0
    """The most that the bitrate adds."""
    lam: float = 0.0015
    """How fast the bitrate saturates, per kbit/s."""
    calibration: Calibration = "ceiling"
    """ceiling: shifted so that a + c2 becomes 5, and kept within 1 to 5; public: kept within 1 to 5; none: the bare equation."""

    @classmethod
    def calibrated(cls, calibration: Calibration = "ceiling", **given: float) -> "MosModel":
        """The constants of the calibration, except those that are `given`; ValueError for one without effect."""
        if calibration == "ceiling" and given.get("c2", _C2) != _C2:
            raise ValueError(
                f"--mos-c2 is {given['c2']:g}, and has no effect under --mos-calibration ceiling, which shifts the score so that "
                "a + c2 becomes 5: leave it out, or choose --mos-calibration public or none"
            )
        constants = (_FITTED if calibration == "public" else {}) | given
        return cls(**constants, calibration=calibration)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not abs(value) <= _LARGEST_CONSTANT:
                raise ValueError(f"{_flag(field.name)} is {value}; it needs a number between -10^6 and 10^6")
        if self.lam <= 0:
            raise ValueError(f"--mos-lambda is {self.lam}; use a number above 0, such as 0.0015")
        if self.calibration not in get_args(Calibration):
            raise ValueError(f"--mos-calibration is {self.calibration!r}; choose one of {', '.join(get_args(Calibration))}")

    @property
    def shift(self) -> float:
        return HIGHEST - (self.a + self.c2) if self.calibration == "ceiling" else 0.0

    @property
    def effective(self) -> "MosModel":
        """The same model without a constant that has no effect: two models with equal `effective` give the same scores."""
        return replace(self, c2=_C2) if self.calibration == "ceiling" else self

    def terms(self) -> dict[str, str]:
        """SQL of the terms of the score over its inputs; `bounds` is the change from limiting the score to 1 to 5."""
        c1, c2, a, lam = (f"{float(value)!r}::DOUBLE" for value in (self.c1, self.c2 + self.shift, self.a, self.lam))
        terms = {
            "base": f"CASE WHEN kbps + played IS NOT NULL THEN {c2} END",
            "bitrate": f"{a} * (1 - exp(-({lam} * kbps)))",
            "stalls": f"{c1} * (1 - played)",
        }
        if self.calibration == "none":
            return terms
        bare = f"({' + '.join(terms.values())})"
        over, under = f"WHEN {bare} > {HIGHEST} THEN {HIGHEST} - {bare}", f"WHEN {bare} < {LOWEST} THEN {LOWEST} - {bare}"
        return terms | {"bounds": f"CASE {over} {under} ELSE 0 END"}

    def sql(self) -> str:
        """The score of one message as an SQL expression over `playback_kbps` and `continuity`; NULL where either is missing."""
        c1, c2, a, lam, shift = (repr(float(value)) for value in (self.c1, self.c2, self.a, self.lam, self.shift))
        bare = f"({c1}::DOUBLE * (1 - continuity) + {a}::DOUBLE * (1 - exp(-({lam}::DOUBLE * playback_kbps))) + {c2}::DOUBLE)"
        if self.calibration == "none":
            return bare
        # Without least() and greatest(), which skip NULL: a message without playback would score 1 instead of NULL.
        score = f"({bare} + {shift}::DOUBLE)"
        return f"CASE WHEN {score} > {HIGHEST} THEN {HIGHEST} WHEN {score} < {LOWEST} THEN {LOWEST} ELSE {score} END::DOUBLE"


def _flag(name: str) -> str:
    """The flag of the constant `name`; `lambda` is a keyword in Python."""
    return "--mos-lambda" if name == "lam" else f"--mos-{name}"
