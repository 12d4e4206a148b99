"""A mean opinion score from stalls alone: MOS(L, N) = 3.50·e^(−(0.15·L + 0.19)·N) + 1.50, N stalls of L seconds on average.

Source: T. Hoßfeld, R. Schatz, M. Seufert, M. Hirth, T. Zinner, P. Tran-Gia, "Quantification of YouTube QoE via Crowdsourcing",
IEEE International Symposium on Multimedia 2011, fitted to crowdsourced ratings of clips of half a minute to a minute. The constants
were confirmed against an independent implementation. A session of
hours collects stalls that no clip had: it falls towards 1.5, and only sessions of like length compare.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feedback_analysis.quality.model import check_coefficients, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalling:
    """Per session: the stalls that it has reported by its last message."""

    name: ClassVar[str] = "mos_stalling"
    inputs: ClassVar[Mapping[str, str]] = {"stalls": "stall_count", "stalled_ms": "stall_ms"}
    columns: ClassVar[frozenset[str]] = frozenset({"stall_count", "stall_ms"})

    length: float = 0.15
    """How much a second of stalling weighs."""
    number: float = 0.19
    """How much a stall weighs, however short."""
    fall: float = 3.5
    """From no stall to no end of stalls."""
    floor: float = 1.5
    """The score that is left with no end of stalls."""

    def __post_init__(self) -> None:
        check_coefficients(self)

    def terms(self) -> dict[str, str]:
        # (0.15·L + 0.19)·N is 0.15 × all the seconds + 0.19 × N: no division by a number of stalls that may be 0.
        by_number = f"exp(-{literal(self.number)} * stalls)"
        by_length = f"exp(-{literal(self.length)} * stalled_ms / 1000)"
        return {
            "no_stall": f"CASE WHEN stalls + stalled_ms IS NOT NULL THEN {literal(self.fall + self.floor)} END",
            "number_of_stalls": f"{literal(self.fall)} * ({by_number} - 1)",
            "length_of_stalls": f"{literal(self.fall)} * {by_number} * ({by_length} - 1)",
        }
