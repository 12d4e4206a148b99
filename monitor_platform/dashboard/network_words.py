"""The Network page in words: the key figures, the mesh of agents and destinations, the links, and the facts of one path."""

from collections.abc import Mapping, Sequence
from typing import Any

from feedback_analysis.measurements.path_map import MapLink, MeasuredPath, PathMap
from feedback_analysis.measurements.traced_route import RouteStretch, TracedRoute
from monitor_platform.dashboard.network_queries import NetworkData, PathDetails
from monitor_platform.dashboard.page_states import Facts
from monitor_platform.dashboard.tables import Table
from monitor_platform.views.network_view import LinkColouring, kbps_in_words, ms_in_words, share_in_words
from monitor_platform.views.number_format import NOTHING, format_count

MOST_AGENTS, MOST_DESTINATIONS = 60, 60
"""More rows and columns of the mesh cannot be read; the CSV has all paths."""
MOST_LINKS = 400
MOST_PATHS_LISTED = 1_000

ANSWERED = ("ok", "partial")


def figures_in_words(data: NetworkData) -> list[list[Any]]:
    """Title, value, and whether it is a problem."""
    operations = sum(path.operations for path in data.paths)
    ended: dict[str, int] = {}
    for path in data.paths:
        for status, count in path.statuses.items():
            ended[status] = ended.get(status, 0) + count
    answered = sum(ended.get(status, 0) for status in ANSWERED)
    lost, sent = (sum(getattr(path, name) for path in data.paths) for name in ("packets_lost", "packets_sent"))
    changes = sum(len(path.routes) > 1 for path in data.paths)
    others = ", ".join(f"{count:,} {status}" for status, count in sorted(ended.items()) if status not in ANSWERED)
    return [
        ["Agents", f"{len({path.agent for path in data.paths}):,}", False],
        ["Destinations", f"{len({path.address for path in data.paths}):,}", False],
        ["Operations", f"{operations:,}", False],
        ["Measured", share_in_words(answered / operations if operations else None), answered < operations],
        *([["Not measured", others, True]] if others else []),
        ["Packets lost (PING)", share_in_words(lost / sent if sent else None), bool(sent) and lost / sent >= 0.02],
        ["Paths with another route than before", f"{changes:,}", changes > 0],
    ]


def mesh(paths: Sequence[MeasuredPath], colouring: LinkColouring, chosen: str) -> Facts:
    """The matrix: a row for each agent, a column for each destination, and a cell for each path that was measured."""
    agents = sorted({path.agent for path in paths})
    destinations = dict(sorted({path.address: path.destination for path in paths}.items(), key=lambda each: each[::-1]))
    columns = list(destinations)[:MOST_DESTINATIONS]
    cells = {(path.agent, path.address): path for path in paths}
    return {
        "head": [[destinations[address], address] for address in columns],
        "rows": [
            [agent, [_cell(cells.get((agent, address)), colouring, chosen) for address in columns]]
            for agent in agents[:MOST_AGENTS]
        ],
        "more": max(0, len(agents) - MOST_AGENTS) + max(0, len(destinations) - MOST_DESTINATIONS),
    }


def _cell(path: MeasuredPath | None, colouring: LinkColouring, chosen: str) -> Facts | None:
    if path is None:
        return None
    value = value_of(path, colouring)
    colour = next((colour for limit, colour, _ in colouring.steps if value < limit), "") if value is not None else ""
    return {
        "key": path.id,
        "text": value_in_words(path, colouring) if value is not None else path.last_status.replace("_", " "),
        "colour": colour,
        "title": path_in_words(path),
        "chosen": path.id == chosen,
        "failed": value is None,
    }


def value_of(path: MeasuredPath, colouring: LinkColouring) -> float | None:
    """The value of a whole path that a colouring shows."""
    values = {"loss": path.loss, "delay": path.delay_ms, "bandwidth": path.bottleneck_kbps or path.capacity_kbps}
    return values[colouring.name]


def value_in_words(path: MeasuredPath, colouring: LinkColouring) -> str:
    """The value with its unit."""
    value = value_of(path, colouring)
    return {"loss": share_in_words, "delay": ms_in_words, "bandwidth": kbps_in_words}[colouring.name](value)


def path_in_words(path: MeasuredPath) -> str:
    """What was measured on a path, in one line."""
    parts = [f"{path.agent} to {path.destination}: {format_count(path.operations, 'operation')}"]
    if path.delay_ms is not None:
        low, high = ms_in_words(path.delay_low_ms), ms_in_words(path.delay_high_ms)
        parts.append(f"delay {ms_in_words(path.delay_ms)} (p10 to p90: {low} to {high})")
    if path.loss is not None:
        parts.append(f"{share_in_words(path.loss)} of {path.packets_sent:,.0f} packets lost")
    if path.capacity_kbps is not None:
        parts.append(f"bandwidth {kbps_in_words(path.capacity_kbps)}")
    return ", ".join(parts)


def links_in_words(found: PathMap, blamed: Mapping[tuple[str, str], str]) -> list[Facts]:
    """The links of the map as rows, those that are blamed and the most lossy first."""
    labels = {node.id: node.text for node in found.nodes}

    def order(link: MapLink) -> tuple[bool, float, float]:
        return (link.begin, link.end) not in blamed, -(link.loss or 0.0), -(link.delay_ms or 0.0)

    return [
        {
            "name": f"{labels[link.begin]} → {labels[link.end]}",
            "problem": blamed.get((link.begin, link.end), "bottleneck" if link.is_bottleneck else ""),
            "cells": [
                ms_in_words(link.delay_ms),
                share_in_words(link.loss) if link.loss is None else f"≤ {share_in_words(link.loss)}",
                NOTHING
                if link.capacity_kbps is None
                else f"{'≤' if link.is_bottleneck else '≥'} {kbps_in_words(link.capacity_kbps)}",
                f"{len(link.paths):,}",
            ],
        }
        for link in sorted(found.links, key=order)[:MOST_LINKS]
    ]


def path_facts(details: PathDetails) -> list[list[str]]:
    """The facts at the side of a path's history."""
    path = details.path
    statuses = ", ".join(f"{count:,} {status.replace('_', ' ')}" for status, count in sorted(path.statuses.items()))
    statuses = "all ok" if set(path.statuses) == {"ok"} else statuses
    viewers = ", ".join(details.viewers.values())
    return [
        ["Agent", path.agent + (f" ({path.agent_address})" if path.agent_address else "")],
        ["Destination", path.destination + (f" ({path.address})" if path.address != path.destination else "")],
        ["Operations", f"{path.operations:,}: {statuses}"],
        ["Delay, median", f"{ms_in_words(path.delay_ms)} (p10 to p90: {_range(path)})" if path.delay_ms is not None else NOTHING],
        ["Packets lost", share_in_words(path.loss)],
        ["Bandwidth", kbps_in_words(path.capacity_kbps)],
        ["Routes", f"{len(details.stretches):,} in this time range" if details.stretches else "not traced"],
        ["Viewers beside it", viewers or "none: the agent has no tag isp, area, district or country"],
    ]


def _range(path: MeasuredPath) -> str:
    return f"{ms_in_words(path.delay_low_ms)} to {ms_in_words(path.delay_high_ms)}"


def route_in_words(route: TracedRoute) -> str:
    """ "10.0.0.1 → silent → 10.0.0.3"."""
    names = [router or "silent" for router in route.routers] or ["no router"]
    return " → ".join([*names, *([] if route.reached else ["not traced further"])])


def changes_in_words(stretches: Sequence[RouteStretch], names: Sequence[str]) -> list[Facts]:
    """Each change of the route: when, and what is new. The first entry is the first route."""
    found: list[Facts] = []
    for at, (stretch, name) in enumerate(zip(stretches, names, strict=True)):
        text = f"{name}: {route_in_words(stretch.route)}"
        if at:
            before, now = (set(filter(None, each.route.routers)) for each in (stretches[at - 1], stretch))
            new, gone = (", ".join(sorted(each)) for each in (now - before, before - now))
            text = f"{name}: {new or 'no new router'} instead of {gone or 'none'}"
        found.append({"at": stretch.from_ms, "text": text, "traces": stretch.traces, "changed": at > 0})
    return found


def route_names(stretches: Sequence[RouteStretch]) -> list[str]:
    """ "Route A", "Route B": the same name for a route that returns."""
    known: list[TracedRoute] = []
    names = []
    for stretch in stretches:
        at = next((at for at, route in enumerate(known) if route.agrees(stretch.route)), None)
        if at is None:
            known.append(stretch.route)
            at = len(known) - 1
        names.append(f"Route {chr(65 + at)}" if at < 26 else f"Route {at + 1}")
    return names


def as_network_table(paths: Sequence[MeasuredPath]) -> Table:
    """All paths, for a CSV."""
    titles = (
        *("Agent", "Destination", "Address", "Operations", "Measured", "Delay p10 (ms)", "Delay p50 (ms)", "Delay p90 (ms)"),
        *("Packets", "Packets lost", "Bandwidth (kbit/s)", "Routes", "Latest route"),
    )
    rows: list[tuple[str | float | None, ...]] = [
        (
            path.agent,
            path.destination,
            path.address,
            path.operations,
            sum(path.statuses.get(status, 0) for status in ANSWERED),
            path.delay_low_ms,
            path.delay_ms,
            path.delay_high_ms,
            path.packets_sent,
            path.packets_lost,
            path.capacity_kbps,
            len(path.routes),
            route_in_words(path.routes[0].route) if path.routes else "",
        )
        for path in paths
    ]
    return Table(columns=tuple((title, None) for title in titles), rows=rows, filters=[None] * len(rows))
