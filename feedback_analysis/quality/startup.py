"""Startup score: 100·h/(h + t) after a startup of t seconds; 100 at once, 50 after h = 8 s, 80 after 2 s.

Source: the shape of the startup score that Mux describes in its public documentation; the constant is read off its examples
(0.4 s → 95, 2 s → 80, 8 s → 50, 20 s → 29). It is no opinion score: no people rated it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feedback_analysis.quality.model import check_coefficients, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """Per session, from its last report of the startup."""

    name: ClassVar[str] = "startup_score"
    inputs: ClassVar[Mapping[str, str]] = {"waited_ms": "startup_ms"}
    columns: ClassVar[frozenset[str]] = frozenset({"startup_ms"})

    half_s: float = 8.0
    """The delay that halves the score."""

    def __post_init__(self) -> None:
        check_coefficients(self)
        if not self.half_s:
            raise ValueError("startup_score.half_s is 0; it needs the seconds that halve the score, such as 8")

    def terms(self) -> dict[str, str]:
        waited = f"waited_ms / ({literal(self.half_s)} * 1000 + waited_ms)"
        return {"at_once": "CASE WHEN waited_ms IS NOT NULL THEN 100::DOUBLE END", "startup": f"-100 * ({waited})"}
