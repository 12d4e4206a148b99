"""Sessions that report, and that a model judges from their packets: one of each kind that the platform distinguishes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.inferences import inference_record, write_inferences
from tests.harness.logs import record, write_log
from tests.harness.measurements import BEGIN_MS

PERIOD_S = 10
SECONDS = 120
STALL_BEGINS_S, STALL_ENDS_S = 40, 70
"""When the sessions with real stalls are stalled: a quarter of their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSession:
    """What a session reports, and what the model infers. By default, it plays well, and the model agrees."""

    name: str
    reports_stalls: bool = False
    infers_stalls: bool = False
    reported_kbps: float = 900
    carried_kbps: float | None = 900
    plays_twice: bool = False
    """Its counters of played time grow twice as fast as its clock."""
    probabilities: tuple[float, float] = (0.02, 0.98)
    """Of a stall, in slots that the model takes for played and for stalled."""
    mos: tuple[float, float, float] = (3.9, 3.5, 4.4)
    seconds: int = SECONDS
    """How many seconds of its packets were judged."""

    def feedback(self, begin_ms: int = BEGIN_MS) -> list[dict[str, Any]]:
        return [self._message(seq, begin_ms) for seq in range(SECONDS // PERIOD_S + 1)]

    def _message(self, seq: int, begin_ms: int) -> dict[str, Any]:
        at_s = seq * PERIOD_S
        stalled_s = self.reports_stalls * max(0, min(at_s, STALL_ENDS_S) - STALL_BEGINS_S)
        stalls_now = self.reports_stalls and STALL_BEGINS_S < at_s <= STALL_ENDS_S
        return record(
            received_ms=begin_ms + at_s * 1000 + 200,
            sent_ms=begin_ms + at_s * 1000,
            uptime_ms=at_s * 1000,
            peer_id=f"peer-{self.name}",
            session_id=self.name,
            seq=seq,
            event="join" if not seq else "leave" if at_s == SECONDS else "report",
            channel="drama",
            isp="HKBN",
            app="player/1.0",
            platform="android",
            download_kbps=self.reported_kbps,
            playback_kbps=850,
            continuity=None if not seq else 0.0 if stalls_now else 1.0,
            startup_ms=900 if seq else None,
            buffer_ms=0 if stalls_now else 8000,
            stall_count=int(stalled_s > 0),
            stall_ms=stalled_s * 1000,
            played_ms=(at_s - stalled_s) * 1000 * (1 + self.plays_twice),
            extra={"height": 360},
        )

    def slots(self, begin_ms: int = BEGIN_MS) -> list[dict[str, Any]]:
        mos, low, high = self.mos
        well, badly = self.probabilities
        return [
            inference_record(
                slot,
                self.name,
                received_ms=begin_ms + slot * 1000 + 1200,
                slot_ms=begin_ms + slot * 1000,
                download_kbps=self.carried_kbps,
                stalled_probability=badly if self.infers_stalls and STALL_BEGINS_S <= slot < STALL_ENDS_S else well,
                height=360 if slot % 60 < 50 else 240,
                mos=mos,
                mos_low=low,
                mos_high=high,
                startup_ms=950.0,
                startup_low_ms=700.0,
                startup_high_ms=1300.0,
            )
            for slot in range(self.seconds)
        ]


STALLED_MOS = (2.6, 2.1, 3.1)
HONEST = JudgedSession(name="honest")
STALLS = JudgedSession(name="stalls", reports_stalls=True, infers_stalls=True, mos=STALLED_MOS)
CHEAT = JudgedSession(name="cheat", infers_stalls=True, reported_kbps=2500, carried_kbps=400, mos=STALLED_MOS)
BROKEN = JudgedSession(name="broken", infers_stalls=True, plays_twice=True, mos=STALLED_MOS)
MISJUDGED = JudgedSession(name="misjudged", infers_stalls=True, probabilities=(0.3, 0.7))
SESSIONS = (HONEST, STALLS, CHEAT, BROKEN, MISJUDGED, *(JudgedSession(name=f"well-{number}") for number in range(5)))


def write_judged(folder: Path, sessions: Sequence[JudgedSession] = SESSIONS, begin_ms: int = BEGIN_MS) -> None:
    """Logs of the sessions' feedback and of their inferences in `folder`."""
    begin_s = begin_ms // 1000
    feedback = sorted((each for session in sessions for each in session.feedback(begin_ms)), key=lambda each: each["received_ms"])
    write_log(folder, feedback, begin_s=begin_s)
    slots = sorted((each for session in sessions for each in session.slots(begin_ms)), key=lambda each: each["received_ms"])
    write_inferences(folder / "inference", slots)
