"""The small figures of the History page: one point for each period with data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from bokeh.models import CategoricalAxis, ColumnDataSource, FactorRange, HoverTool, LinearAxis, NumeralTickFormatter, Plot, Range1d
from bokeh.models.glyphs import Line, Scatter

from feedback_analysis.measures.registry import MEASURES, shown_in
from monitor_platform.views.number_format import largest_of
from monitor_platform.views.palette import CATEGORIES, round_ends
from monitor_platform.views.plots import Plots


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A small figure: name, title, and columns with their labels. Values are divided by `per`."""

    name: str
    title: str
    columns: tuple[tuple[str, str], ...]
    per: float = 1.0
    digits: str = "0,0"
    low: float | None = None
    high: float | None = None


CHARTS = (
    Chart(name="users", title="Users", columns=(("total_peers", "total"), ("new_peers", "new")), low=0),
    Chart(name="cumulative", title="Distinct users so far", columns=(("cumulative_peers", "distinct"),), low=0),
    Chart(name="rates", title="Rates", columns=(("upload_kbps", "upload"), ("download_kbps", "download")), digits="0,0.[00]"),
    Chart(
        name="online",
        title="Time online (minutes)",
        columns=(("online_s_per_peer", "per user"), ("online_s_per_view", "per view")),
        per=60,
        digits="0,0.0",
        low=0,
    ),
    Chart(name="continuity", title="Continuity (%)", columns=(("continuity", "continuity"),), per=0.01, digits="0.00"),
    Chart(name="mos", title="MOS", columns=(("mos", "MOS"),), digits="0.00", low=1, high=5),
    Chart(
        name="rebuffering", title="Rebuffering ratio (%)", columns=(("rebuffering_ratio", "ratio"),), per=0.01, digits="0.00", low=0
    ),
    Chart(name="stalls", title="Stalls per hour", columns=(("stalls_per_hour", "stalls"),), digits="0,0.0", low=0),
    Chart(name="stall_length", title="Stall length (s)", columns=(("stall_ms", "mean"),), per=1000, digits="0,0.00", low=0),
    Chart(
        name="longest_stall", title="Longest stall (s)", columns=(("longest_stall_ms", "longest"),), per=1000, digits="0,0.0", low=0
    ),
    Chart(name="failures", title="Failed to start (%)", columns=(("start_failures", "failed"),), per=0.01, digits="0.00", low=0),
    Chart(name="startup", title="Startup (s)", columns=(("startup_ms", "mean"),), per=1000, digits="0,0.00", low=0),
)
"""The paper's Figures 4(a) to (d) and 5(a), then stalls and starts. A history of an earlier version has none of these."""


RATES = ("upload_kbps", "download_kbps")

FEW_PERIODS = 2
"""The names of so many periods fit beside each other; more are slanted."""

SLANTED = 0.9


class HistoryView:
    """All CHARTS over the same periods."""

    def __init__(self) -> None:
        self._periods = FactorRange(factors=[])
        self.source = ColumnDataSource({"period": []} | {name: [] for chart in CHARTS for name, _ in chart.columns})
        self.rate_unit = ""
        """The unit of the rates, which the page adds to their title."""
        plots = Plots()
        self.figures = {chart.name: _drawn(plots, chart, self._periods, self.source) for chart in CHARTS}

    def show(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show a row of numbers for each period."""
        names = [str(row["period"]) for row in rows]
        data: dict[str, list[Any]] = {"period": names}
        rates = [row[name] for row in rows for name in RATES]
        factor, self.rate_unit, _ = shown_in(MEASURES[RATES[0]], largest_of(rates))
        for chart in CHARTS:
            per = 1 / factor if chart.name == "rates" else chart.per
            columns = {name: [_scaled(row[name], per) for row in rows] for name, _ in chart.columns}
            low, high = _ends(chart, [value for values in columns.values() for value in values])
            self.figures[chart.name].y_range.update(start=low, end=high)
            [axis] = self.figures[chart.name].below
            axis.update(major_label_orientation="horizontal" if len(names) <= FEW_PERIODS else SLANTED)
            data |= columns
        self._periods.factors = names
        self.source.data = data


def _scaled(value: float | None, per: float) -> float:
    return float("nan") if value is None else value / per


def _drawn(plots: Plots, chart: Chart, periods: FactorRange, source: ColumnDataSource) -> Plot:
    """A figure without a legend: the page has the legend, in text colours."""
    panel = plots.plot(periods, Range1d(start=0, end=1), sizing_mode="stretch_width", height=190, min_border_left=56)
    plots.add_axis(panel, CategoricalAxis(major_label_orientation=SLANTED), "below")
    plots.add_axis(panel, LinearAxis(), "left", formatter=NumeralTickFormatter(format=chart.digits))
    for (name, label), colour in zip(chart.columns, CATEGORIES, strict=False):
        plots.draw(panel, source, Line(x="period", y=name, line_color=colour, line_width=2))
        points = plots.draw(panel, source, Scatter(x="period", y=name, line_color=colour, fill_color=colour, size=6))
        panel.add_tools(HoverTool(renderers=[points], tooltips=[("", "@period"), (label, f"@{name}{{{chart.digits}}}")]))
    return panel


def _ends(chart: Chart, values: Sequence[float]) -> tuple[float, float]:
    """The ends of the axis: the fixed ones, or round numbers around the values."""
    low, high = round_ends([value for value in values if isfinite(value)] + ([] if chart.low is None else [chart.low]))
    # A point at the top edge would be cut in half.
    return (low if chart.low is None else chart.low, high + (high - low) / 20 if chart.high is None else chart.high)
