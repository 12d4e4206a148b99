"""The tree of a swarm as a figure: the source at the left, its players at the right.

The width of a link is its rate, its colour the share of packets that it lost before repair. Names are written by the page's script,
which knows how much room each row has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from bokeh.core.properties import field
from bokeh.core.properties import value as literally
from bokeh.models import ColumnDataSource, HoverTool, PanTool, Plot, Range1d, TapTool, WheelZoomTool
from bokeh.models.glyphs import MultiLine, Scatter, Text

from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.messages.swarm_tree import Failure, NodeReport, State, SwarmNode
from monitor_platform.views.number_format import format_value
from monitor_platform.views.palette import CATEGORIES, GRADE_COLOURS, GROUND
from monitor_platform.views.plots import Plots
from monitor_platform.views.swarm_layout import Spot, SwarmLayout

_BAD, _POOR, _, _GOOD, _EXCELLENT = GRADE_COLOURS

LOSS_STEPS: tuple[tuple[float, str, str], ...] = (
    (0.001, GROUND, "below 0.1 %"),
    (0.01, _GOOD, "below 1 %"),
    (0.05, _POOR, "below 5 %"),
    (float("inf"), _BAD, "5 % or more"),
)
"""The colours of a link by the share of packets that it lost: the step that the share is below."""

STATE_COLOURS: Mapping[State, str] = {
    "here": _EXCELLENT,
    "waiting": _BAD,
    "failed": _BAD,
    "silent": GROUND,
    "unknown": GROUND,
}
TROUBLED = _POOR
_CARD = "#ffffff"
"""The ground behind the tree until the script of the page sets its own."""
FOUND = CATEGORIES[3]
"""The ring around nodes that a search names."""

MARKERS = {"source": ("square", 15), "relay": ("circle", 13), "player": ("circle", 9)}
GROUP_MARKER = ("hex", 15)

WIDEST, NARROWEST = 4.5, 1.2
ROW_PX, LEAST_PX, MOST_PX = 26, 300, 1700
CURVE = tuple(step / 24 for step in range(25))
BEFORE_CHILD = 0.88
"""The place of a failure's mark on its link, from the parent (0) to the child (1)."""

_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430;white-space:pre-line"><b>@name</b>
@text</div>"""
_LINK_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">@text</div>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSwarm:
    """What is drawn. `texts`: words about each node. `troubled`: nodes with a problem. `chosen`: nodes that the filters select.

    `failures`: the latest one of each node that has had any. `found`: what a search names.
    """

    nodes: Mapping[str, SwarmNode]
    layout: SwarmLayout
    texts: Mapping[str, str]
    details: Mapping[str, str]
    troubled: frozenset[str]
    chosen: frozenset[str]
    failures: Mapping[str, Failure]
    found: frozenset[str] = frozenset()


class SwarmView:
    """The figure; its size follows the number of rows."""

    def __init__(self) -> None:
        plots = Plots()
        self._y, self._x = Range1d(start=-1, end=1), Range1d(start=-0.2, end=4)
        self.figure: Plot = plots.plot(self._x, self._y, sizing_mode="stretch_width", height=LEAST_PX, min_border=2)
        self.ghosts = ColumnDataSource({name: [] for name in ("xs", "ys")})
        self.seconds = ColumnDataSource({name: [] for name in ("xs", "ys")})
        self.links = ColumnDataSource({name: [] for name in _LINK_COLUMNS})
        self.marks = ColumnDataSource({name: [] for name in _MARK_COLUMNS})
        self.nodes = ColumnDataSource({name: [] for name in _NODE_COLUMNS})
        self._shape: tuple[int, int] = 0, 0
        self._draw(plots)

    def show(self, shown: ShownSwarm) -> None:
        """Draw a tree. The zoom stays as it is unless the size of the tree changes."""
        layout = shown.layout
        if (shape := (layout.rows, layout.columns)) != self._shape:
            self._shape = shape
            self.figure.height = height_of(layout.rows)
            self._y.update(start=-layout.rows + 0.5 - 0.4, end=0.5 + 0.4)
            self._x.update(start=-0.3, end=layout.columns + 0.3)
        spots = {spot.name: spot for spot in layout.spots if not spot.is_group}
        self.ghosts.data = _former_links(shown, spots)
        self.seconds.data = _seconds(shown, spots)
        self.links.data = _links(shown, spots)
        self.marks.data = _marks(shown, spots)
        self.nodes.data = _nodes(shown)

    def clear(self) -> None:
        """Remove the tree."""
        for source in (self.ghosts, self.seconds, self.links, self.marks, self.nodes):
            source.data = {name: [] for name in source.column_names}

    def _draw(self, plots: Plots) -> None:
        ghost = MultiLine(xs="xs", ys="ys", line_color=_BAD, line_width=1.5, line_alpha=0.7, line_dash="dashed")
        plots.draw(self.figure, self.ghosts, ghost, name="ghosts")
        second = MultiLine(xs="xs", ys="ys", line_color=GROUND, line_width=NARROWEST, line_alpha=0.6, line_dash="dotted")
        plots.draw(self.figure, self.seconds, second, name="seconds")
        curve = MultiLine(xs="xs", ys="ys", line_color="colour", line_width="width", line_alpha="alpha", line_cap="round")
        links = plots.draw(self.figure, self.links, curve, name="links")
        mark = Scatter(x="x", y="y", marker="inverted_triangle", size=9, line_color=_BAD, fill_color=_BAD)
        marks = plots.draw(self.figure, self.marks, mark, name="marks")
        above = _text(text="word", text_align="right", x_offset=-7, y_offset=-2, text_baseline="bottom")  # the link is below it
        plots.draw(self.figure, self.marks, above, name="gaps")
        halo, named = (_text(text="word", text_align=field("align"), text_baseline=field("baseline")) for _ in range(2))
        halo.update(text_color=_CARD, text_outline_color=_CARD, text_outline_width=3)  # links may run below a name
        named.update(text_alpha="alpha")
        for glyph, name in ((halo, "halos"), (named, "names")):
            glyph.update(x_offset=field("right"), y_offset=field("down"))
            plots.draw(self.figure, self.nodes, glyph, name=name)
        node = Scatter(x="x", y="y", marker=field("marker"), size="size", fill_color="fill", line_color="line", line_width="ring")
        node.update(fill_alpha="alpha", line_alpha="alpha")
        nodes = plots.draw(self.figure, self.nodes, node, name="nodes", selection_glyph=node, nonselection_glyph=node)
        self.figure.add_tools(HoverTool(renderers=[links, marks], tooltips=_LINK_TIP, line_policy="interp"))
        self.figure.add_tools(HoverTool(renderers=[nodes], tooltips=_TIP), TapTool(renderers=[nodes]))
        # Without a key, the wheel scrolls the page. The script turns the drag on when the tree is zoomed.
        wheel = WheelZoomTool(dimensions="height", modifiers={"ctrl": True})
        self.figure.add_tools(wheel, PanTool(dimensions="height"))
        self.figure.toolbar.update(active_drag=None, active_scroll=wheel)


def height_of(rows: int) -> int:
    """The height of the figure in pixels."""
    return min(max(rows * ROW_PX + 48, LEAST_PX), MOST_PX)


def loss_colour(loss: float | None) -> str:
    """The colour of a link that lost this share of its packets; that of no loss if it is not known."""
    return next(colour for limit, colour, _ in LOSS_STEPS if (loss or 0.0) < limit)


_NODE_COLUMNS = (
    *("x", "y", "name", "text", "label", "detail", "word", "align", "baseline", "right", "down"),
    *("marker", "size", "fill", "line", "ring", "alpha", "session", "opens", "leaf", "rank"),
)
_LINK_COLUMNS = ("xs", "ys", "width", "colour", "alpha", "text")
_MARK_COLUMNS = ("x", "y", "text", "gap", "word")


def _nodes(shown: ShownSwarm) -> dict[str, list[Any]]:
    rows = [_group(spot, shown) if spot.is_group else _node(spot, shown) for spot in shown.layout.spots]
    return {name: [row[name] for row in rows] for name in _NODE_COLUMNS}


def _node(spot: Spot, shown: ShownSwarm) -> dict[str, Any]:
    node = shown.nodes[spot.name]
    marker, size = MARKERS[node.role]
    colour = STATE_COLOURS[node.state]
    if node.state == "here" and spot.name in shown.troubled:
        colour = TROUBLED
    if node.state == "failed":
        marker, size = "x", 15
    hollow = node.state in ("silent", "unknown")
    return _placed(spot) | {
        "name": spot.name,
        "text": shown.texts[spot.name],
        "label": spot.name,
        "detail": shown.details[spot.name],
        "marker": marker,
        "size": size,
        "fill": "rgba(0, 0, 0, 0)" if hollow else colour,
        "line": FOUND if spot.name in shown.found and node.state != "failed" else colour,
        "ring": 4 if spot.name in shown.found else 2,
        "alpha": 1.0 if spot.name in shown.chosen else 0.25,
        "session": node.report.session_id if node.report is not None else "",
        "opens": "",
        "rank": 0 if spot.name in shown.found or node.state == "failed" else 1 + spot.is_leaf,
    }


def _group(spot: Spot, shown: ShownSwarm) -> dict[str, Any]:
    words = group_in_words(spot.members, shown.nodes)
    found = not shown.found.isdisjoint(spot.members)
    return _placed(spot) | {
        "name": f"{words} of {spot.parent}",
        "text": "choose to show them",
        "label": f"+ {words}",
        "detail": "",
        "marker": GROUP_MARKER[0],
        "size": GROUP_MARKER[1],
        "fill": TROUBLED if not shown.troubled.isdisjoint(spot.members) else _GOOD,
        "line": FOUND if found else _EXCELLENT,
        "ring": 4 if found else 2,
        "alpha": 1.0 if not shown.chosen.isdisjoint(spot.members) else 0.25,
        "session": "",
        "opens": spot.parent,
        "rank": 0 if found else 2,
    }


def group_in_words(members: Sequence[str], nodes: Mapping[str, SwarmNode]) -> str:
    """ "3 relays, 40 players"."""
    counts = {role: sum(nodes[name].role == role for name in members) for role in ("relay", "player")}
    return ", ".join(f"{count} {role}{'' if count == 1 else 's'}" for role, count in counts.items() if count)


def _placed(spot: Spot) -> dict[str, Any]:
    """A leaf has its name at its right, another node above it."""
    beside = {"align": "left", "baseline": "middle", "right": 12, "down": 0}
    above = {"align": "center", "baseline": "bottom", "right": 0, "down": -8}
    return {"x": spot.column, "y": -spot.row, "word": "", "leaf": spot.is_leaf} | (beside if spot.is_leaf else above)


def _links(shown: ShownSwarm, spots: Mapping[str, Spot]) -> dict[str, list[Any]]:
    rates = [report.download_kbps or 0.0 for node in shown.nodes.values() if (report := node.report) is not None]
    most = max(rates, default=0.0) or 1.0
    columns: dict[str, list[Any]] = {name: [] for name in _LINK_COLUMNS}
    for spot in shown.layout.spots:
        if spot.parent is None or spot.parent not in spots:
            continue
        node = None if spot.is_group else shown.nodes[spot.name]
        report = node.report if node is not None else None
        loss = report.loss_before_repair if report is not None else _worst_loss(spot.members, shown)
        rate = (report.download_kbps or 0.0) if report is not None else sum(_rate(name, shown) for name in spot.members)
        xs, ys = _curve(spots[spot.parent], spot)
        columns["xs"].append(xs)
        columns["ys"].append(ys)
        columns["width"].append(NARROWEST + (WIDEST - NARROWEST) * sqrt(min(rate / most, 1.0)))
        columns["colour"].append(loss_colour(loss))
        columns["alpha"].append(0.85 if spot.is_group or spot.name in shown.chosen else 0.2)
        columns["text"].append(_link_in_words(spot, node, report, loss))
    return columns


def _link_in_words(spot: Spot, node: SwarmNode | None, report: NodeReport | None, loss: float | None) -> str:
    if node is None or report is None:
        worst = f"; the worst link lost {loss * 100:.2f} % before repair" if loss is not None else ""
        return f"{spot.parent} feeds {spot.name or f'{len(spot.members)} nodes'}{worst}"
    parts = [f"{spot.parent} feeds {spot.name}"]
    if report.download_kbps is not None:
        parts.append(format_value(MEASURES["download_kbps"], report.download_kbps))
    if report.loss_before_repair is not None:
        parts.append(f"{report.loss_before_repair * 100:.2f} % lost before repair")
    if node.copies is not None:
        parts.append(f"{node.copies:.2f} copies of the stream")
    return ", ".join(parts)


def _worst_loss(members: Sequence[str], shown: ShownSwarm) -> float | None:
    found = [node.report.loss_before_repair for name in members if (node := shown.nodes[name]).report is not None]
    return max((loss for loss in found if loss is not None), default=None)


def _rate(name: str, shown: ShownSwarm) -> float:
    report = shown.nodes[name].report
    return (report.download_kbps or 0.0) if report is not None else 0.0


def _former_links(shown: ShownSwarm, spots: Mapping[str, Spot]) -> dict[str, list[Any]]:
    """The former links of nodes whose parent has failed and not returned, as far as both ends are shown."""
    columns: dict[str, list[Any]] = {"xs": [], "ys": []}
    for name, failure in shown.failures.items():
        failed = spots.get(failure.failed or "")
        if failed is not None and name in spots and shown.nodes[failed.name].state == "failed":
            xs, ys = _curve(failed, spots[name])
            columns["xs"].append(xs)
            columns["ys"].append(ys)
    return columns


def _seconds(shown: ShownSwarm, spots: Mapping[str, Spot]) -> dict[str, list[Any]]:
    """The links from second parents, of streams with two trees."""
    columns: dict[str, list[Any]] = {"xs": [], "ys": []}
    for name, spot in spots.items():
        report = shown.nodes[name].report
        second = report.second_parent if report is not None else None
        if second is not None and second in spots and second != shown.nodes[name].parent:
            xs, ys = _curve(spots[second], spot)
            columns["xs"].append(xs)
            columns["ys"].append(ys)
    return columns


def _marks(shown: ShownSwarm, spots: Mapping[str, Spot]) -> dict[str, list[Any]]:
    """A mark near each node whose parent has failed, with the length of the gap."""
    columns: dict[str, list[Any]] = {name: [] for name in _MARK_COLUMNS}
    for name, failure in shown.failures.items():
        if name not in spots:
            continue
        spot = spots[name]
        columns["x"].append(spot.column - (1 - BEFORE_CHILD))
        columns["y"].append(-spot.row)
        gap = "" if failure.gap_ms is None else f"{failure.gap_ms:,.0f} ms"
        columns["gap"].append(gap)
        columns["word"].append("")
        lost = f"{failure.lost:,} packets lost" if failure.lost else "no packet lost"
        columns["text"].append(f"{name}: {failure.failed or 'its parent'} failed; {gap or 'unknown time'} without packets, {lost}")
    return columns


def _curve(parent: Spot, child: Spot) -> tuple[list[float], list[float]]:
    """From the parent to the child, level at both ends; the last part is straight, for the marks."""
    xs, ys = [], []
    for at in CURVE:
        eased = at * at * (3 - 2 * at)
        xs.append(parent.column + (child.column - parent.column) * at * 0.82)
        ys.append(-(parent.row + (child.row - parent.row) * eased))
    return [*xs, child.column], [*ys, -child.row]


def _text(**looks: Any) -> Text:  # noqa: ANN401 - what Text takes
    glyph = Text(x="x", y="y", text_baseline="middle", text_color="#6b7686", text_font_size="12px")
    glyph.update(text_font=literally("system-ui, sans-serif"), **looks)
    return glyph
