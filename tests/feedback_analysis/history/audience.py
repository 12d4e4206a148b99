"""A small audience over some hours: it switches channels, is sampled, sometimes silent, in several places, with duplicates."""

import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, Record, record, write_log

IPS = ("", "1.36.0.1", "14.0.128.1", "8.8.8.8", "10.0.0.1", "112.118.0.1", "203.186.0.1")
HOUR_MS = 3_600_000
FIRST_HOUR_MS = BEGIN_MS // HOUR_MS * HOUR_MS


def audience(*, peers: int = 40, hours: float = 5, seed: int = 1, days: Sequence[int] = (0,)) -> list[Record]:
    """Records by time; on each of `days` after the first the same peers may return."""
    chance = random.Random(seed)
    sent: list[Record] = []
    for number in range(peers):
        known = _host(chance, number)
        for view in range(chance.choice([1, 1, 2, 3])):
            begins = FIRST_HOUR_MS + chance.choice(days) * 24 * HOUR_MS + chance.randrange(round(hours * HOUR_MS))
            sent += _view(chance, known, f"s{number}-{view}", begins)
    for each in chance.sample(sent, len(sent) // 20):  # sent again, by another coordinator, and received up to 90 s later
        sent.append(each | {"received_ms": each["received_ms"] + chance.randrange(90_000), "via": "c2"})
    return sorted(sent, key=lambda each: each["received_ms"])


def _host(chance: random.Random, number: int) -> dict[str, Any]:
    return {
        "peer_id": f"p{number}",
        "ip": chance.choice(IPS),
        "weight": chance.choice([1, 1, 2.5]),
        "isp": chance.choice([None, "PCCW", "HKBN"]),
        "app": chance.choice([None, "player 1"]),
        "platform": chance.choice(["android", "web"]),
    }


def _view(chance: random.Random, known: dict[str, Any], session: str, begins_ms: int) -> list[Record]:
    sent, channel = [], chance.choice(["a", "b", '頻道 "1"'])
    count, plays, resets = chance.choice([1, 3, 40, 200]), chance.random() < 0.8, chance.choice([25, 1_000])
    for seq in range(count):
        if chance.random() < 0.1:
            continue  # lost
        if chance.random() < 0.05:
            channel = chance.choice(["a", "b", None])
        at = begins_ms + seq * 30_000 + chance.randrange(500)
        rates = {name: round(chance.uniform(0, 3000), 3) for name in ("upload_kbps", "download_kbps", "playback_kbps")}
        fields = known | rates | {"continuity": round(chance.random(), 4), "p2p_ratio": round(chance.random(), 3)}
        fields |= {"session_id": session, "seq": seq, "received_ms": at, "uptime_ms": seq % resets * 30_000, "channel": channel}
        fields |= {"buffer_ms": chance.randrange(20_000), "partners": chance.randrange(30), "stall_count": seq % resets // 9}
        fields |= {"stall_ms": seq % resets // 3 * 700, "played_ms": seq % resets * 29_000}
        if not plays:
            fields |= {"continuity": 0, "stall_count": 0, "stall_ms": 0, "played_ms": 0}
        if seq == 0 or seq == count - 1:
            fields["event"] = "join" if seq == 0 else "leave"

        fields |= {"startup_ms": chance.choice([None, 800, 1200 + seq]) if plays else None}
        for name in chance.sample(["upload_kbps", "continuity", "uptime_ms", "buffer_ms", "stall_ms"], chance.choice([0, 0, 1])):
            del fields[name]
        sent.append(record(**fields))
    return sent


def write_minutes(folder: Path, sent: Sequence[Record], *, form: Form = Form.JSONL, minutes: int = 10) -> list[Path]:
    """Logs of `minutes` each, as a feedback server would have written them, by time."""
    logs: defaultdict[int, list[Record]] = defaultdict(list)
    for each in sent:
        logs[each["received_ms"] // (minutes * 60_000)].append(each)
    return [write_log(folder, records, form, begin_s=period * minutes * 60) for period, records in sorted(logs.items())]
