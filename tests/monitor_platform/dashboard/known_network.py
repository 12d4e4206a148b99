"""A network of three ISPs whose numbers are known: one link is bad from a minute on, and one route changes."""

import random
from typing import Any

from tests.harness.logs import BEGIN_MS, record
from tests.harness.measurements import measurement_record

MINUTE_MS = 60_000
MINUTES, BAD_FROM, MOVED_AT = 60, 40, 25
ISPS = {"HKBN": ("hkbn-1", "hkbn-2"), "PCCW": ("pccw-1", "pccw-2"), "HGC": ("hgc-1", "hgc-2")}
BAD_ISP = "PCCW"
DESTINATIONS = {"origin.example": "10.0.9.1", "cache.example": "10.0.9.2", "resolver.example": "10.0.9.3"}
LOST_OF_20 = 4


def route_to(isp: str, agent: str, address: str, minute: int) -> list[str]:
    """The routers between an agent and a destination."""
    number = list(ISPS).index(isp) + 1
    core = "10.0.0.9" if isp == "HKBN" and minute >= MOVED_AT else "10.0.0.1"
    return [f"10.{number}.{agent[-1]}.1", f"10.{number}.0.1", core, "10.0.8.1" if address == "10.0.9.1" else "10.0.8.2"]


def measurement_records() -> list[dict[str, Any]]:
    """One PING, TRACEROUTE and HTTP a minute on each path, and PATHNECK each ten minutes."""
    chance = random.Random(3)
    found = []
    for minute in range(MINUTES):
        for isp, agents in ISPS.items():
            for agent in agents:
                for name, address in DESTINATIONS.items():
                    found += _of_path(chance, minute, isp, agent, name, address)
    return found


def _of_path(chance: random.Random, minute: int, isp: str, agent: str, name: str, address: str) -> list[dict[str, Any]]:
    bad = isp == BAD_ISP and minute >= BAD_FROM
    routers = route_to(isp, agent, address, minute)
    rtt = 4.0 + 3 * list(ISPS).index(isp) + chance.expovariate(0.7) + (28 if bad else 0) + 9 * ("10.0.0.9" in routers)
    at = {
        "agent": agent,
        "tags": {"isp": isp, "country": "HK"},
        "destination": name,
        "address": address,
        "started_ms": BEGIN_MS + minute * MINUTE_MS + chance.randrange(40_000),
    }
    at["received_ms"] = at["started_ms"] + 900
    lost = sum(chance.random() < 0.2 for _ in range(20)) if bad else 0
    ping = {"rtt_median_ms": rtt, "packets_sent": 20, "packets_answered": 20 - lost, "loss_ratio": lost / 20}
    hops = [
        {"ttl": ttl, "address": router, "rtt_ms": rtt * ttl / 5 if ttl < 3 or not bad else rtt - 5 + ttl}
        for ttl, router in enumerate(routers, 1)
    ]
    end = {"ttl": 5, "address": address, "rtt_ms": rtt}
    key = f"{minute}-{agent}-{address}"
    records = [
        measurement_record(f"p-{key}", **at, values=ping, hops=None),
        measurement_record(f"t-{key}", technique="TRACEROUTE", **at, values={"reached": 1, "rtt_min_ms": rtt}, hops=[*hops, end]),
    ]
    if name == "cache.example":
        took = {"total_ms": 3 * rtt + chance.expovariate(0.1)}
        records.append(measurement_record(f"h-{key}", technique="HTTP", **at, values=took, hops=None))
    if minute % 10 == 5:
        limit = {"bottleneck_ttl": 3 if isp == BAD_ISP else None, "bottleneck_kbps": 4200.0 if isp == BAD_ISP else None}
        records.append(measurement_record(f"n-{key}", technique="PATHNECK", **at, values=limit, hops=hops))
        kbps = {"capacity_kbps": 4000.0 if isp == BAD_ISP else 60_000.0}
        records.append(measurement_record(f"i-{key}", technique="IGI", **at, values=kbps, hops=None))
    return records


def viewer_records() -> list[dict[str, Any]]:
    """Eight viewers of each ISP, with a message each 30 s; those behind the bad link stall."""
    chance = random.Random(4)
    found = []
    for isp in ISPS:
        for viewer in range(8):
            stalled_ms = played_ms = 0
            for seq in range(MINUTES * 2):
                bad = isp == BAD_ISP and seq >= BAD_FROM * 2
                stall = chance.randrange(4_000, 12_000) if bad else 0
                stalled_ms += stall
                played_ms += 30_000 * (seq > 0) - stall
                sent_ms = BEGIN_MS + seq * 30_000 + viewer * 700
                found.append(
                    record(
                        peer_id=f"{isp}-{viewer}",
                        session_id=f"s-{isp}-{viewer}",
                        seq=seq,
                        event="report" if seq else "join",
                        isp=isp,
                        received_ms=sent_ms,
                        sent_ms=sent_ms,
                        playback_kbps=1400.0,
                        continuity=1 - stall / 30_000,
                        uptime_ms=seq * 30_000,
                        stall_ms=stalled_ms,
                        played_ms=max(played_ms, 0),
                        stall_count=max(0, seq - BAD_FROM * 2) if isp == BAD_ISP else 0,
                    )
                )
    return sorted(found, key=lambda each: each["received_ms"])
