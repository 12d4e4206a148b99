"""Data health: delay, losses by name, and the feedback servers that answer."""

from typing import Any

from feedback_analysis.measures.selection import OTHER
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.page_data import PageData
from monitor_platform.dashboard.pill import ahead
from monitor_platform.views.number_format import format_count, format_share


def losses_text(data: PageData) -> str:
    """The records that the figures do not include, by name; empty if nothing is missing."""
    losses = {
        "removed": (data.missing.duplicates, "duplicate"),
        "left out": (data.missing.conflicts, "conflicting record"),
        "unreadable": (data.missing.unreadable, "record"),
        "lost": (data.missing.lost, "message"),
        "late": (data.missing.late, "message"),
        "implausible": (data.missing.implausible, "missing number"),
        "in files": (data.damages, "damaged place"),
        "not read": (data.missing.unread_logs, "log"),
    }
    return " · ".join(f"{format_count(n, one)} {fate}" for fate, (n, one) in losses.items() if n)


def health(state: DashboardState, data: PageData | None) -> dict[str, Any]:
    """The figures of the data health card, and the text of the dot in the header."""
    figures = [
        *_delay(state),
        *_beyond_bounds(state),
        *(_losses(data) if data is not None else _known_losses(state)),
        *_servers(state),
        *_other_kinds(state),
    ]
    wrong = [f"{each['title']}: {each['value']}" for each in figures if each["wrong"]]
    return {"figures": figures, "wrong": bool(wrong), "text": "; ".join(wrong) or "No losses are known"}


def _figure(title: str, value: str, means: str, *, wrong: bool = False) -> dict[str, Any]:
    return {"title": title, "value": value, "means": means, "wrong": wrong}


def _delay(state: DashboardState) -> list[dict[str, Any]]:
    delay = state.delay()
    if delay is None:
        return []
    p50, p95, n = delay
    means = "From a message's creation to this platform's memory: median and 95th percentile of the last minutes"
    return [_figure("Delay p50 / p95", f"{p50 / 1000:,.1f} / {p95 / 1000:,.1f} s, n = {n:,}", means)]


def _losses(data: PageData) -> list[dict[str, Any]]:
    missing = data.missing
    share = f" ({format_share(missing.lost / missing.sent, digits=2)})" if missing.lost else ""
    return [
        _figure(
            "Lost",
            f"{format_count(missing.lost, 'message')}{share}",
            "Gaps in the message numbers of sessions that are not filled within a minute",
            wrong=missing.lost > 0,
        ),
        _figure("Late", format_count(missing.late, "message"), "Newer gaps: these messages may still arrive"),
        _figure(
            "Duplicates", f"{missing.duplicates:,}", "Copies of messages that arrived more than once; each message counts once"
        ),
        _figure(
            "Conflicts",
            f"{missing.conflicts:,}",
            "Messages whose number another message already has; they are not counted",
            wrong=missing.conflicts > 0,
        ),
        _figure(
            "Implausible",
            f"{missing.implausible:,}",
            "Missing numbers that the session cannot have sent; they are not counted as lost",
            wrong=missing.implausible > 0,
        ),
        _unreadable(missing.unreadable),
        _figure("Damaged places", f"{data.damages:,}", "In files; at most the last thousand", wrong=data.damages > 0),
        *_unread(missing.unread_logs),
    ]


def _known_losses(state: DashboardState) -> list[dict[str, Any]]:
    return [_unreadable(state.unreadable), *_unread(state.unread_logs)]


def _unreadable(n: float) -> dict[str, Any]:
    return _figure("Unreadable", format_count(n, "record"), "Records that exist and cannot be read", wrong=n > 0)


def _beyond_bounds(state: DashboardState) -> list[dict[str, Any]]:
    """What a live platform dropped to stay within its memory; empty if nothing."""
    table = state.bounded
    if table is None:
        return []
    figures = []
    if table.dropped:
        means = "Dropped from memory early because there were too many; the logs keep them"
        figures.append(_figure("Dropped", format_count(table.dropped, "message"), means, wrong=True))
    others = {field: n for field, n in table.budgets.left_out.items() if n}
    if others:
        means = f"Too many values of {', '.join(others)}: some are shown as {OTHER}. The logs keep all of them"
        figures.append(_figure("Names left out", format_count(sum(others.values()), "value"), means, wrong=True))
    return figures


def _unread(n: int) -> list[dict[str, Any]]:
    """Logs that could not be read; shown only if there are any. A live platform reads only files that it has fetched."""
    return [_figure("Not read", format_count(n, "log"), "Log files that could not be read", wrong=True)] if n else []


_CLOCK = "Compared with this platform's clock; the live pages correct the times of its records"


def _servers(state: DashboardState) -> list[dict[str, Any]]:
    status = state.status()
    if status is None:
        return []
    answering = sum(server.last_success_ms is not None and not server.failures for server in status.servers)
    behind = sum(server.behind_bytes for server in status.servers)
    mirror = [_figure("Mirror", "fails", status.mirror_error, wrong=True)] if status.mirror_error is not None else []
    return [
        *mirror,
        _figure(
            "Feedback servers",
            f"{answering} of {len(status.servers)} answer",
            "Servers whose last poll succeeded",
            wrong=answering < len(status.servers),
        ),
        *(_figure("Clock", f"{server.name or server.url} {ahead(server)}", _CLOCK) for server in status.servers if server.ahead_ms),
        _figure("Behind", f"{behind:,} bytes", "Bytes that feedback servers offer and that are not fetched yet"),
    ]


def _other_kinds(state: DashboardState) -> list[dict[str, Any]]:
    """A figure for each kind other than feedback that has records, or that cannot be fetched."""
    figures = []
    for kind, other in state.others.items():
        status = None if other.feed is None else other.feed.status()
        failing = [server for server in (status.servers if status is not None else ()) if server.failures]
        error = status.mirror_error if status is not None else None
        if other.table.rows or failing or error:
            why = error or "; ".join(f"{server.name or server.url}: {server.error}" for server in failing)
            text = f"{format_count(other.table.rows, 'record')} in memory" + (", not up to date" if why else "")
            figures.append(_figure(kind.capitalize(), text, why or f"Records of the kind {kind}", wrong=bool(why)))
    return figures
