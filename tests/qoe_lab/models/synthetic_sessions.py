"""Sessions of a simulated player behind a link with a limited rate, as the tables of a data set: quick, and the same for each seed.

The player downloads segments one by one, chooses the representation by its measured rate, and shows pictures while its buffer is
not empty. The rate of the link varies around its limit, so the limit alone does not say whether a session stalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

LADDER = ((240, 400.0), (360, 800.0), (480, 1600.0), (720, 3000.0))
"""Height and kbit/s of each representation."""
SEGMENT_S, STEP_S, BINS = 2.0, 0.1, 10
SLOT_FEATURES = (
    "down_kbps",
    "up_packets",
    "requests",
    "chunk_bytes",
    "silence_ms",
    "trend_down_kbps",
    "trend_requests",
    "total_down_bytes",
    "total_down_kbps",
    "total_requests",
    "total_chunk_bytes",
    "chunk_1_ms",
)


@dataclass
class _Player:
    buffer_s: float = 0.0
    playing: bool = False
    started_s: float | None = None
    level: int = 0
    height: float = np.nan
    rate_kbps: float = 400.0
    left_bytes: float = 0.0
    begun_s: float = 0.0
    waits_until_s: float = 0.3
    playback_kbps: list[float] = field(default_factory=list)

    def request(self, now_s: float) -> bool:
        """Whether the player asks for the next segment now."""
        if self.left_bytes > 0 or now_s < self.waits_until_s or self.buffer_s > 8:
            return False
        self.level = max(index for index, (_, kbps) in enumerate(LADDER) if index == 0 or kbps < 0.75 * self.rate_kbps)
        self.left_bytes, self.begun_s = LADDER[self.level][1] * SEGMENT_S * 125, now_s
        return True

    def receive(self, received: float, now_s: float) -> float:
        """Receive bytes; the bytes of the segment that this completes, or NaN."""
        if self.left_bytes <= 0:
            return np.nan
        self.left_bytes -= received
        if self.left_bytes > 0:
            return np.nan
        size = LADDER[self.level][1] * SEGMENT_S * 125
        self.rate_kbps += 0.5 * (size / 125 / max(STEP_S, now_s - self.begun_s) - self.rate_kbps)
        self.buffer_s += SEGMENT_S
        self.waits_until_s = now_s + 0.05
        return size

    def play(self, now_s: float) -> str:
        if self.playing and self.buffer_s < STEP_S:
            self.playing = False
        if not self.playing and self.buffer_s >= SEGMENT_S:
            self.playing = True
            self.started_s = now_s if self.started_s is None else self.started_s
        if self.playing:
            self.buffer_s -= STEP_S
            self.height = LADDER[self.level][0]
            self.playback_kbps.append(LADDER[self.level][1])
        return "play" if self.playing else "startup" if self.started_s is None else "stall"


def training(
    training_id: str = "one",
    *,
    sessions: int = 60,
    limits: Sequence[float] = (0.4, 0.7, 1.2, 3.0),
    seconds: int = 20,
    client: str = "headless",
    seed: int = 1,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The tables of sessions and of slots, as one array per column."""
    random = np.random.default_rng(seed)
    session_rows, slot_rows = [], []
    for number in range(sessions):
        limit = limits[number % len(limits)]
        session_id = f"{training_id}-{number:04d}"
        row, slots = _session(limit, seconds, random)
        row["startup_ms"] += 20 + 40 * (number % 7)  # from the arrival of the first segment to its picture
        session_rows.append(
            {
                "session_id": session_id,
                "training_id": training_id,
                "limit_mbps": limit,
                "client": client,
                "source": "hls",
                "content_id": f"content-{number % 3}",
                "valid": True,
                **row,
            }
        )
        slot_rows += [
            {"session_id": session_id, "training_id": training_id, "slot": slot, **each} for slot, each in enumerate(slots)
        ]
    return _columns(session_rows), _columns(slot_rows)


def joined(*tables: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Several trainings as one pair of tables."""
    pairs = zip(*tables, strict=True)
    one, other = ({name: np.concatenate([each[name] for each in parts]) for name in parts[0]} for parts in pairs)
    return one, other


def _session(limit: float, seconds: int, random: np.random.Generator) -> tuple[dict[str, float], list[dict[str, float]]]:
    player, slots = _Player(waits_until_s=0.1 + 0.3 * random.random()), []
    wobble, level = 0.0, 0.35 * random.standard_normal()  # the rate of this session, and how it varies in the session
    chunks: list[float] = []
    total = requests_total = 0.0
    chunk_1_ms = np.nan
    states: list[str] = []
    for slot in range(seconds):
        down = requests = silent = 0.0
        done: list[float] = []
        slot_states = []
        for step in range(BINS):
            now_s = slot + step * STEP_S
            wobble = 0.95 * wobble + 0.12 * random.standard_normal()
            requests += player.request(now_s)
            rate = 125_000 * limit * np.exp(wobble + level - 0.1) * STEP_S
            received = min(rate, player.left_bytes) if player.left_bytes > 0 else 0.0
            size = player.receive(received, now_s)
            if not np.isnan(size):
                done.append(size)
                chunk_1_ms = now_s * 1000 if np.isnan(chunk_1_ms) else chunk_1_ms
            down += received
            silent += 100 if received == 0 else 0
            slot_states.append(player.play(now_s))
        states += slot_states
        chunks += done
        total, requests_total = total + down, requests_total + requests
        stalled = slot_states.count("stall") * 100.0
        state = max(("startup", "play", "stall"), key=slot_states.count)
        recent = [*slots[-4:]]
        slots.append(
            {
                "down_kbps": down / 125 * (1 + 0.02 * random.standard_normal()),
                "up_packets": down / 2800 + requests,
                "requests": requests,
                "chunk_bytes": float(np.mean(done)) * (1 + 0.05 * random.standard_normal()) if done else np.nan,
                "silence_ms": silent,
                "trend_down_kbps": (down / 125 + sum(each["down_kbps"] for each in recent)) / (len(recent) + 1),
                "trend_requests": requests + sum(each["requests"] for each in recent),
                "total_down_bytes": total,
                "total_down_kbps": total / 125 / (slot + 1),
                "total_requests": requests_total,
                "total_chunk_bytes": float(np.mean(chunks)) if chunks else np.nan,
                "chunk_1_ms": chunk_1_ms,
                "state": state,
                "stalled_ms": stalled,
                "height": player.height,
            }
        )
    return _truth(player, states), slots


def _truth(player: _Player, states: list[str]) -> dict[str, float]:
    played, stalled = states.count("play"), states.count("stall")
    startup = np.nan if player.started_s is None else player.started_s * 1000
    due = played + stalled
    rate = float(np.mean(player.playback_kbps)) if player.playback_kbps else 0.0
    mos = np.clip(1 - 5 * stalled / due + 4 * (1 - np.exp(-0.0015 * rate)), 1, 5) if due else np.nan
    return {"startup_ms": startup, "stall_count": float(stalled > 0), "mos": float(mos)}


def _columns(rows: list[dict[str, object]]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
