"""The merged path map as a figure: agents at the left, destinations at the right.

A link's colour is its delay, loss or bandwidth. Links that a verdict blames have a wide ground, and bottlenecks a mark.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bokeh.core.properties import field
from bokeh.core.properties import value as literally
from bokeh.models import ColumnDataSource, HoverTool, PanTool, Plot, Range1d, TapTool, WheelZoomTool
from bokeh.models.glyphs import MultiLine, Scatter, Text

from feedback_analysis.measurements.path_map import MapLink, MapNode, NodeRole, PathMap
from monitor_platform.views.network_layout import NetworkLayout, Point, layout_of_map
from monitor_platform.views.number_format import NOTHING
from monitor_platform.views.palette import ACCENT, GRADE_COLOURS, GROUND
from monitor_platform.views.plots import Plots

_BAD, _POOR, _FAIR, _GOOD, _EXCELLENT = GRADE_COLOURS

UNMEASURED = GROUND


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkColouring:
    """How links are coloured: by a value of theirs, in steps. The first step whose limit the value is below gives the colour."""

    name: str
    title: str
    value: Callable[[MapLink], float | None]
    steps: tuple[tuple[float, str, str], ...]
    """Limit, colour, text."""

    def colour(self, link: MapLink) -> str:
        """The colour of `link`."""
        value = self.value(link)
        return UNMEASURED if value is None else next(colour for limit, colour, _ in self.steps if value < limit)


_END = float("inf")
COLOURINGS: Mapping[str, LinkColouring] = {
    "loss": LinkColouring(
        name="loss",
        title="Loss",
        value=lambda link: link.loss,
        steps=(
            (0.005, _EXCELLENT, "below 0.5 %"),
            (0.02, _GOOD, "below 2 %"),
            (0.05, _POOR, "below 5 %"),
            (_END, _BAD, "5 % or more"),
        ),
    ),
    "delay": LinkColouring(
        name="delay",
        title="Delay",
        value=lambda link: link.delay_ms,
        steps=(
            (2.0, _EXCELLENT, "below 2 ms"),
            (20.0, _GOOD, "below 20 ms"),
            (60.0, _POOR, "below 60 ms"),
            (_END, _BAD, "60 ms or more"),
        ),
    ),
    "bandwidth": LinkColouring(
        name="bandwidth",
        title="Bandwidth",
        value=lambda link: link.capacity_kbps,
        steps=(
            (2_000.0, _BAD, "below 2 Mbit/s"),
            (10_000.0, _POOR, "below 10 Mbit/s"),
            (50_000.0, _GOOD, "below 50 Mbit/s"),
            (_END, _EXCELLENT, "50 Mbit/s or more"),
        ),
    ),
}
"""Blue is good and orange is bad in each of them."""

_MARKERS: Mapping[NodeRole, tuple[str, int, str]] = {
    NodeRole.AGENT: ("circle", 16, ACCENT),
    NodeRole.ROUTER: ("circle", 9, GROUND),
    NodeRole.SILENT: ("circle", 9, "rgba(0, 0, 0, 0)"),
    NodeRole.UNKNOWN: ("asterisk", 9, "rgba(0, 0, 0, 0)"),
    NodeRole.DESTINATION: ("square", 15, ACCENT),
}
ROW_PX, LEAST_PX, MOST_PX = 46, 300, 1100
_CURVE = tuple(step / 12 for step in range(13))
_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430;white-space:pre-line"><b>@name</b>
@text</div>"""

_NODE_COLUMNS = ("x", "y", "name", "text", "label", "word", "align", "baseline", "right", "down")
_NODE_LOOKS = ("marker", "size", "fill", "line", "key", "role")
_LINK_COLUMNS = ("xs", "ys", "colour", "width", "dash", "name", "text", "alpha")
_MARK_COLUMNS = ("x", "y", "name", "text", "label")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMap:
    """What is drawn. `blamed`: the links that verdicts blame, with their words. `chosen`: the paths in front; none: all."""

    found: PathMap
    colouring: LinkColouring
    blamed: Mapping[tuple[str, str], str]
    blamed_nodes: Mapping[str, str]
    chosen: frozenset[str]


class NetworkView:
    """The figure; its height follows the number of rows."""

    def __init__(self) -> None:
        plots = Plots()
        self._x, self._y = Range1d(start=-0.3, end=4.3), Range1d(start=-1, end=1)
        self.figure: Plot = plots.plot(self._x, self._y, sizing_mode="stretch_width", height=LEAST_PX, min_border=2)
        self.grounds = ColumnDataSource(_empty(("xs", "ys")))
        self.links = ColumnDataSource(_empty(_LINK_COLUMNS))
        self.marks = ColumnDataSource(_empty(_MARK_COLUMNS))
        self.nodes = ColumnDataSource(_empty((*_NODE_COLUMNS, *_NODE_LOOKS)))
        self._shape = (0.0, 0)
        self._draw(plots)

    def show(self, shown: ShownMap) -> None:
        """Draw a map. The zoom stays as it is unless the size of the map changes."""
        layout = layout_of_map(shown.found)
        if (shape := (layout.rows, layout.columns)) != self._shape:
            self._shape = shape
            self.figure.height = round(min(max((layout.rows + 1) * ROW_PX + 24, LEAST_PX), MOST_PX))
            self._y.update(start=-layout.rows - 0.7, end=0.7)
            self._x.update(start=-0.6, end=layout.columns - 0.4)
        self.grounds.data = _grounds(shown, layout)
        self.links.data = _links(shown, layout)
        self.marks.data = _marks(shown, layout)
        self.nodes.data = _nodes(shown, layout)

    def clear(self) -> None:
        """Remove the map."""
        for source in (self.grounds, self.links, self.marks, self.nodes):
            source.data = _empty(source.column_names)

    def _draw(self, plots: Plots) -> None:
        ground = MultiLine(xs="xs", ys="ys", line_color=_BAD, line_width=16, line_alpha=0.22, line_cap="round", line_join="round")
        plots.draw(self.figure, self.grounds, ground, name="blamed")
        link = MultiLine(xs="xs", ys="ys", line_color="colour", line_width="width", line_alpha="alpha", line_dash=field("dash"))
        link.update(line_cap="round", line_join="round")
        links = plots.draw(self.figure, self.links, link, name="links", selection_glyph=link, nonselection_glyph=link)
        mark = Scatter(x="x", y="y", marker="diamond", size=17, fill_color=_BAD, line_color="#ffffff", line_width=1.5)
        marks = plots.draw(self.figure, self.marks, mark, name="bottlenecks")
        named = Text(x="x", y="y", text="word", text_align=field("align"), text_baseline=field("baseline"))
        named.update(x_offset=field("right"), y_offset=field("down"), text_color="#6b7686", text_font_size="12px")
        named.text_font = literally("system-ui, sans-serif")
        plots.draw(self.figure, self.nodes, named, name="names")
        node = Scatter(x="x", y="y", marker=field("marker"), size="size", fill_color="fill", line_color="line", line_width=2)
        nodes = plots.draw(self.figure, self.nodes, node, name="nodes", selection_glyph=node, nonselection_glyph=node)
        self.figure.add_tools(HoverTool(renderers=[links, marks], tooltips=_TIP, line_policy="interp"))
        self.figure.add_tools(HoverTool(renderers=[nodes], tooltips=_TIP), TapTool(renderers=[nodes]))
        # Without a key, the wheel scrolls the page.
        wheel = WheelZoomTool(modifiers={"ctrl": True})
        self.figure.add_tools(wheel, PanTool())
        self.figure.toolbar.update(active_drag=None, active_scroll=wheel)


def _empty(columns: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [] for name in columns}


def _nodes(shown: ShownMap, layout: NetworkLayout) -> dict[str, list[Any]]:
    columns = _empty((*_NODE_COLUMNS, *_NODE_LOOKS))
    over: dict[str, int] = {}
    for link in shown.found.links:
        for end in (link.begin, link.end):
            over[end] = max(over.get(end, 0), len(link.paths))
    for node in sorted(shown.found.nodes, key=lambda node: layout.places[node.id]):
        row = _node(node, layout.places[node.id], shown.blamed_nodes.get(node.id), over.get(node.id, 0))
        for name, value in row.items():
            columns[name].append(value)
    return columns


def _node(node: MapNode, place: Point, blamed: str | None, paths: int) -> dict[str, Any]:
    marker, size, fill = _MARKERS[node.role]
    beside = {"align": "left", "baseline": "middle", "right": 12, "down": 0}
    above = {"align": "center", "baseline": "bottom", "right": 0, "down": -8}
    before = {"align": "right", "baseline": "middle", "right": -13, "down": 0}
    written = {NodeRole.AGENT: before, NodeRole.DESTINATION: beside}.get(node.role, above)
    colour = _BAD if blamed else fill if node.role not in (NodeRole.SILENT, NodeRole.UNKNOWN) else GROUND
    what = {NodeRole.SILENT: "a router that answers no trace", NodeRole.UNKNOWN: "the rest of the route is not known"}
    text = what.get(node.role, node.role.value) + f"; on {paths} {'path' if paths == 1 else 'paths'}"
    label = (node.name or node.label) if node.role not in (NodeRole.SILENT, NodeRole.UNKNOWN) else ""
    return {
        "x": place[0],
        "y": -place[1],
        "name": node.text,
        "text": f"{text}\n{blamed}" if blamed else text,
        "label": label,
        "word": label,
        "marker": marker,
        "size": size,
        "fill": colour if node.role not in (NodeRole.SILENT, NodeRole.UNKNOWN) else fill,
        "line": colour,
        "key": node.id,
        "role": node.role.value,
        **written,
    }


def _links(shown: ShownMap, layout: NetworkLayout) -> dict[str, list[Any]]:
    columns = _empty(_LINK_COLUMNS)
    labels = {node.id: node.text for node in shown.found.nodes}
    unknown = {node.id for node in shown.found.nodes if node.role is NodeRole.UNKNOWN}
    most = max((len(link.paths) for link in shown.found.links), default=1)
    for link in shown.found.links:
        xs, ys = _curve(link, layout)
        in_front = not shown.chosen or not shown.chosen.isdisjoint(link.paths)
        columns["xs"].append(xs)
        columns["ys"].append(ys)
        columns["colour"].append(shown.colouring.colour(link))
        columns["width"].append(2.5 + 3 * (len(link.paths) / most) ** 0.5)
        columns["alpha"].append(0.95 if in_front else 0.3)
        columns["dash"].append("dotted" if {link.begin, link.end} & unknown else "solid")
        columns["name"].append(f"{labels[link.begin]} → {labels[link.end]}")
        columns["text"].append("\n".join(filter(None, (link_in_words(link), shown.blamed.get((link.begin, link.end))))))
    return columns


def link_in_words(link: MapLink) -> str:
    """What is known about a link. Bounds are called so."""
    bandwidth = kbps_in_words(link.capacity_kbps)
    parts = [
        f"delay {ms_in_words(link.delay_ms)}",
        NOTHING if link.loss is None else f"loss at most {share_in_words(link.loss)} ({link.packets:,.0f} packets)",
        f"bandwidth at {'most' if link.is_bottleneck else 'least'} {bandwidth}" if link.capacity_kbps is not None else "",
        f"bottleneck in {link.bottlenecks:,} measurements" if link.is_bottleneck else "",
        f"{len(link.paths):,} {'path' if len(link.paths) == 1 else 'paths'}",
    ]
    return "; ".join(part for part in parts if part and part != NOTHING)


def ms_in_words(ms: float | None) -> str:
    """ "12.4 ms"."""
    return NOTHING if ms is None else f"{ms:,.{0 if ms >= 100 else 1}f} ms"


def share_in_words(share: float | None) -> str:
    """ "1.25 %"; more digits only where they matter."""
    return NOTHING if share is None else f"{share * 100:.{0 if share in (0, 1) else 1}f} %"


def kbps_in_words(kbps: float | None) -> str:
    """ "861 kbit/s", "1.20 Mbit/s"."""
    if kbps is None:
        return NOTHING
    return f"{kbps:,.0f} kbit/s" if kbps < 1000 else f"{kbps / 1000:,.{2 if kbps < 10_000 else 0}f} Mbit/s"


def _grounds(shown: ShownMap, layout: NetworkLayout) -> dict[str, list[Any]]:
    columns = _empty(("xs", "ys"))
    for link in shown.found.links:
        if (link.begin, link.end) in shown.blamed:
            xs, ys = _curve(link, layout)
            columns["xs"].append(xs)
            columns["ys"].append(ys)
    return columns


def _marks(shown: ShownMap, layout: NetworkLayout) -> dict[str, list[Any]]:
    columns = _empty(_MARK_COLUMNS)
    labels = {node.id: node.text for node in shown.found.nodes}
    for link in shown.found.links:
        if not link.is_bottleneck:
            continue
        xs, ys = _curve(link, layout)
        columns["x"].append(xs[len(xs) // 2])
        columns["y"].append(ys[len(ys) // 2])
        columns["name"].append(f"Bottleneck: {labels[link.begin]} → {labels[link.end]}")
        columns["text"].append(link_in_words(link))
        columns["label"].append(kbps_in_words(link.capacity_kbps))
    return columns


def _curve(link: MapLink, layout: NetworkLayout) -> tuple[list[float], list[float]]:
    """Through the bends of the link, level at each of them."""
    ends = layout.places[link.begin], layout.places[link.end]
    points = [ends[0], *layout.bends[link.begin, link.end], ends[1]]
    xs, ys = [points[0][0]], [-points[0][1]]
    for (x, y), (next_x, next_y) in pairwise(points):
        for at in _CURVE[1:]:
            eased = at * at * (3 - 2 * at)
            xs.append(x + (next_x - x) * at)
            ys.append(-(y + (next_y - y) * eased))
    return xs, ys
