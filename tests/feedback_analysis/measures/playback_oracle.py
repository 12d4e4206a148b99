"""Stalls and failed starts again in the plainest form: loops over the messages of each session, and fractions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from feedback_analysis.measures.selection import Span
from tests.feedback_analysis.measures.oracle import mean, weight_of
from tests.harness.logs import Record

LOOK_BACK_MS = 300_000
HOUR_MS = 3_600_000
NAMES = ("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "stalls", "starts", "p2p_ratio")

Key = tuple[str, int]
Increase = dict[str, Any]


def playback(
    chosen: Iterable[Record], everything: Iterable[Record], *, span: Span | None = None, period_s: float = 30
) -> Mapping[str, Fraction | None]:
    """The measures of `chosen`, the records in `span` that the filters select, of `everything`; both were deduplicated."""
    chosen, everything = list(chosen), list(everything)
    grown = [increases_of(everything, span)[key_of(each)] | {"weight": Fraction(each["weight"])} for each in chosen]
    watched = [each for each in grown if each["stall_ms"] is not None and each["played_ms"] is not None]
    stalls = [each for each in grown if each["stall_ms"] is not None and each["stall_count"] is not None]
    counted = [each for each in watched if each["stall_count"] is not None]
    failed = outcomes(chosen, everything, span, period_s)
    return {
        "rebuffering_ratio": ratio(watched, lambda each: each["stall_ms"], time_of),
        "stalls_per_hour": ratio(
            watched, lambda each: (each["stall_count"] or 0) * HOUR_MS, lambda each: time_of(each) if each in counted else 0
        ),
        "stall_ms": ratio(stalls, lambda each: each["stall_ms"], lambda each: each["stall_count"]),
        "longest_stall_ms": max((each["length_ms"] for each in grown if each["length_ms"] is not None), default=None),
        "start_failures": mean(failed),
        "stalls": sum((each["stall_count"] * each["weight"] for each in stalls), Fraction(0)),
        "starts": sum((weight for _, weight in failed), Fraction(0)),
        "p2p_ratio": mean([(each["p2p_ratio"], each["weight"]) for each in chosen if "p2p_ratio" in each]),
    }


def key_of(each: Record) -> Key:
    return each["session_id"], each["seq"]


def time_of(each: Increase) -> int:
    return int(each["stall_ms"] + each["played_ms"])


def ratio(rows: Iterable[Increase], above: Any, below: Any) -> Fraction | None:
    rows = list(rows)
    denominator = sum(Fraction(below(each)) * each["weight"] for each in rows)
    return sum(Fraction(above(each)) * each["weight"] for each in rows) / denominator if denominator else None


def increases_of(everything: Iterable[Record], span: Span | None) -> dict[Key, Increase]:
    """The increase of each counter in each message, and how long its stall has lasted."""
    sessions = defaultdict(list)
    for each in everything:
        if span is None or span.from_ms - LOOK_BACK_MS <= each["received_ms"] < span.to_ms:
            sessions[each["session_id"]].append(each)
    found: dict[Key, Increase] = {}
    for messages in sessions.values():
        messages.sort(key=lambda each: each["seq"])
        known: dict[str, int | None] = dict.fromkeys(
            ("stall_count", "stall_ms", "played_ms"), 0 if messages[0]["seq"] == 0 else None
        )
        lasted = [0, 0]
        for each in messages:
            more: Increase = {}
            for name, before in known.items():
                value = each.get(name)
                more[name] = None if value is None or before is None else value - before if value >= before else value
            known |= {name: each[name] for name in known if name in each}
            if more["stall_count"]:
                lasted = [0, 0]
            lasted[0] += more["stall_ms"] or 0
            lasted[1] += more["stall_count"] or 0
            more["length_ms"] = Fraction(lasted[0], max(1, lasted[1])) if more["stall_ms"] else None
            found[key_of(each)] = more
    return found


def outcomes(
    chosen: Iterable[Record], everything: Iterable[Record], span: Span | None, period_s: float
) -> list[tuple[int, Fraction]]:
    """1 or 0 and the weight of each session whose first join is among `chosen` and whose result is known."""
    everything = list(everything)
    end_ms = span.to_ms if span is not None else max((each["received_ms"] for each in everything), default=0) + 1
    sessions = defaultdict(list)
    for each in everything:
        if span is None or span.from_ms <= each["received_ms"] < span.to_ms:
            sessions[each["session_id"]].append(each)
    keys = {key_of(each) for each in chosen}
    found = []
    for session, messages in sessions.items():
        joins = [each for each in messages if each["event"] == "join"]
        if not joins or (session, min(each["seq"] for each in joins)) not in keys:
            continue
        played = any("startup_ms" in each or each.get("played_ms", 0) or each.get("continuity", 0) for each in messages)
        gone = any(each["event"] == "leave" for each in messages)
        if played or gone or min(each["received_ms"] for each in joins) < end_ms - 2 * period_s * 1000:
            found.append((int(not played), weight_of(messages)))
    return found
