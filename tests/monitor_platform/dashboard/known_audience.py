"""An audience in which the events of each viewer are known: who stalls, pauses, falls silent and leaves."""

from typing import Any

from tests.harness.logs import BEGIN_MS, record

PERIOD_MS = 30_000
MESSAGES = 40
HOSTILE = "翡翠台 <img src=x onerror=alert(1)>"


def evening(*, begin_ms: int = BEGIN_MS, peers: int = 36) -> list[dict[str, Any]]:
    """Twenty minutes. Every sixth stalls in messages 15 to 20, `s-0` also pauses (24 to 29) and is silent in 32 to 35."""
    records = []
    for peer in range(peers):
        stalled_ms = stalls = played_ms = 0
        for seq in range(MESSAGES):
            bad, paused = peer % 6 == 0 and 15 <= seq <= 20, peer == 0 and 24 <= seq <= 29
            stalled_ms, stalls = stalled_ms + 5_000 * bad, stalls + bad
            played_ms += 0 if paused or not seq else PERIOD_MS - 5_000 * bad
            if peer == 0 and 32 <= seq <= 35:
                continue
            at_ms = begin_ms + peer * 700 + seq * PERIOD_MS
            records.append(
                record(
                    received_ms=at_ms + 200,
                    sent_ms=at_ms,
                    uptime_ms=seq * PERIOD_MS,
                    peer_id=f"peer-{peer}",
                    session_id=f"s-{peer}",
                    seq=seq,
                    event=("join" if not seq else "leave" if seq == MESSAGES - 1 and peer % 2 else "report"),
                    ip="1.36.0.1" if peer % 3 else "14.0.128.1",
                    isp="PCCW" if peer % 2 else "HKBN",
                    channel=HOSTILE if peer % 2 else "ViuTV",
                    platform="android",
                    app="player/1.0",
                    upload_kbps=300 + peer,
                    download_kbps=900,
                    playback_kbps=850,
                    continuity=0.8 if bad else 1,
                    startup_ms=12_000 + peer if seq else None,
                    buffer_ms=500 if bad else 8_000,
                    partners=5 + seq % 5,
                    stall_count=stalls,
                    stall_ms=stalled_ms,
                    played_ms=played_ms,
                )
            )
    return records
