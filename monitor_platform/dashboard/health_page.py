"""How far the numbers can be trusted, with every counter by its name and the state of each feedback server."""

import time
from collections.abc import Mapping
from dataclasses import fields

from bokeh.models import LayoutDOM

from feedback_analysis.measures.selection import OTHER
from feedback_analysis.messages.budgets import EXTRA_BYTES, EXTRA_NAMES, EXTRA_VALUES, FIELDS
from feedback_analysis.messages.live_table import LiveTable
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.pill import ahead, silence_s
from monitor_platform.retrieval.status import RetrievalCounts, ServerStatus


class HealthPart:
    """Counters since the platform began; what is lost in the chosen time stands in the strip above them."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """Nothing has to be asked: all of it is counted as it happens."""
        return lambda: {"counters": _counters(context.state), "servers": _servers(context.state)}


HEALTH_PAGE = DashboardPage(
    name="health",
    path="/health",
    title="Health",
    template="health.html",
    script=True,
    part=HealthPart,
    tiles=False,
    stands_alone=True,
)


def _counters(state: DashboardState) -> list[list[str]]:
    """Name, value and what it means."""
    status, answers = state.status(), state.answers
    rows = [["unreadable", f"{state.unreadable:,}", "Records that are known to exist and cannot be read"]]
    if state.unread_logs:
        rows.append(["unread_logs", f"{state.unread_logs:,}", "Log files that could not be read"])
    if status is not None:
        rows += [
            [field.name, f"{getattr(status.counts, field.name):,}", _MEANINGS.get(field.name, "")]
            for field in fields(RetrievalCounts)
        ]
    rows += [] if state.bounded is None else _of_memory(state.bounded)
    rows += _lookups(state)
    rows += [
        ["viewers", f"{len(state.viewers):,}", "Open pages"],
        ["questions", f"{answers.asked:,}", "Queries asked for by pages and scripts"],
        ["queries", f"{answers.computed:,}", "Queries run; the others were shared answers"],
        ["queries_refused", f"{answers.refused:,}", "Queries not run because too many waited"],
        ["queries_stopped", f"{answers.stopped:,}", "Queries stopped for want of time or memory"],
        ["query_seconds", f"{answers.seconds:,.1f}", "Time from asking to answer, of queries run"],
    ]
    return rows


def _of_memory(table: LiveTable) -> list[list[str]]:
    """What memory and the budgets of names have cost."""
    rows = [
        ["identities_given_up", f"{table.given_up:,}", "Intervals of forgotten messages that are not remembered any more"],
        ["dropped_messages", f"{table.dropped:,}", "Messages dropped from memory before their time: there were too many"],
    ]
    return rows + [
        [f"other_values, {field}", f"{table.budgets.left_out[field]:,}", f"{meaning}; the budget is {table.budgets.most[field]:,}"]
        for field, meaning in _OTHERS.items()
    ]


_OTHERS = {name: f"Messages whose {name} is shown as {OTHER}" for name in FIELDS} | {
    EXTRA_NAMES: "Entries of extra that are not kept, for their names",
    EXTRA_VALUES: f"Texts in extra that are shown as {OTHER}",
    EXTRA_BYTES: "Entries of extra that are not kept, for the size of their message",
}


def _lookups(state: DashboardState) -> list[list[str]]:
    rows = []
    for database in state.locator.databases:
        counts, file, name = database.counts, database.path.name, database.name
        failed = f"Lookups in {file} that failed; these viewers are {database.without}"
        rows += [
            [f"failed_lookups_{name}", f"{counts.failed_lookups:,}", failed],
            [f"databases_read_anew_{name}", f"{counts.read_anew:,}", f"Times that {file} was replaced and read anew"],
            [f"databases_kept_{name}", f"{counts.kept:,}", f"Times that {file} was replaced by what cannot be used"],
        ]
    return rows


_MEANINGS = {
    "polls": "Catalogues asked for",
    "failures": "Rounds of polling that ended early",
    "bytes_fetched": "Bytes of logs fetched",
    "logs_mirrored": "Sealed logs that arrived whole",
    "records_taken": "Records that were new to the table",
    "duplicates_dropped": "Records that the table had already",
    "conflicts_dropped": "Records with other content under a number that the table had already",
    "unreadable_records": "Lines of undamaged frames that are no log record",
    "damaged_frames": "Stretches that are no whole frame",
    "implausible_clocks": "Records of end hosts whose clock cannot be right; the delay leaves them out",
    "logs_skipped": "Logs that a feedback server lists and that are not taken",
    "refetches": "Logs fetched again because of damage",
}


def _servers(state: DashboardState) -> list[list[str]]:
    status = state.status()
    if status is None:
        return []
    mirror = [] if status.mirror_error is None else [["mirror", "this machine", "fails", "", "", "", "", "", status.mirror_error]]
    return mirror + [_server(server) for server in status.servers]


def _server(server: ServerStatus) -> list[str]:
    silent = silence_s(server, time.time_ns() // 1_000_000)
    state = (
        "answers" if not server.failures and server.last_success_ms is not None else "not yet" if not server.failures else "silent"
    )
    told = f"{state} for {silent:,.0f} s" if state == "silent" and silent != float("inf") else state
    if server.ahead_ms:
        told += f", clock {ahead(server)}"
    counts = server.counts
    return [
        server.name or "–",
        server.url,
        told,
        f"{server.failures:,}",
        f"{server.behind_bytes:,}",
        f"{counts.records_taken:,}",
        f"{counts.duplicates_dropped:,}",
        f"{counts.damaged_frames:,}",
        "; ".join(filter(None, (server.error, server.skipped))),
    ]
