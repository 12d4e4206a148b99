"""The pill in the header: the measured delay of the page, or the feedback servers that do not answer."""

from collections.abc import Sequence

from monitor_platform.retrieval.feed_status import FeedStatus, ServerStatus

# One or two late polls are no problem.
SILENT_AFTER_POLLS = 3
SILENT_AFTER_LEAST_S = 5

# A message waits up to one poll, and then for the servers, the queries and the page.
SETTLES_S = 2.0
LATE_FACTOR = 3

Pill = dict[str, str]
Delay = tuple[float, float, int]
"""Median and 95th percentile of the display delay in milliseconds, and the number of messages."""


def static_pill() -> Pill:
    """For recorded files."""
    return {
        "kind": "static",
        "title": "Static",
        "text": "recorded files",
        "hint": "The numbers come from recorded logs and do not change.",
    }


def live_pill(status: FeedStatus, delay: Delay | None, *, page_ms: float, now_ms: int, poll_s: float) -> Pill:
    """For a live feed: the delay, or the problem. `page_ms`: time from the arrival in memory to the pages."""
    if status.mirror_error is not None:
        return {"kind": "stale", "title": "Stale", "text": "the mirror on this machine fails", "hint": status.mirror_error}
    silent = [server for server in status.servers if silence_s(server, now_ms) > _allowed_s(poll_s)]
    if silent:
        return _stale(silent, status.servers, now_ms)
    late = [server for server in status.servers if silence_s(server, now_ms) > poll_s + SETTLES_S]
    if late:
        return {
            "kind": "late",
            "title": "Late",
            "text": "; ".join(_silence(server, now_ms) for server in late),
            "hint": _errors(late),
        }
    skewed = [server for server in status.servers if server.ahead_ms]
    if skewed:
        return _skewed(skewed)
    if status.reading_back:
        hint = "Polling begins when the mirror has been read."
        return {"kind": "live", "title": "Starting", "text": "reading the mirror back", "hint": hint}
    if delay is None:
        return {
            "kind": "live",
            "title": "Live",
            "text": "no messages",
            "hint": "No message has arrived in the last minutes.",
        }
    p50, p95, n = delay
    hint = (
        f"From the creation of a message to this platform's memory: median {p50 / 1000:,.1f} s, 95 % below {p95 / 1000:,.1f} s, "
        f"of the last {n:,} messages. From there to the pages: {page_ms / 1000:,.1f} s."
    )
    behind_s = (p50 + page_ms) / 1000
    return {"kind": _kind(behind_s, poll_s), "title": "Live", "text": f"{behind_s:,.1f} s behind", "hint": hint}


def _kind(behind_s: float, poll_s: float) -> str:
    """`late` (amber) if a message appears later than one poll explains, `stale` (red) if much later."""
    expected_s = poll_s + SETTLES_S
    return "live" if behind_s <= expected_s else "late" if behind_s <= LATE_FACTOR * expected_s else "stale"


def silence_s(server: ServerStatus, now_ms: int) -> float:
    """Seconds since the last successful poll; 0 while no poll has failed."""
    if not server.failures:
        return 0.0
    return (now_ms - server.last_success_ms) / 1000 if server.last_success_ms is not None else float("inf")


def _allowed_s(poll_s: float) -> float:
    return max(SILENT_AFTER_POLLS * poll_s, SILENT_AFTER_LEAST_S)


def _stale(silent: Sequence[ServerStatus], servers: Sequence[ServerStatus], now_ms: int) -> Pill:
    silences = "; ".join(_silence(server, now_ms) for server in silent)
    others = [server.name or server.url for server in servers if server not in silent]
    figures = f"; figures from {', '.join(others)} alone" if others else "; figures are not updated"
    return {"kind": "stale", "title": "Stale", "text": silences + figures, "hint": _errors(silent)}


def _errors(servers: Sequence[ServerStatus]) -> str:
    return "; ".join(f"{server.url}: {server.error or 'no answer'}" for server in servers)


def ahead(server: ServerStatus) -> str:
    """Text: how far the server's clock is ahead of or behind the platform's."""
    return f"{abs(server.ahead_ms) / 1000:,.0f} s {'ahead' if server.ahead_ms > 0 else 'behind'}"


def _skewed(servers: Sequence[ServerStatus]) -> Pill:
    clocks = "; ".join(f"the clock of {server.name or server.url} is {ahead(server)}" for server in servers)
    hint = "The live pages correct the times of its records; recorded files keep them as they are. Set the clock right (NTP)."
    return {"kind": "stale", "title": "Clock", "text": clocks, "hint": hint}


def _silence(server: ServerStatus, now_ms: int) -> str:
    name = server.name or server.url
    if server.last_success_ms is None:
        return f"{name} has not answered yet"
    return f"{name} silent for {silence_s(server, now_ms):,.0f} s"
