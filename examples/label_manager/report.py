"""Writes the page with the figures: one file that works without a network."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from bokeh.embed import components
from bokeh.models import ColumnDataSource, FactorRange, LabelSet, Range1d, Span
from bokeh.plotting import figure
from bokeh.resources import INLINE
from protocols import Score, Sessions

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
"""Okabe and Ito's colours, which colour-blind people can distinguish."""

Table = Mapping[str, Score]

_STYLE = """
body { font: 15px/1.55 system-ui, sans-serif; margin: 2rem auto; max-width: 1160px; padding: 0 1rem; color: #222 }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem 2rem } h1 { font-size: 1.5rem }
h2 { font-size: 1.05rem; margin: 0 0 .2rem } p { margin: .2rem 0 .8rem; max-width: 72ch }
section p { color: #555; font-size: .9rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; width: 100% }
td, th { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left }
tr.leaky td { color: #B34700; font-weight: 600 }
@media (max-width: 900px) { main { grid-template-columns: 1fr } }
"""

_READING = """
<section><h2>How to read it</h2><ul>
<li>The dotted line is the accuracy of the majority class: below it, a model is worse than no model.</li>
<li>The leaky protocol copies sessions of the rarer classes until all classes have the same size, and then draws the sessions of the
test. The forest has learned many of them. The rarest class shows it best: the leaky protocol recognises all of its sessions, and an
honest one almost none.</li>
<li>Five folds are honest about sessions, but each fold has both campaigns. Leave one campaign out asks what counts elsewhere.</li>
<li>The external file has the first campaign's limits in another network. It is the only one that no choice could influence.</li>
</ul></section>"""

_TITLES = {"stalled": "Has the session stalled?", "quality": "How often did the quality change?"}
_CLASSES = {"stalled": "Two classes: no stall, or stalls.", "quality": "Three classes: at most 1 change, 2 or 3, more than 3."}


def write_page(path: Path, tables: Mapping[str, Table], sessions: Sessions, facts: Sequence[str]) -> None:
    """Write the page. `tables` has the scores of each protocol for each label."""
    plots = {f"{label} accuracy": _bars(table) for label, table in tables.items()}
    plots |= {"limits": _limits(sessions)}
    script, places = components(plots)
    cards = "".join(
        f"<section><h2>{_TITLES[label]}</h2><p>{_CLASSES[label]}</p>{places[f'{label} accuracy']}{_table(table)}</section>"
        for label, table in tables.items()
    )
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Leaky and honest figures</title><style>{_STYLE}</style>'
        f"{INLINE.render()}<h1>The same data and the same forest: leaky and honest figures</h1>"
        + "".join(f"<p>{escape(fact)}</p>" for fact in facts)
        + f"<main>{cards}<section><h2>Why a campaign is not a condition</h2><p>Share of stalled sessions for each limit. The two "
        f"campaigns have no limit in common, so the limit, the network and the label go together.</p>{places['limits']}</section>"
        f"{_READING}</main>{script}</html>",
        encoding="utf-8",
    )


def _bars(table: Table) -> figure:
    names = list(reversed(table))
    data = ColumnDataSource(
        {
            "name": names,
            "accuracy": [table[name].accuracy for name in names],
            "balanced": [table[name].balanced for name in names],
            "color": [ORANGE if "leaky" in name else GREY if not _is_honest(name) else BLUE for name in names],
            "shown": [f"{table[name].accuracy:.3f}" for name in names],
        }
    )
    plot = figure(y_range=FactorRange(*names), x_range=Range1d(0, 1), height=300, width=550, toolbar_location=None)
    plot.hbar(y="name", right="accuracy", height=0.62, color="color", source=data)
    plot.scatter(x="balanced", y="name", marker="diamond", size=11, color="white", line_color="#222", source=data)
    inside = {"x_offset": 7, "y_offset": -8, "text_color": "white", "text_font_size": "12px", "text_font_style": "bold"}
    plot.add_layout(LabelSet(x=0, y="name", text="shown", source=data, **inside))
    plot.add_layout(Span(location=table["majority class"].accuracy, dimension="height", line_dash="dotted", line_color="#555"))
    plot.xaxis.axis_label = "accuracy (bar), balanced accuracy (diamond)"
    plot.ygrid.grid_line_color = None
    plot.yaxis.major_label_text_font_size = "12px"
    plot.outline_line_color = None
    return plot


def _is_honest(name: str) -> bool:
    return name.startswith(("honest", "external"))


def _limits(sessions: Sessions) -> figure:
    plot = figure(height=320, width=550, y_range=Range1d(0, 1), toolbar_location=None)
    for campaign, colour, name in ((0, ORANGE, "first campaign"), (1, BLUE, "second campaign")):
        limits = np.unique(sessions.limits[sessions.campaigns == campaign])
        shares = [float(sessions.stalled[sessions.limits == limit].mean()) for limit in limits]
        plot.line(limits, shares, color=colour, line_width=2, legend_label=name)
        plot.scatter(limits, shares, size=9, color=colour, legend_label=name)
    plot.xaxis.axis_label = "limit, Mbit/s"
    plot.yaxis.axis_label = "share of sessions with stalls"
    plot.add_layout(plot.legend[0], "above")
    plot.legend.orientation = "horizontal"
    plot.outline_line_color = None
    return plot


def _table(table: Table) -> str:
    head = "<tr><th>protocol</th><th>accuracy</th><th>balanced</th><th>macro F1</th><th>recall of the rarest class</th></tr>"
    rows = "".join(
        f"<tr{' class=leaky' if 'leaky' in name else ''}><td>{escape(name)}</td><td>{score.accuracy:.3f}</td>"
        f"<td>{score.balanced:.3f}</td><td>{score.macro_f1:.3f}</td><td>{score.rarest_recall:.0%}</td></tr>"
        for name, score in table.items()
    )
    return f"<table>{head}{rows}</table>"
