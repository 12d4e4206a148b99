"""A mean opinion score from stalls alone: MOS(L, N) = 3.50·e^(−(0.15·L + 0.19)·N) + 1.50, N stalls of L seconds on average.

Source: T. Hoßfeld, R. Schatz, M. Seufert, M. Hirth, T. Zinner, P. Tran-Gia, "Quantification of YouTube QoE via Crowdsourcing",
IEEE International Symposium on Multimedia 2011, fitted to crowdsourced ratings of clips of half a minute to a minute. The constants
were confirmed against an independent implementation. A session
of hours collects more stalls than any clip: its score falls towards 1.5, and only sessions of similar length are comparable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feedback_analysis.quality.model import check_coefficients, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalling:
    """Per session, from the stalls that it reported until its last message."""

    name: ClassVar[str] = "mos_stalling"
    inputs: ClassVar[Mapping[str, str]] = {"stalls": "stall_count", "stalled_ms": "stall_ms"}
    columns: ClassVar[frozenset[str]] = frozenset({"stall_count", "stall_ms"})

    length: float = 0.15
    """The weight of a second of stalling."""
    number: float = 0.19
    """The weight of a stall of any length."""
    fall: float = 3.5
    """The range of the score between no stall and infinitely many stalls."""
    floor: float = 1.5
    """The limit of the score for infinitely many stalls."""

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
