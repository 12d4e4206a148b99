"""The Network page: what agents measured, as a map of all paths, latency over time, a mesh, and the history of one path.

The filter by ISP selects the agents with this tag. The other filters select viewers, whose quality is beside the measurements. The
page's own parameters in the address are `p.colour` (loss, delay or bandwidth) and `p.path` (`AGENT|ADDRESS`).
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bokeh.models import LayoutDOM

from feedback_analysis.measurements.latency_bands import LatencyBand
from feedback_analysis.measurements.path_map import PathMap, names_of, path_map
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.timeline import Timeline
from feedback_wire.kinds import RecordKind
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.network_diagnosis import blamed_parts, verdicts_in_words
from monitor_platform.dashboard.network_queries import (
    NetworkData,
    PathDetails,
    extent_of,
    is_live,
    lengths_of_network,
    network_data,
)
from monitor_platform.dashboard.network_words import (
    MOST_PATHS_LISTED,
    changes_in_words,
    figures_in_words,
    links_in_words,
    mesh,
    path_facts,
    route_in_words,
    route_names,
)
from monitor_platform.views.line_panels import LinePanels, PanelLine, RibbonBlock, ShownPanel
from monitor_platform.views.network_view import COLOURINGS, LinkColouring, NetworkView, ShownMap
from monitor_platform.views.number_format import format_count
from monitor_platform.views.palette import CATEGORIES, GROUND

MOST_NODES = 250
"""More nodes do not fit on a screen."""
MOST_TECHNIQUES = 4


class NetworkPart:
    """The figures of the page, and the data of its script."""

    def __init__(self) -> None:
        self._map = NetworkView()
        self._latency = LinePanels(MOST_TECHNIQUES)
        self._viewers = LinePanels(1)
        self._path = LinePanels(4, ribbon=True)

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        return {
            "network": self._map.figure,
            "network_latency": self._latency.figure,
            "network_viewers": self._viewers.figure,
            "network_path": self._path.figure,
        }

    async def ask(self, context: PageContext) -> Show:
        """The measurements of the time range."""
        records = context.state.records_of(RecordKind.MEASUREMENT)
        known = await extent_of(records, context.query) if records is not None else None
        can_measure = {"can_measure": context.state.can_measure}
        if records is None or known is None:
            return lambda: self._nothing() | can_measure
        data = await network_data(records, context, known)
        lengths = lengths_of_network(known, live=is_live(records))
        return lambda: self._show(data, context.query) | {"lengths": lengths} | can_measure

    def _nothing(self) -> dict[str, Any]:
        self._map.clear()
        for panels in (self._latency, self._viewers, self._path):
            panels.clear()
        return {"known": False}

    def _show(self, data: NetworkData, query: AddressQuery) -> dict[str, Any]:
        colouring = _colouring(query, data)
        found = path_map(data.paths, most_nodes=MOST_NODES)
        chosen = data.details.path.id if data.details is not None else ""
        explicit = frozenset({chosen}) if query.own.get("path") == chosen else frozenset()
        blamed, blamed_nodes = blamed_parts(found, data.diagnosis.diagnosis)
        self._map.show(ShownMap(found=found, colouring=colouring, blamed=blamed, blamed_nodes=blamed_nodes, chosen=explicit))
        lines = _agent_colours(data.bands)
        self._latency.show(data.span, _latency_panels(data.bands, lines))
        self._viewers.show(data.span, [_viewer_panel(data.isps)])
        return {
            "known": True,
            "empty": not data.paths,
            "from": data.span.from_ms,
            "to": data.span.to_ms,
            "diagnosis": verdicts_in_words(data.diagnosis, names_of(data.paths)),
            "numbers": figures_in_words(data),
            "colour": colouring.name,
            "colours": [[each.name, each.title] for each in COLOURINGS.values()],
            "legend": [[colour, text] for _, colour, text in colouring.steps],
            "note": _note(found),
            "links": links_in_words(found, blamed),
            "mesh": mesh(data.paths, colouring, chosen),
            "agents": [[name, colour] for name, colour in lines.items()],
            "isps": [[name, colour] for name, colour in zip(data.isps, CATEGORIES, strict=False)],
            "techniques": _left_out(data.bands),
            "paths": [[path.id, f"{path.agent} → {path.destination}"] for path in data.paths[:MOST_PATHS_LISTED]],
            "path": self._show_path(data) if data.details is not None else None,
        }

    def _show_path(self, data: NetworkData) -> dict[str, Any]:
        details = data.details
        assert details is not None  # noqa: S101 - the caller has checked it
        names = route_names(details.stretches)
        self._path.show(data.span, _path_panels(details), _ribbon(details, names, data.span.to_ms))
        return {
            "key": details.path.id,
            "facts": path_facts(details),
            "changes": changes_in_words(details.stretches, names),
            "viewed": details.viewed is not None,
        }


NETWORK_PAGE = DashboardPage(
    name="network",
    path="/network",
    title="Network",
    template="network.html",
    script=True,
    part=NetworkPart,
    tiles=False,
    stands_alone=True,
    reads_back=True,
)


def _colouring(query: AddressQuery, data: NetworkData) -> LinkColouring:
    """The chosen one; without a choice the loss, or the delay if no PING measured a loss."""
    otherwise = "loss" if any(path.packets_sent for path in data.paths) else "delay"
    return COLOURINGS[wanted if (wanted := query.own.get("colour", "")) in COLOURINGS else otherwise]


def _note(found: PathMap) -> str:
    parts = [format_count(len(found.shown), "path")]
    if found.left_out:
        parts.append(f"the most lossy and slowest of {len(found.shown) + found.left_out:,}")
    if found.untraced:
        parts.append(f"{format_count(found.untraced, 'path')} without a trace not drawn: measure TRACEROUTE")
    return "; ".join(parts)


def _agent_colours(bands: Sequence[LatencyBand]) -> dict[str, str]:
    """The colours of the slowest agents; all others have that of the ground."""
    middle: dict[str, list[float]] = {}
    for band in bands:
        middle.setdefault(band.agent, []).append(median(band.middle_ms))
    slowest = sorted(middle, key=lambda agent: (-max(middle[agent]), agent))
    if len(slowest) <= len(CATEGORIES):
        return dict(zip(sorted(slowest), CATEGORIES, strict=False))
    return dict(zip(slowest, CATEGORIES, strict=False))


def _techniques(bands: Sequence[LatencyBand]) -> list[str]:
    """Those with the most operations first."""
    counts: dict[str, int] = {}
    for band in bands:
        counts[band.technique] = counts.get(band.technique, 0) + sum(band.operations)
    return sorted(counts, key=lambda technique: (-counts[technique], technique))


def _left_out(bands: Sequence[LatencyBand]) -> str:
    others = _techniques(bands)[MOST_TECHNIQUES:]
    return f"not shown: {', '.join(others)}" if others else ""


def _latency_panels(bands: Sequence[LatencyBand], colours: Mapping[str, str]) -> list[ShownPanel]:
    panels = []
    for technique in _techniques(bands)[:MOST_TECHNIQUES]:
        lines = [_latency_line(band, colours.get(band.agent)) for band in bands if band.technique == technique]
        panels.append(ShownPanel(title=technique, unit="ms", lines=sorted(lines, key=lambda line: not line.quiet)))
    return panels


def _latency_line(band: LatencyBand, colour: str | None) -> PanelLine:
    """With a band only if it has a colour of its own: bands of one colour look like one band."""
    return PanelLine(
        name=band.agent,
        colour=colour or GROUND,
        at_ms=band.at_ms,
        values=band.middle_ms,
        low=band.low_ms if colour else (),
        high=band.high_ms if colour else (),
        quiet=colour is None,
    )


def _viewer_panel(isps: Mapping[str, Timeline]) -> ShownPanel:
    lines = [
        PanelLine(name=name, colour=colour, at_ms=series.at_ms, values=series.values["mos"])
        for (name, series), colour in zip(isps.items(), CATEGORIES, strict=False)
    ]
    return ShownPanel(title="MOS of viewers", lines=lines, digits=2, ends=(1.0, 5.0))


def _path_panels(details: PathDetails) -> list[ShownPanel]:
    colour = CATEGORIES[0]
    delays = [band for band in details.bands if band.technique == "PING"] or list(details.bands[:1])
    title = f"Delay, {delays[0].technique}: median and p10 to p90" if delays else "Delay"
    panels = [ShownPanel(title=title, unit="ms", lines=[_latency_line(band, colour) for band in delays])]
    shares = [share * 100 for share in details.loss.loss]
    lost = PanelLine(name="lost", colour=CATEGORIES[1], at_ms=details.loss.at_ms, values=shares)
    panels.append(ShownPanel(title="Packets lost", unit="%", lines=[lost]))
    if details.viewed is not None:
        who = ", ".join(details.viewers.values())
        for name, unit, factor, at in (("rebuffering_ratio", "%", 100.0, 3), ("mos", "", 1.0, 2)):
            values = [None if value is None else value * factor for value in details.viewed.values[name]]
            line = PanelLine(name=who, colour=CATEGORIES[at], at_ms=details.viewed.at_ms, values=values)
            ends = (1.0, 5.0) if name == "mos" else None
            title = f"{MEASURES[name].title} of viewers at {who}"
            panels.append(ShownPanel(title=title, unit=unit, lines=[line], digits=2, ends=ends))
    return panels


def _ribbon(details: PathDetails, names: Sequence[str], end_ms: int) -> list[RibbonBlock]:
    """Each route lasts until the next one begins."""
    ends = [*(stretch.from_ms for stretch in details.stretches[1:]), end_ms]
    order = list(dict.fromkeys(names))
    return [
        RibbonBlock(
            from_ms=stretch.from_ms,
            to_ms=max(end, stretch.from_ms),
            name=name,
            text=f"{route_in_words(stretch.route)} ({format_count(stretch.traces, 'trace')})",
            colour=("#2166b0", "#b2470c", "#5b4a9c", "#3f7d5a")[order.index(name) % 4],
        )
        for stretch, name, end in zip(details.stretches, names, ends, strict=True)
    ]
