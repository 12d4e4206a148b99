"""The texts around the figures of a page, ready for JSON. Values that end hosts sent stay plain text."""

from collections.abc import Mapping, Sequence
from typing import Any

from feedback_analysis.measures.selection import OTHER
from monitor_platform.dashboard.address_query import DEFAULT_MEASURE
from monitor_platform.dashboard.alert_marks import in_words
from monitor_platform.dashboard.annotations import rows_of
from monitor_platform.dashboard.captions import asides, missing, notes
from monitor_platform.dashboard.chips import chips
from monitor_platform.dashboard.data_health import losses_text
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.dashboard.map_legends import legends
from monitor_platform.dashboard.page_data import PageData, series_of
from monitor_platform.dashboard.page_states import OK, Facts, nothing_matches
from monitor_platform.dashboard.snapshot import Snapshot
from monitor_platform.dashboard.tables import BY_VIEW, slice_measure
from monitor_platform.dashboard.tiles import tiles
from monitor_platform.dashboard.timeline_curves import legend
from monitor_platform.views.number_format import format_count, format_value

MOST_SLICES = 8
"""Rows of the short list; the table has all slices."""

MOST_SECONDS = 120
"""Longer times are in minutes."""


def facts(data: PageData, snapshot: Snapshot) -> Facts:
    """Tiles, notes, chips, tables and state of a page."""
    query, shown = data.query, tiles(data)
    return {
        "query": query.text(),
        "measure": query.measure,
        "series": list(series_of(query)),
        "minutes": query.minutes,
        "length_minutes": _minutes(data),
        "span": {"from": data.span.from_ms, "to": data.span.to_ms},
        "extent": {"from": snapshot.extent.from_ms, "to": snapshot.extent.to_ms},
        "state": OK if data.matches else nothing_matches(query),
        "tiles": shown,
        "against": _against(data, snapshot, shown),
        "gone": _gone(data, snapshot),
        "notes": notes(data),
        "asides": asides(data),
        "drops": losses_text(data),
        "chips": chips(query, follows=data.follows),
        "keys": legends(data),
        "slices": _slices(data),
        "legend": legend(data),
        "marks": in_words(data.alerts, snapshot.silences),
        "annotations": rows_of(data.annotations, data.span),
        "compare": query.compare,
        "scale": query.scale,
        "by": query.by,
        "tables": {view: BY_VIEW[view](data).for_page() for view in query.tables},
    }


def _minutes(data: PageData) -> float:
    """The length of the shown time range."""
    return (data.span.to_ms - data.span.from_ms) / 60_000


def _against(data: PageData, snapshot: Snapshot, shown: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the changes of the tiles are differences from: its name and time, and the chosen measure on both sides in words.

    `missing`: why no change is shown; empty if changes are shown. `in_logs`: the logs may have what memory lacks.
    """
    side, chosen = data.against, next((each for each in shown if each["measure"] == data.query.measure and each["both"]), None)
    chosen = chosen or next((each for each in shown if each["measure"] == DEFAULT_MEASURE and each["both"]), None)
    recorded = data.before is not None
    in_logs = not recorded and not data.query.compare and side.span.from_ms < snapshot.extent.from_ms and snapshot.live
    return {
        "name": side.name,
        "from": side.span.from_ms,
        "to": side.span.to_ms,
        "both": chosen["both"] if chosen else "",
        "verdict": chosen["change"]["verdict"] if chosen else "",
        "kind": chosen["change"]["kind"] if chosen else "",
        "missing": "" if recorded else missing(data),
        "in_logs": in_logs,
    }


def _gone(data: PageData, snapshot: Snapshot) -> str:
    """A warning if the time range ends now and no peer is present any more; empty otherwise."""
    here = data.key_figures
    if here is None or here.audience != 0 or not here.summary["peers"] or not snapshot.live or data.query.span is not None:
        return ""
    selected = " that the filters select" if data.query.where() else ""
    since = f" The last report arrived {_length(snapshot.moment.at_ms - snapshot.extent.to_ms)} ago." if not selected else ""
    peers = format_count(here.summary["peers"], "peer")
    if not snapshot.polled:
        return f"Whether peers{selected} are present is unknown: no feedback server answers.{since} Before, {peers} reported."
    return f"No peer{selected} is present: none has reported in the last {snapshot.period_s:g} s.{since} Before, {peers} reported."


def _length(ms: int) -> str:
    """Text: a length of time, in whole seconds or minutes."""
    seconds = max(0, ms) // 1000
    return f"{seconds} s" if seconds < MOST_SECONDS else f"{seconds // 60:,} min"


def _slices(data: PageData) -> list[dict[str, Any]]:
    """The slices with the largest impact."""
    measure = slice_measure(data)
    worst = [each for each in data.slices or () if each.impact > 0 and each.name != OTHER][:MOST_SLICES]
    largest = max((each.impact for each in worst), default=1.0)
    return [
        {
            "name": each.dimension,
            "value": each.name,
            "title": dimension_name(each.dimension),
            "text": place_name(each.name),
            "peers": f"{each.peers:,.0f}",
            "mean": format_value(measure, each.mean),
            "rest": format_value(measure, each.rest),
            "share": each.impact / largest,
            "thin": each.thin,
        }
        for each in worst
    ]
