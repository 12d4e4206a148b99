"""The distribution tree of a stream at one moment, and failures of parents. Reports of overlay nodes in, nodes of the tree out.

Nodes of the overlay report as end hosts (docs/overlay-reports.md). Any end host can send such a report, so any reports give a
tree: a parent may be unknown, and parents may form a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

Role = Literal["source", "relay", "player"]
ROLES: tuple[Role, ...] = ("source", "relay", "player")

State = Literal["here", "waiting", "failed", "silent", "unknown"]
"""`waiting`: it reports, and has no parent. `failed`: a child left it, and it has not reported since. `silent`: it has not
reported for two periods. `unknown`: others name it as a parent, and it does not report."""

SILENT_PERIODS = 2.0
PATH_SEPARATOR = " > "


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """One report of an overlay node, received at `at_ms` (Unix ms). Rates in kbit/s; what the node did not send is None.

    `channel` is the stream; None for a node that carries several streams or none yet. `path`: from the source to the node.
    """

    at_ms: int
    peer_id: str
    session_id: str
    left: bool = False
    channel: str | None = None
    role: str = "player"
    parent: str | None = None
    second_parent: str | None = None
    path: tuple[str, ...] = ()
    upload_kbps: float | None = None
    download_kbps: float | None = None
    continuity: float | None = None
    startup_ms: float | None = None
    stall_count: float | None = None
    buffer_ms: float | None = None
    loss_before_repair: float | None = None
    loss_after_repair: float | None = None
    missed_packets: float | None = None
    skipped_packets: float | None = None
    skipped_per_minute: float | None = None
    queued_bytes: float | None = None
    missing_streams: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The parent `failed` of `peer_id` failed `count` times. `at_ms`: when the report about it was received.

    `gap_ms`: the time without packets, of the latest failure. `lost` and `stalls`: packets that were not played, and stalls, since
    the previous report. `parent`: the new parent; None if the node has none yet.
    """

    at_ms: int
    peer_id: str
    session_id: str
    role: str
    channel: str | None
    failed: str | None
    parent: str | None
    count: int
    gap_ms: float | None
    lost: int
    stalls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """The failures that the children of one node report within a short time; the first one was reported at `at_ms` (Unix ms)."""

    failed: str | None
    at_ms: int
    failures: tuple[Failure, ...]

    @property
    def gaps_ms(self) -> list[float]:
        return sorted(each.gap_ms for each in self.failures if each.gap_ms is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmNode:
    """A node of the tree. `depth`: links from the root of its branch. `report`: its latest one; None if it does not report.

    `copies`: how many copies of the stream arrive over the link from the parent: its download rate, divided by the median of all.
    """

    name: str
    role: str
    state: State
    parent: str | None
    depth: int
    children: tuple[str, ...]
    report: NodeReport | None
    copies: float | None = None

    @property
    def is_viewer(self) -> bool:
        return self.role == "player"


def tree_at(
    reports: Iterable[NodeReport], *, at_ms: int, period_s: float, stream: str, failures: Sequence[Failure] = ()
) -> tuple[SwarmNode, ...]:
    """The nodes of `stream` at `at_ms`, each after its parent: the sources first, then nodes that no known parent feeds.

    `reports`: the latest report of each node in each stream. Nodes that have left are not in the tree.
    """
    silent_ms = SILENT_PERIODS * period_s * 1000
    latest = _of_stream(reports, stream)
    here = {name for name, each in latest.items() if at_ms - each.at_ms <= silent_ms}
    parents = _parents(latest, here)
    names = {*latest} | {parent for parent in parents.values() if parent is not None}
    children: dict[str, list[str]] = {name: [] for name in names}
    for name, parent in parents.items():
        if parent is not None:
            children[parent].append(name)
    failed_ms = _failed_ms(failures)
    copies = _copies(latest, here)
    nodes = []
    for name, parent, depth in _walk(names, parents, children, latest):
        report = latest.get(name)
        nodes.append(
            SwarmNode(
                name=name,
                role="relay" if report is None else report.role,
                state=_state(name, report, parent, here, failed_ms),
                parent=parent,
                depth=depth,
                children=tuple(sorted(children[name])),
                report=report,
                copies=copies.get(name),
            )
        )
    return tuple(nodes)


def idle_relays(reports: Sequence[NodeReport], *, at_ms: int, period_s: float) -> tuple[str, ...]:
    """The relays that report at `at_ms`, but are in the tree of no stream."""
    carrying = {name for each in reports for name in (*each.path, each.parent, each.second_parent)}
    carrying |= {each.peer_id for each in reports if each.channel is not None and not each.left}
    recent_ms = at_ms - SILENT_PERIODS * period_s * 1000
    here = {each.peer_id for each in reports if each.role == "relay" and not each.left and each.at_ms >= recent_ms}
    return tuple(sorted(here - carrying))


def streams_of(reports: Iterable[NodeReport]) -> dict[str, int]:
    """The streams, with the number of nodes that report each; the largest first."""
    counts: dict[str, int] = {}
    for each in reports:
        if each.channel is not None and not each.left:
            counts[each.channel] = counts.get(each.channel, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def outages(failures: Iterable[Failure], *, within_ms: float) -> tuple[Outage, ...]:
    """The failures of one parent whose reports are at most `within_ms` apart, together; the latest outage first."""
    found: list[Outage] = []
    open_ones: dict[str | None, int] = {}
    for each in sorted(failures, key=lambda one: (one.at_ms, one.peer_id)):
        at = open_ones.get(each.failed)
        if at is not None and each.at_ms - found[at].failures[-1].at_ms <= within_ms:
            found[at] = replace(found[at], failures=(*found[at].failures, each))
        else:
            open_ones[each.failed] = len(found)
            found.append(Outage(failed=each.failed, at_ms=each.at_ms, failures=(each,)))
    return tuple(sorted(found, key=lambda one: -one.at_ms))


def _of_stream(reports: Iterable[NodeReport], stream: str) -> dict[str, NodeReport]:
    """The latest report of each node of `stream`. A node without a stream belongs to it if a player's path names the node."""
    every = sorted(reports, key=lambda each: each.at_ms)
    latest = {each.peer_id: each for each in every if each.channel == stream}
    on_paths = {name for each in latest.values() for name in each.path} | {each.parent for each in latest.values()}
    for each in every:
        known = latest.get(each.peer_id)
        if each.channel is None and each.peer_id in on_paths and (known is None or known.at_ms < each.at_ms):
            latest[each.peer_id] = each
    return {name: each for name, each in latest.items() if not each.left}


def _parents(latest: Mapping[str, NodeReport], here: set[str]) -> dict[str, str | None]:
    """The parent of each node: the one that it reports, or the one in the newest path that names the node.

    A node with two parents that has lost the first one is fed by the second.
    """
    found: dict[str, str | None] = {}
    for each in sorted(latest.values(), key=lambda report: report.at_ms):
        if each.peer_id in here:
            found |= dict(zip(each.path[1:], each.path, strict=False))
    for name, each in latest.items():
        if each.role == "source":
            found[name] = None
        elif each.parent is not None:
            reported = each.parent or each.second_parent
            found[name] = reported if reported != name else None
        else:
            found.setdefault(name, None)
    return found


def _walk(
    names: set[str], parents: Mapping[str, str | None], children: Mapping[str, list[str]], latest: Mapping[str, NodeReport]
) -> Iterable[tuple[str, str | None, int]]:
    """Each node once with its parent and depth. A circle of parents is cut at its first name."""

    def rank(name: str) -> tuple[bool, str]:
        return name not in latest or latest[name].role != "source", name

    seen: set[str] = set()
    roots = sorted((name for name in names if parents.get(name) is None), key=rank)
    for root in (*roots, *sorted(names)):
        waiting: list[tuple[str, str | None, int]] = [(root, None, 0)]
        while waiting:
            name, parent, depth = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            yield name, parent, depth
            waiting += [(child, name, depth + 1) for child in sorted(children[name], reverse=True) if child not in seen]


def _failed_ms(failures: Iterable[Failure]) -> dict[str, int]:
    """When the latest failure of each node was reported."""
    found: dict[str, int] = {}
    for each in failures:
        if each.failed is not None:
            found[each.failed] = max(each.at_ms, found.get(each.failed, 0))
    return found


def _state(name: str, report: NodeReport | None, parent: str | None, here: set[str], failed_ms: Mapping[str, int]) -> State:
    if report is None:
        return "failed" if name in failed_ms else "unknown"
    if report.at_ms < failed_ms.get(name, 0):
        return "failed"
    if name not in here:
        return "silent"
    return "waiting" if parent is None and report.role != "source" else "here"


def _copies(latest: Mapping[str, NodeReport], here: set[str]) -> dict[str, float]:
    rates = {name: rate for name in here if (rate := latest[name].download_kbps) and latest[name].role != "source"}
    usual = median(rates.values()) if rates else 0.0
    return {name: rate / usual for name, rate in rates.items()} if usual else {}
