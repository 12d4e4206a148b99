"""The measures again in the plainest form: loops over records, and fractions, which are exact."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from fractions import Fraction
from typing import Any

from feedback_analysis.quality.mos import MosModel
from tests.feedback_analysis.quality.equation import score
from tests.harness.logs import Record

RATES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "mos")


def deduplicated(records: Iterable[Record]) -> list[Record]:
    first: dict[tuple[str, int], Record] = {}
    for each in records:
        key = (each["session_id"], each["seq"])
        if key not in first or rank(each) < rank(first[key]):
            first[key] = each
    return list(first.values())


def rank(each: Record) -> tuple[Any, ...]:
    return each["received_ms"], each["via"], each["ip"], each["weight"]


def scored(records: Iterable[Record], mos: MosModel) -> list[Record]:
    return [
        each
        | {"mos": score(mos, each["playback_kbps"], each["continuity"]) if {"playback_kbps", "continuity"} <= set(each) else None}
        for each in records
    ]


def oracle(records: Iterable[Record], mos: MosModel) -> dict[str, Any]:
    """The summary of records that were deduplicated."""
    chosen = scored(records, mos)
    sessions, peers = defaultdict(list), defaultdict(list)
    for each in chosen:
        sessions[each["session_id"]].append(each)
        peers[each["peer_id"]].append(each)
    both = [each for each in chosen if "upload_kbps" in each and "download_kbps" in each]
    received = sum(Fraction(each["download_kbps"]) * Fraction(each["weight"]) for each in both)
    sent = sum(Fraction(each["upload_kbps"]) * Fraction(each["weight"]) for each in both)
    started = [
        (last_startup(own_messages), weight_of(own_messages))
        for own_messages in sessions.values()
        if last_startup(own_messages) is not None
    ]
    online = [(online_s(own_messages), weight_of(own_messages)) for own_messages in sessions.values()]
    everybody = sum(weight_of(own_messages) for own_messages in peers.values())
    return {
        "messages": sum(Fraction(each["weight"]) for each in chosen),
        "peers": everybody,
        "sessions": sum(weight_of(own_messages) for own_messages in sessions.values()),
        "contribution_ratio": sent / received if received else None,
        "startup_ms": distribution(started),
        "online_s_per_view": mean(online),
        "online_s_per_peer": sum(value * weight for value, weight in online) / everybody if everybody else None,
    } | {rate: distribution([(each[rate], each["weight"]) for each in chosen if each.get(rate) is not None]) for rate in RATES}


def lost(records: Iterable[Record], *, elsewhere: Iterable[Record] = ()) -> Fraction:
    """Messages whose numbers are missing between those of their session, of records that were deduplicated.

    `elsewhere`: what was received outside the span; it is not missing.
    """
    sessions, received = defaultdict(list), defaultdict(set)
    for each in records:
        sessions[each["session_id"]].append(each)
    for each in elsewhere:
        received[each["session_id"]].add(each["seq"])
    return sum(
        weight_of(own_messages) * gaps({each["seq"] for each in own_messages}, received[session])
        for session, own_messages in sessions.items()
    )


def gaps(numbers: set[int], elsewhere: Set[int] = frozenset()) -> int:
    return sum(number not in numbers | elsewhere for number in range(min(numbers), max(numbers)))


def weight_of(own_messages: Sequence[Record]) -> Fraction:
    return max(Fraction(each["weight"]) for each in own_messages)


def last_startup(own_messages: Sequence[Record]) -> int | None:
    known = [(each["seq"], each["startup_ms"]) for each in own_messages if "startup_ms" in each]
    return max(known)[1] if known else None


def with_continuous_uptime(records: Iterable[Record]) -> list[Record]:
    """`uptime_ms` of each record as if no player had started again: the sum of the increases so far, of up to 10^9 ms each."""
    so_far: dict[str, int] = defaultdict(int)
    before: dict[str, int] = {}
    changed = []
    for each in sorted(records, key=lambda each: each["seq"]):
        session = each["session_id"]
        if "uptime_ms" in each:
            last = before.get(session, each["uptime_ms"])
            more = each["uptime_ms"] - (last if each["uptime_ms"] >= last else 0)
            so_far[session] += more if more <= 10**9 else 0
            before[session] = each["uptime_ms"]
        changed.append(each | {"uptime_ms": so_far[session]} if "uptime_ms" in each else each)
    return changed


def online_s(own_messages: Sequence[Record]) -> Fraction:
    known = [each["uptime_ms"] for each in own_messages if "uptime_ms" in each] or [each["received_ms"] for each in own_messages]
    return Fraction(max(known) - min(known), 1000)


def distribution(values: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    return {"mean": mean(values), "p50": quantile(values, Fraction(1, 2)), "p95": quantile(values, Fraction(19, 20))}


def mean(values: Sequence[tuple[Any, Any]]) -> Fraction | None:
    weight = sum(Fraction(weight) for _, weight in values)
    return sum(Fraction(value) * Fraction(weight) for value, weight in values) / weight if weight else None


def quantile(values: Sequence[tuple[Any, Any]], share: Fraction) -> Any:
    """The smallest value at or below which at least `share` of the weight lies."""
    wanted, held = share * sum(Fraction(weight) for _, weight in values), Fraction(0)
    for value, weight in sorted(values):
        held += Fraction(weight)
        if held >= wanted:
            return value
    return None


def assert_same(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Counts and quantiles exactly; means to 1e-9. The score's exponential may differ in its last digit."""
    for name in ("messages", "peers", "sessions"):
        assert Fraction(found[name]) == wanted[name], name
    for name in ("contribution_ratio", "online_s_per_view", "online_s_per_peer"):
        assert close(found[name], wanted[name]), name
    for name in (*RATES, "startup_ms"):
        assert close(found[name]["mean"], wanted[name]["mean"]), name
        for part in ("p50", "p95"):
            same = close if name == "mos" else lambda one, other: one == other
            assert same(found[name][part], wanted[name][part]), (name, part)


def close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
