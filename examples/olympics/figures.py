"""Writes the page with the figures: one file that works without a network."""

from datetime import UTC, datetime
from html import escape
from pathlib import Path

from bokeh.embed import components
from bokeh.models import LinearAxis, NumeralTickFormatter, Range1d
from bokeh.plotting import figure
from bokeh.resources import INLINE

BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#E69F00", "#009E73", "#333333"
"""Okabe and Ito's colors, which color-blind people can distinguish."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; color: #222 }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem } h2 { font-size: 1rem; margin: 0 0 .3rem }
table { border-collapse: collapse; margin-top: 1.5rem; font-variant-numeric: tabular-nums }
td, th { padding: .25rem 1rem; text-align: left; border-bottom: 1px solid #ddd }
"""


def write_page(path: Path, shown: dict, lines: list[tuple[str, str, str]]) -> None:
    """Write the page. `shown` is the output of `history show --json`; `lines` is the comparison with a header line first."""
    plots = {
        "Figure 4(a): users per day": users(shown["daily"]),
        "Figure 4(b): upload and download rate": rates(shown["daily"]),
        "Figure 4(c): online time per user and per view": online(shown["online"]),
        "Figure 4(d): continuity": one_line(shown["quality"], "continuity", (0.97, 1.0)),
        "Figure 5(a): MOS of each day": one_line(shown["quality"], "mos", (1, 5)),
        "Figure 5(b): MOS and concurrent peers, August 7": minutes(shown["minutes"]),
    }
    script, places = components(plots)
    cards = "".join(f"<section><h2>{escape(name)}</h2>{place}</section>" for name, place in places.items())
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>The Olympics of 2012, again</title><style>{_STYLE}</style>'
        f"{INLINE.render()}<h1>The Olympics of 2012, again</h1><main>{cards}</main><table>{rows}</table>{script}</html>",
        encoding="utf-8",
    )


def _plot(days: list[dict], **options: object) -> figure:
    names = [day["period"][5:] for day in days]
    plot = figure(height=320, width=560, x_range=names, toolbar_location=None, **options)
    plot.xaxis.major_label_orientation = 0.9
    plot.grid.grid_line_alpha = 0.4
    return plot


def _label(plot: figure) -> figure:
    """Put the legend above the plot, and format numbers with separators."""
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation = "horizontal"
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[0]")
    return plot


def users(days: list[dict]) -> figure:
    plot = _plot(days, y_axis_label="users of the day")
    names = list(plot.x_range.factors)
    plot.vbar(names, top=[day["total_peers"] for day in days], width=0.8, color=BLUE, alpha=0.35, legend_label="all")
    plot.vbar(names, top=[day["new_peers"] for day in days], width=0.8, color=BLUE, legend_label="new")
    most = days[-1]["cumulative_peers"]
    plot.extra_y_ranges = {"sum": Range1d(0, most * 1.1)}
    plot.add_layout(LinearAxis(y_range_name="sum", axis_label="distinct so far"), "right")
    plot.line(
        names,
        [day["cumulative_peers"] for day in days],
        color=ORANGE,
        line_width=2,
        y_range_name="sum",
        legend_label="distinct so far",
    )
    plot.y_range = Range1d(0, max(day["total_peers"] for day in days) * 1.25)
    return _label(plot)


def rates(days: list[dict]) -> figure:
    plot = _plot(days, y_range=(600, 1000), y_axis_label="kbit/s")
    for name, colour in (("upload_kbps", BLUE), ("download_kbps", ORANGE)):
        plot.line(
            list(plot.x_range.factors), [day[name] for day in days], color=colour, line_width=2, legend_label=name.split("_")[0]
        )
    return _label(plot)


def online(days: list[dict]) -> figure:
    plot = _plot(days, y_axis_label="minutes")
    for name, label, colour in (("online_s_per_peer", "per user", BLUE), ("online_s_per_view", "per view", ORANGE)):
        plot.line(list(plot.x_range.factors), [day[name] / 60 for day in days], color=colour, line_width=2, legend_label=label)
    plot.y_range.start = 0
    return _label(plot)


def one_line(days: list[dict], name: str, bounds: tuple[float, float]) -> figure:
    plot = _plot(days, y_range=bounds)
    plot.line(list(plot.x_range.factors), [day[name] for day in days], color=GREEN, line_width=2)
    return plot


def minutes(each: list[dict]) -> figure:
    at = [datetime.fromtimestamp(minute["at"] / 1000 + 8 * 3600, tz=UTC) for minute in each]
    plot = figure(height=320, width=560, x_axis_type="datetime", toolbar_location=None, y_range=(1, 5), y_axis_label="MOS")
    most = max(minute["concurrent_peers"] for minute in each)
    plot.extra_y_ranges = {"peers": Range1d(0, most * 1.6)}
    plot.add_layout(LinearAxis(y_range_name="peers", axis_label="concurrent peers"), "right")
    plot.varea(
        at, 0, [minute["concurrent_peers"] for minute in each], color=BLUE, alpha=0.3, y_range_name="peers", legend_label="peers"
    )
    plot.line(at, [float("nan") if minute["mos"] is None else minute["mos"] for minute in each], color=BLACK, legend_label="MOS")
    return _label(plot)
