"""Writes folders of trainings in the format of the lab, with captures whose packets are known one by one."""

import hashlib
import json
import socket
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qoe_lab.player_events import PlayerEvent

BEGIN_MS = 1_795_921_200_000
CLIENT, SERVER = "10.64.0.2", "10.64.0.1"
CLIENT_PORT, SERVER_PORT = 40_000, 8000
SYN, ACK, PSH = 0x02, 0x10, 0x08
TRAINING_ID = "first-a1b2c3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A TCP segment at a time after the navigation start. `seq` and `ack` count from the first sequence numbers, 1000 and 5000."""

    t_ms: float
    from_client: bool
    seq: int
    ack: int = 0
    flags: int = ACK
    size: int = 0
    window: int = 500
    ip_id: int = 0


def frame(segment: Segment) -> bytes:
    """An Ethernet frame with IPv4 and TCP. The payload is zeros."""
    source, destination = (CLIENT, SERVER) if segment.from_client else (SERVER, CLIENT)
    ports = (CLIENT_PORT, SERVER_PORT) if segment.from_client else (SERVER_PORT, CLIENT_PORT)
    own, other = (1000, 5000) if segment.from_client else (5000, 1000)
    acknowledged = other + segment.ack if segment.flags & ACK else 0
    tcp = struct.pack("!HHIIBBHHH", *ports, own + segment.seq, acknowledged, 5 << 4, segment.flags, segment.window, 0, 0)
    length = 20 + len(tcp) + segment.size
    ip = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x45, 0, length, segment.ip_id, 0, 64 if segment.from_client else 63, socket.IPPROTO_TCP, 0),
        *(socket.inet_aton(source), socket.inet_aton(destination)),
    )
    return bytes(12) + b"\x08\x00" + ip + tcp + bytes(segment.size)


def capture(segments: Iterable[Segment], snaplen: int = 96) -> bytes:
    """A pcap file with microseconds, cut as the lab cuts it."""
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, 1)
    for segment in segments:
        whole = frame(segment)
        at_us = round((BEGIN_MS + segment.t_ms) * 1000)
        kept = whole[:snaplen]
        data += struct.pack("<IIII", at_us // 1_000_000, at_us % 1_000_000, len(kept), len(whole)) + kept
    return data


def usual_segments() -> list[Segment]:
    """A request in the first second, its answer of 12,000 bytes with one repeated segment, and another in the third second."""
    segments = [
        Segment(t_ms=100, from_client=True, seq=0, flags=SYN, ip_id=1),
        Segment(t_ms=120, from_client=False, seq=0, ack=1, flags=SYN | ACK, ip_id=1),
        Segment(t_ms=121, from_client=True, seq=1, ack=1, ip_id=2),
        Segment(t_ms=130, from_client=True, seq=1, ack=1, flags=PSH | ACK, size=200, ip_id=3),
        Segment(t_ms=150, from_client=False, seq=1, ack=201, ip_id=2),
    ]
    for number in range(10):
        at = 160 + 10 * number
        segments.append(Segment(t_ms=at, from_client=False, seq=1 + 1200 * number, ack=201, size=1200, ip_id=3 + number))
        segments.append(Segment(t_ms=at + 1, from_client=True, seq=201, ack=1201 + 1200 * number, ip_id=4 + number))
    segments += [
        Segment(t_ms=600, from_client=False, seq=10_801, ack=201, size=1200, ip_id=20),
        Segment(t_ms=601, from_client=True, seq=201, ack=12_001, ip_id=20),
        Segment(t_ms=2100, from_client=True, seq=201, ack=12_001, flags=PSH | ACK, size=100, ip_id=21),
        Segment(t_ms=2130, from_client=False, seq=12_001, ack=301, size=1000, ip_id=21),
        Segment(t_ms=2131, from_client=True, seq=301, ack=13_001, ip_id=22),
    ]
    return segments


def usual_events(begin_ms: float = BEGIN_MS) -> list[PlayerEvent]:
    """Startup of 400 ms, one stall from 1.2 s to 2.2 s, a switch at 2.5 s, and the end at 4 s."""
    return [
        PlayerEvent(event="navigation", t_ms=0, wall_ms=begin_ms),
        PlayerEvent(event="segment", t_ms=270, kbps=400, bytes=12_000, took_ms=140),
        PlayerEvent(event="switch", t_ms=400, height=240, kbps=400),
        PlayerEvent(event="first_frame", t_ms=400),
        PlayerEvent(event="sample", t_ms=750, buffer_ms=450, position_ms=350, height=240, decoded_frames=9, dropped_frames=0),
        PlayerEvent(event="stall_begin", t_ms=1200),
        PlayerEvent(event="sample", t_ms=1750, buffer_ms=0, position_ms=800, height=240, decoded_frames=20, dropped_frames=1),
        PlayerEvent(event="stall_end", t_ms=2200),
        PlayerEvent(event="switch", t_ms=2500, height=360, kbps=800),
        PlayerEvent(event="sample", t_ms=3750, buffer_ms=900, position_ms=2350, height=360, decoded_frames=58, dropped_frames=2),
        PlayerEvent(event="end", t_ms=4000),
    ]


class RecordedTrainingFolder:
    """A folder of a training that a test fills."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path = path
        path.mkdir(parents=True)
        asked = {"name": "first", "sessions": 4, "limits_mbps": [0.5, 1, 3], "seconds": 20, "source": "hls", "client": "headless"}
        asked |= {"delay_ms": 10, "loss": 0, "queue_ms": 100, "congestion_control": "cubic", "trace": None, "seed": 1}
        environment = {"version": "0.1.0", "host": "lab-1", "kernel": "6.18", "queue_discipline": "tbf", "processors": 2}
        described = {"format": 1, "training_id": TRAINING_ID, "created_ms": BEGIN_MS, "settings": asked | settings}
        (path / "training.json").write_text(json.dumps(described | {"environment": environment}))
        (path / "sessions.jsonl").touch()

    def session_id(self, number: int, attempt: int = 1) -> str:
        return f"{TRAINING_ID}-{number:05d}-{attempt}"

    def folder(self, number: int, attempt: int = 1) -> Path:
        return self.path / "sessions" / self.session_id(number, attempt)

    def tell(self, number: int, status: int, attempt: int = 1, **more: object) -> None:
        """Append to the journal."""
        change = {"number": number, "attempt": attempt, "session_id": self.session_id(number, attempt), "status": status}
        with (self.path / "sessions.jsonl").open("a") as file:
            file.write(json.dumps(change | {"wall_ms": BEGIN_MS} | more) + "\n")

    def add(
        self,
        number: int,
        *,
        attempt: int = 1,
        content_id: str | None = "drama",
        limit_mbps: float = 1.0,
        events: Iterable[PlayerEvent] | None = None,
        segments: Iterable[Segment] | None = None,
        result: Mapping[str, object] | None = None,
    ) -> Path:
        """A session that was captured, with the logs of the server."""
        folder = self.folder(number, attempt)
        folder.mkdir(parents=True)
        self.tell(number, 1, attempt)
        cell = {"session_id": self.session_id(number, attempt), "training_id": TRAINING_ID, "number": number, "block": number // 3}
        cell |= {"attempt": attempt, "limit_mbps": limit_mbps, "content_id": content_id, "source": "hls", "client": "headless"}
        cell |= {"seconds": 20, "delay_ms": 10, "loss": 0, "queue_ms": 100, "congestion_control": "cubic", "trace": None}
        cell |= {"begin_ms": BEGIN_MS - 5, "end_ms": BEGIN_MS + 4005, "client_address": CLIENT, "server_address": SERVER}
        write_json(folder / "session.json", cell)
        write_json(folder / "shaping.json", {"read_back": {"rate_kbps": 1000}, "goodput_mbps": 0.955})
        packets = capture(usual_segments() if segments is None else segments)
        (folder / "capture.pcap").write_bytes(packets)
        (folder / "player.jsonl").write_text("".join(event.line() for event in (usual_events() if events is None else events)))
        first = {"wall_ms": BEGIN_MS + 131, "path": "/drama/240p/0.m4s", "status": 200, "bytes": 12_000, "took_ms": 140}
        second = {"wall_ms": BEGIN_MS + 2111, "path": "/drama/360p/1.m4s", "status": 200, "bytes": 1000, "took_ms": 21}
        requests = [first | {"arrived": True, "media_ms": 2000, "cmcd": {"bl": 0}}, second | {"arrived": True, "cmcd": {}}]
        (folder / "server.jsonl").write_text("".join(json.dumps(each) + "\n" for each in requests))
        kernel = [
            {
                "wall_ms": BEGIN_MS + 200 + 100 * n,
                "peer_port": CLIENT_PORT,
                "rtt_us": 20_000 + 1000 * n,
                "total_retrans": n // 2,
                "unacked": 2 - n,
            }
            for n in range(3)
        ]
        (folder / "tcp_info.jsonl").write_text("".join(json.dumps(each) + "\n" for each in kernel))
        figures = {"status": 1, "valid": True, "invalid_reason": None, "detail": None, "frames": 30, "kernel_drops": 0}
        figures |= {
            "queue_dropped_to_client": 1,
            "queue_dropped_from_client": 0,
            "pcap_sha256": hashlib.sha256(packets).hexdigest(),
        }
        write_json(folder / "result.json", figures | dict(result or {}))
        return folder


def write_json(path: Path, values: Mapping[str, object]) -> None:
    path.write_text(json.dumps(values))
