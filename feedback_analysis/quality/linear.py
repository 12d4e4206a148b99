"""Linear QoE: q(R) − λ·|q(R) − q(R before)| − µ·seconds stalled, the usual score in research on bitrate adaptation.

Source: X. Yin, A. Jindal, V. Sekar, B. Sinopoli, "A Control-Theoretic Approach for Dynamic Adaptive Video Streaming over HTTP",
SIGCOMM 2015; with the constants of H. Mao, R. Netravali, M. Alizadeh, "Neural Adaptive Video Streaming with Pensieve", SIGCOMM 2017
(QoE_lin: q(R) = R in Mbit/s, λ = 1, µ = 4.3, chunks of 4 s). They score chunks. Messages describe intervals, so each interval is
scored as one chunk: its mean bitrate, the change since the previous message of the session, and its stalls. An interval that played
the share c of its time stalled for (1 − c) ÷ c seconds for each second played, so a chunk of 4 s stalled for 4·(1 − c) ÷ c s.
`longest_s` bounds that, because an interval without any playback (c = 0) has no chunk. Changes of bitrate within an interval are
not known. Startup is scored by `startup_score`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from feedback_analysis.quality.model import check_coefficients, literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Per message; unbounded, in Mbit/s of undisturbed playback."""

    name: ClassVar[str] = "qoe_linear"
    inputs: ClassVar[Mapping[str, str]] = {
        "kbps": "playback_kbps",
        "kbps_before": "lag(playback_kbps) OVER (PARTITION BY session_id ORDER BY seq)",
        "played": "continuity",
    }
    columns: ClassVar[frozenset[str]] = frozenset({"playback_kbps", "continuity"})

    stalls: float = 4.3
    """The penalty for a second of stalling, in Mbit/s."""
    switches: float = 1.0
    """The penalty for a change of bitrate, per Mbit/s."""
    chunk_s: float = 4.0
    """Seconds of playback in a chunk."""
    longest_s: float = 30.0
    """The most seconds of stalling that count for one chunk: the reporting period of the paper."""

    def __post_init__(self) -> None:
        check_coefficients(self)

    def terms(self) -> dict[str, str]:
        return {
            "bitrate": "kbps / 1000::DOUBLE",
            "stalls": f"-{literal(self.stalls)} * {self._stalled_s()}",
            "switches": f"-{literal(self.switches)} * abs(kbps - coalesce(kbps_before, kbps)) / 1000",
        }

    def _stalled_s(self) -> str:
        stalled, longest = f"{literal(self.chunk_s)} * (1 - played) / played", literal(self.longest_s)
        # Without least(), which skips NULL: a missing continuity would give a stall instead of NULL.
        return f"CASE WHEN played > 0 AND {stalled} < {longest} THEN {stalled} WHEN played >= 0 THEN {longest} END"
