"""An audience that is made here, so that every number on the page is known."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from tests.feedback_analysis.conftest import locator, table_of

__all__ = ["locator", "table_of"]

BEGIN_MS = 1_344_331_800_000
"""2012-08-07T09:30:00Z"""

SCRIPT = "<img src=x onerror=\"document.title='run'\">"
CHANNELS = ("翡翠台", "ViuTV", SCRIPT)
# Addresses whose district the shipped database knows, and one that is in no country.
HOMES = (("1.36.209.7", "PCCW"), ("1.64.35.7", "PCCW"), ("1.64.160.7", "HKBN"), ("", "HKBN"))


def record(peer: int, seq: int, at_ms: int, *, chance: random.Random, channels: tuple[str, ...] = CHANNELS) -> dict:
    """The `seq`th message of `peer`; viewers of the first channel have better quality than the others."""
    ip, isp = HOMES[peer % len(HOMES)]
    well = peer % len(channels) == 0
    return {
        "received_ms": at_ms,
        "ip": ip,
        "weight": 1.0,
        "via": "c1",
        "v": 1,
        "peer_id": f"p{peer}",
        "session_id": f"s{peer}",
        "seq": seq,
        "event": "join" if seq == 0 else "report",
        "sent_ms": at_ms - 40,
        "channel": channels[peer % len(channels)],
        "isp": isp,
        "app": "test 1.0",
        "platform": "linux",
        "upload_kbps": round(chance.uniform(100, 900), 1),
        "download_kbps": round(chance.uniform(700, 1100), 1),
        "playback_kbps": 1400.0 if well else 600.0,
        "continuity": round(chance.uniform(0.98, 1), 4) if well else round(chance.uniform(0.8, 0.9), 4),
        "startup_ms": chance.randrange(300, 4000),
        "partners": chance.randrange(3, 20),
        "extra": {"codec": "av1" if peer % 4 else "h264", "rtt_ms": 20 + peer % 4, "first": seq == 0},
    }


def write_log(folder: Path, records: list[dict], *, begins: str = "20120807T093000Z", server: str = "fs1") -> Path:
    """A sealed log as docs/formats/frames.md describes it."""
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records).encode()
    payload = zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress(lines)
    frame = records_frame(payload, number=0, first_record=0, records=len(records), inflated=len(lines))
    path = folder / f"{begins}-{server}-0000.jsonl.zst"
    path.write_bytes(PREAMBLE + frame + footer_frame(number=1, records=len(records)))
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of sixty peers, with a message every ten seconds from each."""
    chance = random.Random(7)
    folder = tmp_path_factory.mktemp("recorded")
    write_log(
        folder, [record(peer, seq, BEGIN_MS + seq * 10_000 + peer * 100, chance=chance) for seq in range(18) for peer in range(60)]
    )
    return folder


@pytest.fixture
def invented() -> SimpleNamespace:
    """How the recorded audience is made, for tests that make their own."""
    return SimpleNamespace(record=record, write_log=write_log, begin_ms=BEGIN_MS, script=SCRIPT, channels=CHANNELS)
