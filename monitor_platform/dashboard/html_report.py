"""The report: views and numbers of recorded logs in one HTML file, which needs no server.

It shows the same data, figures and texts as the dashboard's overview.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bokeh.embed import file_html
from bokeh.models import LayoutDOM
from bokeh.resources import INLINE
from jinja2 import Environment, FileSystemLoader

from feedback_analysis.geo.maps import CREDIT_HTML
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.measures.summary_fields import DISTRIBUTIONS
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.scores import scores
from feedback_analysis.messages.table import FeedbackTable
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.facts import facts
from monitor_platform.dashboard.map_legends import shadings
from monitor_platform.dashboard.page_data import AUDIENCE, PageData, distributed, series_of
from monitor_platform.dashboard.page_queries import PageQueries
from monitor_platform.dashboard.shared_answers import Moment, SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot
from monitor_platform.dashboard.tables import BY_VIEW
from monitor_platform.views.histogram_view import HistogramView
from monitor_platform.views.number_format import NOTHING, format_value
from monitor_platform.views.region_view import district_view, map_view
from monitor_platform.views.timeline_view import TimelineView

_DASHBOARD = Path(__file__).parent
_TEMPLATES = Environment(loader=FileSystemLoader(_DASHBOARD / "templates"), autoescape=True)
_VIEWS = frozenset({"tiles", "map", "district", "histogram", "timeline"})
SERIES = ("mos", "continuity", "upload_kbps")
_WITH_TABLE = ("timeline", "map", "district", "histogram")


def write_report(
    path: Path,
    table: FeedbackTable,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    models: Sequence[str] = (),
    period_s: float = 30.0,
) -> None:
    """Write the report of `span` (None: all records of `table`) to `path`. The other arguments are those of `report`."""
    path.write_text(report(table, span=span, where=where, by=by, models=models, period_s=period_s), encoding="utf-8")


def report(
    table: FeedbackTable,
    *,
    span: Span | None = None,
    where: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    models: Sequence[str] = (),
    period_s: float = 30.0,
) -> str:
    """The report as HTML, with a row for each combination of `by`, and with the scores of the quality `models`.

    `period_s` is the end hosts' reporting period.
    """
    recorded = span or extent(table)
    if recorded is None:
        return _TEMPLATES.get_template("report.html").render(**_template_variables(table, Span(0, 0), {}, by), figures=False)
    snapshot = _snapshot(table, recorded, period_s)
    query = replace(AddressQuery.filtered(where or {}), series=SERIES)
    shown = asyncio.run(_page_data(table, snapshot, query))
    summary = summarize(table, span=recorded, where=where, by=by)
    return file_html(
        _figures(shown),
        resources=INLINE,
        template=_TEMPLATES.get_template("report.html"),
        template_variables=_template_variables(table, recorded, summary, by)
        | {
            "facts": facts(shown, snapshot),
            "tables": {name: BY_VIEW[name](shown).for_page() for name in _WITH_TABLE},
            "models": _models(table, models, recorded, where),
            "measure": MEASURES[shown.query.measure].title,
            "figures": True,
            "where": query.where(),
        },
        title="Swarmscope report",
        suppress_callback_warning=True,  # the figures of a page have callbacks, and the report needs none of them
    )


def _snapshot(table: FeedbackTable, recorded: Span, period_s: float) -> Snapshot:
    return Snapshot(
        moment=Moment(table.version, 0, 0),
        extent=recorded,
        until_ms=recorded.to_ms,
        period_s=period_s,
        live=False,
        atlas=table.atlas,
    )


async def _page_data(table: FeedbackTable, snapshot: Snapshot, query: AddressQuery) -> PageData:
    answers = SharedAnswers(table)
    try:
        return await PageQueries(answers, snapshot, query, views=_VIEWS).page_data()
    finally:
        answers.close()


def _figures(shown: PageData) -> list[LayoutDOM]:
    areas, districts = map_view(shown.atlas, tips=True), district_view(shown.atlas, tips=True)
    shaded = shadings(shown)
    timeline, histogram = TimelineView(len(SERIES)), HistogramView()
    areas.show(shaded["map"][0])
    districts.show(shaded["district"][0])
    if shown.audience is not None and shown.timeline is not None:
        series = [MEASURES[name] for name in series_of(shown.query)]
        timeline.show(MEASURES[AUDIENCE], shown.audience, series, shown.timeline, shown.span)
    if shown.histogram is not None:
        histogram.show(distributed(shown.query.measure), shown.histogram)
    named = {"map": areas.figure, "district": districts.figure, "timeline": timeline.figure, "histogram": histogram.figure}
    for name, figure in named.items():
        figure.name = name
    return list(named.values())


def _template_variables(table: FeedbackTable, span: Span, summary: Mapping[str, Any], by: Sequence[str]) -> dict[str, Any]:
    return {
        "css": "".join((_DASHBOARD / "assets" / f"{name}.css").read_text(encoding="utf-8") for name in ("dashboard", "narrow")),
        "credit": CREDIT_HTML,
        "begins": _utc(span.from_ms),
        "ends": _utc(span.to_ms),
        "summary": summary,
        "distributions": [_distribution(name, summary) for name in DISTRIBUTIONS] if summary else [],
        "by": list(by),
        "groups": [_group(group) for group in summary.get("groups", ())],
        "damages": [*(f"not read: {unread}" for unread in table.unread), *map(str, table.damages)],
    }


def _distribution(name: str, summary: Mapping[str, Any]) -> tuple[str, ...]:
    measure = MEASURES[name]
    return (measure.title, *(format_value(measure, summary[name][part]) for part in ("mean", "p50", "p95")))


def _models(table: FeedbackTable, names: Sequence[str], span: Span, where: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """The scores of each model, and the terms of their mean."""
    total = scores(table, names, span=span, where=where).get((), {})
    return [
        {
            "cells": (
                MEASURES[name].title,
                f"{score.n:,.0f}",
                *(format_value(MEASURES[name], each) for each in (score.mean, score.p50, score.p95)),
            ),
            "terms": [f"{value:+,.2f} {term.replace('_', ' ')}" for term, value in score.terms.items() if value is not None],
        }
        for name, score in total.items()
    ]


def _group(group: Mapping[str, Any]) -> list[str]:
    means = [
        format_value(MEASURES[name], group[name]["mean"])
        for name in ("mos", "continuity", "startup_ms", "upload_kbps", "download_kbps")
    ]
    return [*(str(value) for value in group["by"].values()), f"{group['peers']:,.0f}", f"{group['messages']:,.0f}", *means]


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if ms else NOTHING
