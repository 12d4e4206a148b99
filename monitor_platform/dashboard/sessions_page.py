"""The Sessions page: the sessions of the chosen slice, the worst by the chosen measure first.

Its own parameters in the address are `p.find` (the first characters of a peer ID or session ID), `p.sort`, `p.order=reverse` and
`p.min` (the shortest time in seconds).
"""

from collections.abc import Mapping
from typing import Any

from bokeh.models import LayoutDOM

from feedback_analysis.measures.registry import LOWER_IS_BETTER, MEASURES, Kind, Measure
from feedback_analysis.messages.sessions import SORTS, WORST, SessionRow, list_sessions
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.display_names import place_name
from monitor_platform.dashboard.page_data import distributed
from monitor_platform.dashboard.snapshot import Snapshot, span_of
from monitor_platform.views.number_format import NOTHING, format_value
from monitor_platform.views.session_view import length_in_words

MOST_ROWS = 100
"""More rows do not help: people find a session by its ID or by filters."""

LONGEST_ID = 200

SORT_TITLES = {"mos": "MOS", "isp": "ISP", "longest": "longest stall", "stalled": "time stalled", "length": "how long they lasted"}
"""How a sort is described, where its name is no description."""


class SessionsPart:
    """The list of sessions."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """The sessions that reported in the time range, under all filters."""
        snapshot, query = context.snapshot, context.query
        if snapshot is None:
            return dict
        measure, span = distributed(query.measure), span_of(query, snapshot)
        find = query.own.get("find", "")[:LONGEST_ID]
        sort = query.own.get("sort", WORST)
        sort = sort if sort in SORTS else WORST
        least_s = _seconds(query.own.get("min", ""))
        found = await context.answers.ask(
            snapshot.moment,
            list_sessions,
            measure=measure.name,
            span=span,
            where=query.where(span),
            starts=find,
            most=MOST_ROWS + 1,
            sort=sort,
            reverse=query.own.get("order") == "reverse",
            least_s=least_s,
        )
        end_ms = min(span.to_ms, snapshot.until_ms)
        rows = [_row(each, measure.name, snapshot, end_ms) for each in found[:MOST_ROWS]]
        content = {"measure": measure.title, "rows": rows, "find": find, "min": least_s, "live": snapshot.live}
        content |= {"sort": sort, "reverse": query.own.get("order") == "reverse"}
        content["note"] = _note(len(found), _order(sort, measure))
        return lambda: content


SESSIONS_PAGE = DashboardPage(
    name="sessions",
    path="/sessions",
    title="Sessions",
    template="sessions.html",
    script=True,
    part=SessionsPart,
    tiles=False,
)


def state_of(row: SessionRow, end_ms: int, period_s: float) -> str:
    """The last known state of the session at `end_ms`."""
    if row.left:
        return "gone"
    return "silent" if end_ms - row.last_ms > 2 * period_s * 1000 else "here"


def _seconds(text: str) -> int:
    return int(text[:7]) if text.isascii() and text.isdecimal() else 0


def _order(sort: str, measure: Measure) -> str:
    if sort != WORST:
        return f"by {measure.title if sort == 'value' else SORT_TITLES.get(sort, sort)}"
    side = "highest" if measure.name in LOWER_IS_BETTER else "lowest"
    weighted = measure.kind in (Kind.MEAN, Kind.RATIO)
    if weighted:
        return f"worst first: how much worse {measure.title} is than the mean × how long"
    return f"{side} {measure.title} first"


def _note(found: int, order: str) -> str:
    if found > MOST_ROWS:
        return f"the first {MOST_ROWS}, {order}; filter, or find one by its id"
    return f"{found} session{'' if found == 1 else 's'}, {order}"


def _row(row: SessionRow, measure: str, snapshot: Snapshot, end_ms: int) -> dict[str, Any]:
    """A row of the table. `since` is a number, which the browser formats in its time zone."""
    return {
        "session_id": row.session_id,
        "peer_id": row.peer_id,
        "channel": row.channel,
        "isp": row.isp,
        "district": place_name(row.district) if row.district else NOTHING,
        "platform": row.platform or NOTHING,
        "since": row.first_ms,
        "length": length_in_words(row.last_ms - row.first_ms),
        "mos": format_value(MEASURES["mos"], row.mos),
        "value": format_value(distributed(measure), row.value),
        "startup": format_value(MEASURES["startup_ms"], row.startup_ms),
        "stalls": NOTHING if row.stall_count is None else f"{row.stall_count:,}",
        "stalled": format_value(MEASURES["stall_ms"], row.stall_ms),
        "longest": format_value(MEASURES["longest_stall_ms"], row.longest_stall_ms),
        "state": state_of(row, end_ms, snapshot.period_s),
    }
