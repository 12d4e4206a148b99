"""How far the numbers can be trusted: delay, losses by name, and who of the feedback servers answers."""

from typing import Any

from feedback_analysis.measures.selection import OTHER
from monitor_platform.dashboard.picture import Picture
from monitor_platform.dashboard.pill import ahead
from monitor_platform.dashboard.watch import Watch
from monitor_platform.views.wording import count


def drops(picture: Picture) -> str:
    """What is not in the figures, by name; empty if nothing is missing."""
    said = {
        "taken away": (picture.missing.duplicates, "duplicate"),
        "left out": (picture.missing.conflicts, "conflicting record"),
        "unreadable": (picture.missing.unreadable, "record"),
        "lost": (picture.missing.lost, "message"),
        "implausible": (picture.missing.implausible, "missing number"),
        "in files": (picture.damages, "damaged place"),
        "not read": (picture.missing.unread_logs, "log"),
    }
    return " · ".join(f"{count(n, one)} {fate}" for fate, (n, one) in said.items() if n)


def health(watch: Watch, picture: Picture | None) -> dict[str, Any]:
    """Figures in words for the strip on the overview, and what the dot in the header says."""
    figures = [
        *_delay(watch),
        *_beyond_bounds(watch),
        *(_losses(picture) if picture is not None else _known_losses(watch)),
        *_servers(watch),
    ]
    wrong = [f"{each['title']}: {each['value']}" for each in figures if each["wrong"]]
    return {"figures": figures, "wrong": bool(wrong), "text": "; ".join(wrong) or "Nothing is known to be missing"}


def _figure(title: str, value: str, means: str, *, wrong: bool = False) -> dict[str, Any]:
    return {"title": title, "value": value, "means": means, "wrong": wrong}


def _delay(watch: Watch) -> list[dict[str, Any]]:
    delay = watch.delay()
    if delay is None:
        return []
    p50, p95, n = delay
    means = "From an end host's clock to this platform's table, median and 95th percentile of the last minutes"
    return [_figure("Delay p50 / p95", f"{p50 / 1000:,.1f} / {p95 / 1000:,.1f} s, n = {n:,}", means)]


def _losses(picture: Picture) -> list[dict[str, Any]]:
    missing = picture.missing
    share = f" ({missing.lost / missing.sent:.2%})" if missing.lost else ""
    return [
        _figure("Lost", f"{count(missing.lost, 'message')}{share}", "Gaps in the numbers of sessions", wrong=missing.lost > 0),
        _figure("Duplicates", f"{missing.duplicates:,}", "Copies of messages that were taken away: sent again, counted once"),
        _figure(
            "Conflicts",
            f"{missing.conflicts:,}",
            "Other messages under a taken number: left out",
            wrong=missing.conflicts > 0,
        ),
        _figure(
            "Implausible",
            f"{missing.implausible:,}",
            "Missing numbers beyond what a session can have sent: not counted as lost",
            wrong=missing.implausible > 0,
        ),
        _unreadable(missing.unreadable),
        _figure("Damaged places", f"{picture.damages:,}", "In files, at most the last thousand", wrong=picture.damages > 0),
        *_unread(missing.unread_logs),
    ]


def _known_losses(watch: Watch) -> list[dict[str, Any]]:
    return [_unreadable(watch.unreadable), *_unread(watch.unread_logs)]


def _unreadable(n: float) -> dict[str, Any]:
    return _figure("Unreadable", count(n, "record"), "Records that are known to exist and cannot be read", wrong=n > 0)


def _beyond_bounds(watch: Watch) -> list[dict[str, Any]]:
    """What a running platform left out to stay within its memory; nothing as long as it did not."""
    table = watch.bounded
    if table is None:
        return []
    figures = []
    if table.dropped:
        means = "Dropped from memory before their time, for there were too many; the logs keep them"
        figures.append(_figure("Dropped", count(table.dropped, "message"), means, wrong=True))
    others = {field: n for field, n in table.budgets.left_out.items() if n}
    if others:
        means = f"Too many names of {', '.join(others)}: some are shown as {OTHER}. The logs keep them all"
        figures.append(_figure("Names left out", count(sum(others.values()), "value"), means, wrong=True))
    return figures


def _unread(n: int) -> list[dict[str, Any]]:
    """A figure only if there are any: live, no file is read that was not fetched before."""
    return [_figure("Not read", count(n, "log"), "Log files that could not be read", wrong=True)] if n else []


_CLOCK = "Beside this platform's clock; the live pages correct the times of its records"


def _servers(watch: Watch) -> list[dict[str, Any]]:
    status = watch.status()
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
            "Whose last round of polling ended well",
            wrong=answering < len(status.servers),
        ),
        *(_figure("Clock", f"{server.name or server.url} {ahead(server)}", _CLOCK) for server in status.servers if server.ahead_ms),
        _figure("Behind", f"{behind:,} bytes", "Offered by feedback servers and not fetched yet"),
    ]
