"""A recorded swarm with a known tree: relays in two layers, a relay that fails, and one viewer in trouble."""

import random
from typing import Any

from tests.harness.logs import BEGIN_MS, record

PERIOD_MS = 5_000
STREAM = "news"
FAILS_AT = 12
"""The report from which on the failed relay is silent, and its players have another parent."""


def swarm_records(*, edges: int = 8, players: int = 20, reports: int = 24, begin_ms: int = BEGIN_MS) -> list[dict[str, Any]]:
    """A source, a core relay for each two edge relays, and `players` at the edges. `edge-00` fails in report FAILS_AT.

    `player-003` never plays well, and its audio is missing.
    """
    chance = random.Random(3)
    cores = max(1, (edges + 1) // 2)
    nodes: list[tuple[str, str, str]] = [("source", "source", "")]
    nodes += [(f"core-{at:02}", "relay", "source") for at in range(cores)]
    nodes += [(f"edge-{at:02}", "relay", f"core-{at % cores:02}") for at in range(edges)]
    nodes += [(f"player-{at:03}", "player", f"edge-{at % edges:02}") for at in range(players)]
    of = {name: parent for name, _, parent in nodes}
    feeds = {name: sum(parent == name for parent in of.values()) for name in of}
    sent = []
    for seq in range(reports):
        for at, (name, role, first) in enumerate(nodes):
            failed = seq >= FAILS_AT
            if name == "edge-00" and failed:
                continue
            moved = failed and first == "edge-00"
            parent = f"edge-{1 + at % (edges - 1):02}" if moved else first
            extra = _extra(role, parent, feeds[name], chance, bad=name == "player-003", moved=moved)
            rates = {"download_kbps": 0.0 if role == "source" else chance.uniform(1040, 1060)}
            rates["upload_kbps"] = feeds[name] * 1050.0
            at_ms = begin_ms + seq * PERIOD_MS + at * PERIOD_MS // len(nodes)
            viewing = _viewing(seq, chance, bad=name == "player-003") if role == "player" else {}
            sent.append(
                record(
                    received_ms=at_ms,
                    sent_ms=at_ms - 20,
                    uptime_ms=seq * PERIOD_MS,
                    peer_id=name,
                    session_id=f"session-{name}",
                    seq=seq,
                    event="report" if seq else "join",
                    channel=STREAM,
                    app="swarmscope-overlay",
                    platform=role,
                    extra=extra,
                    **rates,
                    **viewing,
                )
            )
    return sent


def _extra(role: str, parent: str, feeds: int, chance: random.Random, *, bad: bool, moved: bool) -> dict[str, Any]:
    extra: dict[str, Any] = {"role": role, "children": feeds}
    if role == "source":
        return extra
    lossy = 0.08 if bad else chance.choice([0.0] * 6 + [0.0004, 0.004, 0.004, 0.02])
    extra |= {"parent": parent, "failovers": int(moved), "loss_before_repair": lossy}
    if moved:
        extra["failover_gap_ms"] = round(chance.uniform(25, 240), 1)
    if role == "player":
        extra |= {"loss_after_repair": 0.02 if bad else 0.0, "skipped_packets": 130 if bad else 0, "missed_packets": 0}
        extra |= {"skipped_per_minute": 31 if bad else 0, "missing_streams": int(bad), "queued_bytes": 2_000 if bad else 131_000}
    return extra


def _viewing(seq: int, chance: random.Random, *, bad: bool) -> dict[str, Any]:
    return {
        "playback_kbps": 1000.0,
        "continuity": 0.91 if bad else 1.0,
        "startup_ms": chance.randrange(1010, 1300) if seq else None,
        "stall_count": seq // 6 if bad else 0,
        "stall_ms": seq // 6 * 800 if bad else 0,
        "played_ms": seq * PERIOD_MS,
        "buffer_ms": 150 if bad else 1000,
        "partners": 2,
    }
