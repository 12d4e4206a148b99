"""The Swarm page: the tree of the streaming overlay at the end of the time range, and the failures in the time range.

The tree is that of the stream in the filter by channel, or of the largest stream. Other filters fade the nodes that they do not
select; without these nodes there would be no tree. The page's own parameters in the address are `p.find` (part of a name),
`p.depth` (groups below this depth), `p.open` and `p.closed` (nodes whose children are never, or always, in a group), and `p.sort`
and `p.order` of the table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from urllib.parse import unquote

from bokeh.models import LayoutDOM

from feedback_analysis.measures.registry import MEASURES, Kind, Measure
from feedback_analysis.messages.swarm import Swarm, swarm
from feedback_analysis.messages.swarm_tree import Failure, Outage, SwarmNode
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.shared_answers import SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot, span_of
from monitor_platform.dashboard.tables import Cell, Table
from monitor_platform.views.number_format import NOTHING, format_count, format_value
from monitor_platform.views.swarm_layout import layout_of
from monitor_platform.views.swarm_view import LOSS_STEPS, ShownSwarm, SwarmView

MOST_ROWS = 400
MOST_OUTAGES = 30
MOST_NAMED = 12
LONGEST_TEXT = 200

LOST, UNSTEADY = 0.001, 0.99
"""A viewer has a problem if more than this share of its packets is lost after repair, or if its continuity is lower than this."""

_SHARE = Measure(name="share", title="Share", kind=Kind.MEAN, unit="%", digits=2)
_RATIO = Measure(name="ratio", title="Ratio", kind=Kind.MEAN, digits=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table: its heading, its value of a node, and the measure that formats numbers."""

    name: str
    title: str
    value: Callable[["SwarmNode", "Failure | None"], Cell]
    measure: Measure | None = None


def _reported(field: str) -> Callable[[SwarmNode, Failure | None], Cell]:
    def value(node: SwarmNode, _failure: Failure | None) -> Cell:
        return None if node.report is None else getattr(node.report, field)

    return value


COLUMNS = (
    Column(name="name", title="Node", value=lambda node, _: node.name),
    Column(name="problem", title="Problem", value=lambda node, _: ", ".join(problems(node))),
    Column(name="role", title="Role", value=lambda node, _: node.role),
    Column(name="parent", title="Fed by", value=lambda node, _: node.parent or ""),
    Column(name="second", title="Second parent", value=_reported("second_parent")),
    Column(name="depth", title="Depth", value=lambda node, _: node.depth),
    Column(name="children", title="Feeds", value=lambda node, _: len(node.children)),
    Column(name="down", title="Download", value=_reported("download_kbps"), measure=MEASURES["download_kbps"]),
    Column(name="up", title="Upload", value=_reported("upload_kbps"), measure=MEASURES["upload_kbps"]),
    Column(name="copies", title="Copies", value=lambda node, _: node.copies, measure=_RATIO),
    Column(name="lost", title="Lost before repair", value=_reported("loss_before_repair"), measure=_SHARE),
    Column(name="missing", title="Lost after repair", value=_reported("loss_after_repair"), measure=_SHARE),
    Column(name="continuity", title="Continuity", value=_reported("continuity"), measure=MEASURES["continuity"]),
    Column(name="stalls", title="Stalls", value=_reported("stall_count")),
    Column(name="buffer", title="Buffer", value=_reported("buffer_ms"), measure=MEASURES["buffer_ms"]),
    Column(name="queued", title="Queued bytes", value=_reported("queued_bytes")),
    Column(name="skips", title="Packets skipped", value=_reported("skipped_packets")),
    Column(name="streams", title="Streams missing", value=_reported("missing_streams")),
    Column(name="gap", title="Latest gap (ms)", value=lambda _, failure: None if failure is None else failure.gap_ms),
)
TEXTS = frozenset({"name", "problem", "role", "parent", "second"})
SORTS = {column.name: column for column in COLUMNS}


def problems(node: SwarmNode) -> list[str]:
    """What is wrong with a node, the worst first."""
    found = {"waiting": ["no parent"], "failed": ["failed"], "silent": ["silent"], "unknown": ["does not report"]}.get(
        node.state, []
    )
    report = node.report
    if report is None or node.state in ("failed", "silent"):
        return found
    if report.missing_streams:
        found = [*found, f"{format_count(report.missing_streams, 'elementary stream')} missing"]
    if report.skipped_per_minute:
        found = [*found, f"{format_count(report.skipped_per_minute, 'packet')} skipped in the last minute"]
    if report.continuity is not None and report.continuity < UNSTEADY:
        found = [*found, f"continuity {report.continuity:.3f}"]
    if (report.loss_after_repair or 0) > LOST:
        found = [*found, f"{(report.loss_after_repair or 0) * 100:.2f} % of packets lost"]
    return found


async def swarm_of(answers: SharedAnswers, snapshot: Snapshot, query: AddressQuery) -> Swarm | None:
    """The swarm that the page shows. Without a replay, a recording that ends with the swarm shows its last full moment."""
    span = span_of(query, snapshot)
    exactly = query.clock_ms is not None or (snapshot.live and query.span is None)
    where = {name: value for name, value in query.where(span).items() if name != "channel"}
    return await answers.ask(
        snapshot.moment, swarm, span=span, period_s=snapshot.period_s, stream=query.channel, where=where, exactly=exactly
    )


def as_table(query: AddressQuery, found: Swarm | None) -> Table:
    """All nodes that the filters select, for a CSV."""
    columns = tuple((column.title, column.measure) for column in COLUMNS)
    if found is None:
        return Table(columns=columns, rows=[], filters=[])
    failures = latest_failures(found)
    nodes = _sorted(query, _listed(query, found), failures)
    rows = [tuple(column.value(node, failures.get(node.name)) for column in COLUMNS) for node in nodes]
    return Table(columns=columns, rows=rows, filters=[None] * len(rows))


def latest_failures(found: Swarm) -> dict[str, Failure]:
    """The latest failure of each node's parent in the time range."""
    latest: dict[str, Failure] = {}
    for each in found.failures:
        if each.peer_id not in latest or latest[each.peer_id].at_ms < each.at_ms:
            latest[each.peer_id] = each
    return latest


class SwarmPart:
    """The figure, the failures, and the table."""

    def __init__(self) -> None:
        self._view = SwarmView()

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        return {"swarm": self._view.figure}

    async def ask(self, context: PageContext) -> Show:
        """The swarm at the end of the time range."""
        snapshot, query = context.snapshot, context.query
        if snapshot is None:
            return dict
        found = await swarm_of(context.answers, snapshot, query)
        if found is None:
            return self._none
        end_ms = span_of(query, snapshot).to_ms
        return lambda: self._show(found, query, end_ms)

    def _none(self) -> dict[str, Any]:
        self._view.clear()
        return {"known": False}

    def _show(self, found: Swarm, query: AddressQuery, end_ms: int) -> dict[str, Any]:
        nodes = {node.name: node for node in found.nodes}
        failures, own = latest_failures(found), query.own
        find = own.get("find", "")[:LONGEST_TEXT]
        troubled = sorted((name for name in nodes if problems(nodes[name])), key=lambda name: _severity(nodes[name]))
        opened, closed = _names(own.get("open", "")), _names(own.get("closed", ""))
        layout = layout_of(
            found.nodes,
            troubled=[*troubled, *(name for name in failures if name in nodes and name not in troubled)],
            opened=opened,
            closed=closed,
            deepest=_number(own.get("depth", "")),
        )
        searched = frozenset(name for name in nodes if find and find.lower() in name.lower())
        self._view.show(
            ShownSwarm(
                nodes=nodes,
                layout=layout,
                texts={name: _in_words(node) for name, node in nodes.items()},
                details={name: _detail(node) for name, node in nodes.items()},
                troubled=frozenset(troubled),
                chosen=found.chosen,
                failures={name: each for name, each in failures.items() if name in nodes},
                found=searched,
            )
        )
        grouped = {spot.parent: len(spot.members) for spot in layout.spots if spot.is_group}
        return {
            "known": True,
            "stream": found.stream,
            "streams": [*found.streams.items()],
            "at": found.at_ms,
            "moved": found.at_ms != end_ms,
            "numbers": key_figures(found),
            "loss": [[colour, text] for _, colour, text in LOSS_STEPS],
            "outages": [_outage(each, nodes) for each in found.outages[:MOST_OUTAGES]],
            "more_outages": max(0, len(found.outages) - MOST_OUTAGES),
            "depth": own.get("depth", ""),
            "depths": list(range(1, max((node.depth for node in found.nodes), default=0))),
            "grouped": [name for name in grouped if name is not None],
        } | self._rows(found, query, failures, find)

    def _rows(self, found: Swarm, query: AddressQuery, failures: Mapping[str, Failure], find: str) -> dict[str, Any]:
        nodes = _sorted(query, _listed(query, found), failures)
        sort, reverse = _order(query)
        return {
            "find": find,
            "head": [[column.name, column.title, column.name in TEXTS] for column in COLUMNS],
            "sort": sort,
            "reverse": reverse,
            "rows": [
                {
                    "name": node.name,
                    "session": node.report.session_id if node.report is not None else "",
                    "feeds": len(node.children),
                    "problem": bool(problems(node)),
                    "cells": [_cell(column, node, failures.get(node.name)) for column in COLUMNS[1:]],
                }
                for node in nodes[:MOST_ROWS]
            ],
            "rows_of": len(nodes),
        }


SWARM_PAGE = DashboardPage(
    name="swarm",
    path="/swarm",
    title="Swarm",
    template="swarm.html",
    script=True,
    part=SwarmPart,
    tiles=False,
    needs="extra.parent",
)


def _severity(node: SwarmNode) -> tuple[bool, bool, float, str]:
    """Viewers first, then nodes without the stream, then by continuity."""
    report = node.report
    continuity = report.continuity if report is not None and report.continuity is not None else 1.0
    return not node.is_viewer, node.state == "here", continuity, node.name


def _listed(query: AddressQuery, found: Swarm) -> list[SwarmNode]:
    find = query.own.get("find", "")[:LONGEST_TEXT].lower()
    return [node for node in found.nodes if node.name in found.chosen and find in node.name.lower()]


def _order(query: AddressQuery) -> tuple[str, bool]:
    sort = query.own.get("sort", "")
    return sort if sort in SORTS else "", query.own.get("order") == "reverse"


def _sorted(query: AddressQuery, nodes: Sequence[SwarmNode], failures: Mapping[str, Failure]) -> list[SwarmNode]:
    """By a column, the largest number or the first text first; without one, nodes with a problem first, then in tree order."""
    sort, reverse = _order(query)
    if not sort:
        return sorted(nodes, key=lambda node: not problems(node))
    known = [(SORTS[sort].value(node, failures.get(node.name)), node) for node in nodes]
    if sort in TEXTS:
        return [node for _, node in sorted(known, key=lambda pair: (not pair[0], str(pair[0])), reverse=reverse)]
    numbers = [(float(value), node) for value, node in known if value is not None]
    ordered = sorted(numbers, key=lambda pair: pair[0], reverse=not reverse)
    return [node for _, node in ordered] + [node for value, node in known if value is None]


def _cell(column: Column, node: SwarmNode, failure: Failure | None) -> str:
    value = column.value(node, failure)
    if isinstance(value, str):
        return value
    if column.measure is not None:
        return format_value(column.measure, value)
    if value is None:
        return "" if column.name in TEXTS else NOTHING
    return f"{value:,.0f}"


def _names(text: str) -> frozenset[str]:
    return frozenset(unquote(part) for part in text.split(",") if part)


def _number(text: str) -> int | None:
    return int(text[:4]) if text.isascii() and text.isdecimal() else None


def _detail(node: SwarmNode) -> str:
    """What stands beside the name of a leaf if there is room."""
    if found := problems(node):
        return found[0]
    report = node.report
    return "" if report is None or report.download_kbps is None else format_value(MEASURES["download_kbps"], report.download_kbps)


def _in_words(node: SwarmNode) -> str:
    parts = [node.role if node.parent is None else f"{node.role}, fed by {node.parent}, depth {node.depth}"]
    if node.children:
        parts[0] += f", feeds {len(node.children):,}"
    report = node.report
    if report is not None:
        rates = [(report.download_kbps, "in"), (report.upload_kbps, "out")]
        parts += [", ".join(f"{format_value(MEASURES['download_kbps'], rate)} {way}" for rate, way in rates if rate is not None)]
        if report.buffer_ms is not None:
            parts.append(f"buffer {report.buffer_ms / 1000:.1f} s, {report.skipped_packets or 0:,.0f} packets skipped")
    return "\n".join([*(part for part in parts if part), *problems(node)])


def key_figures(found: Swarm) -> list[list[Any]]:
    """Key figures: title, value, and whether the value is a problem."""
    present = [node for node in found.nodes if node.state in ("here", "waiting", "silent")]
    depths = sorted(node.depth for node in present if node.is_viewer)
    gaps = sorted(gap for each in found.outages for gap in each.gaps_ms)
    wrong = sum(bool(problems(node)) for node in found.nodes if node.is_viewer)
    gone = [node.name for node in found.nodes if node.state == "failed"]
    return [
        ["Players", _reporting(present, "player"), False],
        ["Relays", _reporting(present, "relay"), False],
        *([["Relays without a stream", _first_names(found.idle), False]] if found.idle else []),
        ["Depth of players", f"{median(depths):.0f}, at most {depths[-1]}" if depths else NOTHING, False],
        ["Players with a problem", f"{wrong:,}", wrong > 0],
        ["Failed nodes", _first_names(gone) or "none", bool(gone)],
        ["Failed parents", f"{len(found.failures):,}", False],
        ["Gap, median and longest", f"{median(gaps):,.0f} ms, {gaps[-1]:,.0f} ms" if gaps else NOTHING, False],
    ]


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _reporting(present: Sequence[SwarmNode], role: str) -> str:
    """The number of nodes with this role, and how many of them report if some are silent."""
    silent = [node.state == "silent" for node in present if node.role == role]
    return f"{len(silent) - sum(silent):,} of {len(silent):,} report" if any(silent) else f"{len(silent):,}"


def _outage(outage: Outage, nodes: Mapping[str, SwarmNode]) -> dict[str, Any]:
    """An outage in words, with the nodes that it hit."""
    gaps, latest = outage.gaps_ms, {each.peer_id: each for each in outage.failures}
    lost, stalls = (sum(getattr(each, name) for each in outage.failures) for name in ("lost", "stalls"))
    waiting = [name for name in latest if name in nodes and nodes[name].state == "waiting"]
    seen = f"{format_count(lost, 'packet')} lost, {format_count(stalls, 'stall')}" if lost or stalls else "no viewer saw it"
    parts = [f"{format_count(len(latest), 'node')} moved"]
    if len(gaps) == 1:
        parts.append(f"gap {gaps[0]:,.0f} ms")
    elif gaps:
        parts.append(f"gap {median(gaps):,.0f} ms (median), {gaps[-1]:,.0f} ms (longest)")
    parts.append(seen)
    if waiting:
        parts.append(f"{len(waiting)} without a parent now")
    back = outage.failed in nodes and nodes[outage.failed or ""].state in ("here", "waiting")
    moved = [
        [each.peer_id, each.session_id, each.parent or "no parent", NOTHING if each.gap_ms is None else f"{each.gap_ms:,.0f} ms"]
        for each in sorted(latest.values(), key=lambda one: -(one.gap_ms or 0))
    ]
    return {
        "at": outage.at_ms,
        "failed": outage.failed or "an unknown parent",
        "back": back,
        "text": ", ".join(parts),
        "wrong": bool(lost or stalls or waiting),
        "moved": moved[:MOST_NAMED],
        "more": max(0, len(moved) - MOST_NAMED),
    }
