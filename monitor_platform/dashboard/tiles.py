"""The tiles: value, change, n and sparkline. Better and worse are also text, never only a colour."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from feedback_analysis.measures.registry import COUNTS, LOWER_IS_BETTER, MEASURES, START_FAILURES, Measure
from feedback_analysis.time_units import MINUTE_MS
from monitor_platform.dashboard.address_query import COMPARE
from monitor_platform.dashboard.page_data import AUDIENCE, KeyFigures, PageData
from monitor_platform.views.number_format import NOTHING, difference, format_change, format_count, format_value
from monitor_platform.views.palette import grade

NEUTRAL = frozenset({AUDIENCE, "upload_kbps", "download_kbps"})
"""Measures for which more is neither better nor worse."""

SORTS_OF = {
    "mos": "mos",
    "stalls_per_hour": "stalls",
    "rebuffering_ratio": "stalled",
    "stall_ms": "longest",
    "startup_ms": "startup",
}
"""How the sessions page is sorted when it is opened from a tile: the worst viewer of that measure comes first."""

LEAST_SHARE = 0.05
"""A smaller change, as a share of the other value, has no colour, even if it is beyond the noise."""

TILE_COUNT = 12
"""The number of tiles. A page reserves their places before it has the data."""


def tiles(data: PageData) -> list[dict[str, Any]]:
    """The tiles in the order of the page."""
    here, before = data.key_figures, data.before
    if before is not None and not before.summary["messages"]:
        before = None  # without records there is no change
    if here is None or data.audience is None:
        return []
    peers = f"{here.summary['peers']:,.0f}"
    at = "the end of " if data.against.name == COMPARE["before"] else ""
    audience = _tile(AUDIENCE, data, here.audience, before.audience if before else None, at=at) | {
        "note": f"{peers} in all",
        "note_means": "Distinct peers in this time range; the large number is those at its end",
        "gone": here.audience == 0 and here.summary["peers"] > 0,
        "unit": "",
        "trend": data.audience.values[AUDIENCE],
    }
    return [
        audience,
        _mean_tile("mos", data, here, before),
        *(_mean_tile(name, data, here, before) for name in ("continuity", "rebuffering_ratio", "stalls_per_hour")),
        _stall_length(data, here, before),
        _startup(data, here, before),
        _failures(data, here, before),
        *(_mean_tile(name, data, here, before) for name in ("upload_kbps", "download_kbps", "contribution_ratio", "p2p_ratio")),
    ]


def _mean_tile(name: str, data: PageData, here: KeyFigures, before: KeyFigures | None) -> dict[str, Any]:
    mean = _mean(here, name)
    tile = _tile(name, data, mean, _mean(before, name) if before else None)
    # A measure that no end host reports has n = 0.
    peers, means = (here.summary["peers"], "Peers that reported") if mean is not None else (0, "Not reported")
    return tile | {
        "note": format_count(peers, "peer"),
        "note_means": means,
        "trend": _trend(data, name),
        "now": format_value(MEASURES[name], _now(data, name), largest=mean),
    }


def _now(data: PageData, name: str) -> float | None:
    """The value in the last period of the time range."""
    return data.trends.latest.get(name) if data.trends is not None else None


def _tile(name: str, data: PageData, value: float | None, other: float | None, *, title: str = "", at: str = "") -> dict[str, Any]:
    """`title`: that of `value`, if the measure's is not enough. `at`: the moment of `other`, if it is not a whole time range."""
    measure = MEASURES[name]
    number, _, unit = format_value(measure, value).partition("\u202f")
    if name == "mos" and value is not None:
        unit = grade(value)
    change = _change(measure, value, other, noise=_noise(name, data), against=at + data.against.name)
    return {
        "measure": name,
        "title": measure.title,
        "name": _in_a_sentence(measure.title),
        "value": number,
        "unit": unit,
        "change": change,
        "both": _both(data, title or measure.title, measure, value, other, at) if change["kind"] != "none" else "",
        "now": "",
        "gone": False,
        "sorts": SORTS_OF.get(name, ""),
    }


def _in_a_sentence(title: str) -> str:
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def _both(data: PageData, title: str, measure: Measure, value: float | None, other: float | None, at: str) -> str:
    """ "MOS 3.41 in the last 15 min, 3.62 an hour ago"."""
    minutes = max(1, round((data.span.to_ms - data.span.from_ms) / MINUTE_MS))
    here = "" if not data.follows else " now" if measure.name == AUDIENCE else f" in the last {minutes} min"
    numbers = (format_value(measure, each) for each in (value, other))
    first, second = (number.removesuffix(f"\u202f{measure.unit}") if measure.kind in COUNTS else number for number in numbers)
    return f"{title} {first}{here}, {second} {at and 'at '}{at}{data.against.name}"


def _startup(data: PageData, here: KeyFigures, before: KeyFigures | None) -> dict[str, Any]:
    """Median and 95th percentile. The change is that of the 95th percentile, which viewers notice most."""
    delay = here.summary["startup_ms"]
    other = before.summary["startup_ms"]["p95"] if before else None
    p50, p95 = (NOTHING if delay[name] is None else f"{delay[name] / 1000:,.1f}" for name in ("p50", "p95"))
    tile = _tile("startup_ms", data, delay["p95"], other, title="Startup p95")
    return tile | {
        "title": "Startup p50 / p95",
        "value": f"{p50} / {p95}",
        "unit": "s",
        "note": format_count(here.summary["sessions"], "session"),
        "note_means": "Sessions",
        "trend": _trend(data, "startup_ms"),
    }


def _stall_length(data: PageData, here: KeyFigures, before: KeyFigures | None) -> dict[str, Any]:
    """Mean and longest. The change is that of the mean, because one stall alone changes the longest."""
    lengths = (here.summary[name] for name in ("stall_ms", "longest_stall_ms"))
    mean, longest = (NOTHING if value is None else f"{value / 1000:,.1f}" for value in lengths)
    tile = _mean_tile("stall_ms", data, here, before)
    stalls = here.summary["stalls"]
    return tile | {
        "title": "Stall mean / longest",
        "value": f"{mean} / {longest}",
        "unit": "s",
        "note": format_count(stalls, "stall"),
        "note_means": "Stalls in this time range",
    }


def _failures(data: PageData, here: KeyFigures, before: KeyFigures | None) -> dict[str, Any]:
    share, other = (each.summary[START_FAILURES] if each else None for each in (here, before))
    return _tile(START_FAILURES, data, share, other) | {
        "note": format_count(here.summary["starts"], "start"),
        "note_means": "Sessions that tried to start",
        "trend": [],
    }


def _change(measure: Measure, value: float | None, other: float | None, *, noise: float, against: str) -> dict[str, str]:
    """Arrow and text. Only a change that is better or worse by more than the noise, and not slight, has a colour."""
    by = difference(value, other)
    if by is None:
        return {"text": "", "arrow": "", "kind": "none", "words": f"nothing to compare with: {against}", "verdict": ""}
    text = format_change(measure, by)
    side = "same" if text.startswith("±") else "neutral" if abs(by) <= noise else _kind(by, measure)
    slight = side in _THAN and is_slight(by, other, measure)
    arrow = "" if side == "same" else "▲" if by > 0 else "▼"
    verdict = f"slightly {side}" if slight else "the same" if side == "same" else side
    words = f"{verdict} than" if side in _THAN else {"neutral": "against", "same": "the same as"}[side]
    within = f"; within the noise of ±{format_value(measure, noise)}" if side == "neutral" and noise else ""
    if side == "neutral":
        verdict = "no clear change" if abs(by) <= noise else "more" if by > 0 else "less"
    return {
        "text": text.lstrip("+−") if arrow else text,
        "arrow": arrow,
        "kind": "neutral" if slight else side,
        "words": f"{text}, {words} {against}{within}",
        "verdict": verdict,
    }


_THAN = frozenset({"better", "worse"})


def is_slight(by: float, other: float | None, measure: Measure) -> bool:
    """Whether a change is less than LEAST_SHARE of the other value. Of a share near 100 %, the rest of 100 % counts instead."""
    base = abs(other or 0.0)
    if measure.unit == "%" and 0 <= base <= 1:
        base = min(base, 1 - base)
    return abs(by) < LEAST_SHARE * base


def _noise(name: str, data: PageData) -> float:
    """Twice the standard error of the difference of both sides; 0 if it is not known."""
    if data.key_figures is None or data.before is None:
        return 0.0
    return 2 * math.hypot(*(standard_error(name, each.summary) for each in (data.key_figures, data.before)))


def standard_error(name: str, summary: Mapping[str, Any]) -> float:
    """An estimate from the numbers of a summary; 0 without one.

    Sessions are taken as independent. The standard deviation of their values is that of a normal distribution with these p50 and
    p95, and at least the distance of the mean from p50. Stalls do not depend on each other, and have exponential lengths.
    """
    value, sessions = summary.get(name), summary["sessions"]
    if isinstance(value, dict):
        return _deviation(value) / math.sqrt(sessions) if sessions else 0.0
    if not value or not sessions:
        return 0.0
    if name == "contribution_ratio":
        upload = summary["upload_kbps"]
        return float(value) * _deviation(upload) / (upload["mean"] or 1) / math.sqrt(sessions)
    if name in {START_FAILURES, "p2p_ratio"}:
        return math.sqrt(value * (1 - value) / (summary["starts"] if name == START_FAILURES else sessions))
    events = {"stalls_per_hour": 1, "stall_ms": 1, "rebuffering_ratio": 2}
    return float(value) * math.sqrt(events[name] / summary["stalls"]) if name in events and summary["stalls"] else 0.0


def _deviation(spread: Mapping[str, float | None]) -> float:
    mean, p50, p95 = (spread[name] for name in ("mean", "p50", "p95"))
    if mean is None or p50 is None or p95 is None:
        return 0.0
    return max((p95 - p50) / 1.645, abs(mean - p50))


def _kind(by: float, measure: Measure) -> str:
    if measure.name in NEUTRAL:
        return "neutral"
    return "better" if (by < 0) == (measure.name in LOWER_IS_BETTER) else "worse"


def _trend(data: PageData, name: str) -> Sequence[float | None]:
    return data.trends.values[name] if data.trends is not None else ()


def _mean(key_figures: KeyFigures, name: str) -> float | None:
    value = key_figures.summary[name]
    number: float | None = value["mean"] if isinstance(value, dict) else value
    return number
