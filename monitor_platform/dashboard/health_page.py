"""The Health page: losses, every counter by name, and the state of each feedback server."""

import time
from collections.abc import Mapping
from dataclasses import fields

from bokeh.models import LayoutDOM

from feedback_analysis.measures.selection import OTHER
from feedback_analysis.messages.budgets import EXTRA_BYTES, EXTRA_NAMES, EXTRA_VALUES, FIELDS
from feedback_analysis.messages.live_table import LiveTable
from feedback_wire.kinds import RecordKind
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.pill import ahead, silence_s
from monitor_platform.kind_records import KindRecords
from monitor_platform.retrieval.feed_status import RetrievalCounts, ServerStatus


class HealthPart:
    """Counters since the platform started. The card above has the losses of the chosen time range."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """Needs no query: the counters are in memory."""
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
    reads_back=True,
)


def _counters(state: DashboardState) -> list[list[str]]:
    """Name, value and meaning of each counter."""
    status, answers = state.status(), state.answers
    rows = [["unreadable", f"{state.unreadable:,}", "Records that exist and cannot be read"]]
    if state.unread_logs:
        rows.append(["unread_logs", f"{state.unread_logs:,}", "Log files that could not be read"])
    if status is not None:
        rows += [
            [field.name, f"{getattr(status.counts, field.name):,}", _MEANINGS.get(field.name, "")]
            for field in fields(RetrievalCounts)
        ]
    rows += [row for other in state.others.values() for row in _of_kind(other)]
    rows += [] if state.bounded is None else _of_memory(state.bounded)
    rows += _lookups(state)
    rows += [
        ["viewers", f"{len(state.viewers):,}", "Open pages"],
        ["questions", f"{answers.asked:,}", "Queries asked for by pages and scripts"],
        ["queries", f"{answers.computed:,}", "Queries run; the others were shared answers"],
        ["queries_refused", f"{answers.refused:,}", "Queries not run because too many waited"],
        ["queries_stopped", f"{answers.stopped:,}", "Queries stopped because of too little time or memory"],
        ["query_seconds", f"{answers.seconds:,.1f}", "Seconds from request to answer, over all queries run"],
    ]
    return rows


def _of_kind(other: KindRecords) -> list[list[str]]:
    kind = other.kind
    rows = [[f"kind_records, {kind}", f"{other.table.rows:,}", f"Records of the kind {kind} in memory"]]
    if other.feed is None:
        return rows
    counts = other.feed.status().counts
    rows += [[f"{name}, {kind}", f"{getattr(counts, name):,}", _MEANINGS[name]] for name in _KIND_COUNTERS]
    return [*rows, [f"kind_dropped, {kind}", f"{other.dropped:,}", "Records dropped from memory early because there were too many"]]


def _of_memory(table: LiveTable) -> list[list[str]]:
    """What the limits of memory and of names have dropped."""
    rows = [
        [
            "identities_given_up",
            f"{table.dropped_identities:,}",
            "Ranges of message numbers that were removed from memory; copies of those messages count as new",
        ],
        ["dropped_messages", f"{table.dropped:,}", "Messages dropped from memory early because there were too many"],
    ]
    return rows + [
        [f"other_values, {field}", f"{table.budgets.left_out[field]:,}", f"{meaning}; the budget is {table.budgets.most[field]:,}"]
        for field, meaning in _OTHERS.items()
    ]


_OTHERS = {name: f"Messages whose {name} is shown as {OTHER}" for name in FIELDS} | {
    EXTRA_NAMES: "Entries of extra that were dropped because of too many names",
    EXTRA_VALUES: f"Texts in extra that are shown as {OTHER}",
    EXTRA_BYTES: "Entries of extra that were dropped because of the message's size",
}


def _lookups(state: DashboardState) -> list[list[str]]:
    rows = []
    for database in state.locator.databases:
        counts, file, name = database.counts, database.path.name, database.name
        failed = f"Failed lookups in {file}; these viewers are {database.without}"
        rows += [
            [f"failed_lookups_{name}", f"{counts.failed_lookups:,}", failed],
            [f"databases_read_anew_{name}", f"{counts.read_anew:,}", f"How often {file} was replaced and read again"],
            [
                f"databases_kept_{name}",
                f"{counts.kept:,}",
                f"How often {file} was replaced by an unusable file; the previous one stays in use",
            ],
        ]
    return rows


_MEANINGS = {
    "polls": "Requests for a catalogue",
    "failures": "Polls that failed",
    "bytes_fetched": "Bytes of logs fetched",
    "logs_mirrored": "Sealed logs that were fetched completely",
    "records_taken": "New records",
    "duplicates_dropped": "Records that memory already had",
    "conflicts_dropped": "Records with the number of a known message and other content",
    "unreadable_records": "Lines of undamaged frames that are not log records",
    "damaged_frames": "Places where a frame is damaged or incomplete",
    "implausible_clocks": "Records of end hosts with an impossible clock; the delay ignores them",
    "logs_skipped": "Logs that a feedback server offers and that are not fetched",
    "logs_removed": "Logs that a feedback server removed before they were fetched completely",
    "refetches": "Logs fetched again because of damage",
}


_KIND_COUNTERS = (
    *("failures", "bytes_fetched", "logs_mirrored", "records_taken", "duplicates_dropped", "unreadable_records"),
    *("damaged_frames", "logs_skipped", "logs_removed", "refetches"),
)


def _servers(state: DashboardState) -> list[list[str]]:
    status = state.status()
    if status is None:
        return []
    mirror = (
        [] if status.mirror_error is None else [["mirror", "this machine", "", "fails", "", "", "", "", "", status.mirror_error]]
    )
    others = [other.feed.status() for other in state.others.values() if other.feed is not None]
    return mirror + [_server(server, each.kind) for each in (status, *others) for server in each.servers]


def _server(server: ServerStatus, kind: RecordKind) -> list[str]:
    silent = silence_s(server, time.time_ns() // 1_000_000)
    state = (
        "answers" if not server.failures and server.last_success_ms is not None else "not yet" if not server.failures else "silent"
    )
    text = f"{state} for {silent:,.0f} s" if state == "silent" and silent != float("inf") else state
    if not server.knows_kind:
        text = f"answers, and is older than {kind} records"
    if server.ahead_ms:
        text += f", clock {ahead(server)}"
    counts = server.counts
    return [
        server.name or "–",
        server.url,
        kind.value,
        text,
        f"{server.failures:,}",
        f"{server.behind_bytes:,}",
        f"{counts.records_taken:,}",
        f"{counts.duplicates_dropped:,}",
        f"{counts.damaged_frames:,}",
        "; ".join(filter(None, (server.error, server.skipped))),
    ]
