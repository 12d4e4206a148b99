"""The Sessions page: the sessions of the chosen slice, the worst by the chosen measure first.

Its own parameter in the address is `p.find`: the first characters of a peer ID or session ID.
"""

from collections.abc import Mapping
from typing import Any

from bokeh.models import LayoutDOM

from feedback_analysis.measures.registry import LOWER_IS_BETTER, MEASURES
from feedback_analysis.messages.sessions import SessionRow, list_sessions
from monitor_platform.dashboard.dashboard_page import DashboardPage, PageContext, Show
from monitor_platform.dashboard.display_names import place_name
from monitor_platform.dashboard.page_data import distributed
from monitor_platform.dashboard.snapshot import Snapshot, span_of
from monitor_platform.views.number_format import NOTHING, format_value

MOST_ROWS = 100
"""More rows do not help: people find a session by its ID or by filters."""

LONGEST_ID = 200


class SessionsPart:
    """The list of sessions."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """The sessions that reported in the time range, under all filters."""
        snapshot, question = context.snapshot, context.question
        if snapshot is None:
            return dict
        measure, span = distributed(question.measure), span_of(question, snapshot)
        find = question.own.get("find", "")[:LONGEST_ID]
        found = await context.answers.ask(
            snapshot.moment,
            list_sessions,
            measure=measure.name,
            span=span,
            where=question.where(span),
            starts=find,
            most=MOST_ROWS + 1,
        )
        end_ms = min(span.to_ms, snapshot.until_ms)
        rows = [_row(each, measure.name, snapshot, end_ms) for each in found[:MOST_ROWS]]
        side = "highest" if measure.name in LOWER_IS_BETTER else "lowest"
        content = {"measure": measure.title, "rows": rows, "find": find}
        content["note"] = _note(len(found), f"{side} {measure.title} first")
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
        "mos": format_value(MEASURES["mos"], row.mos),
        "value": format_value(distributed(measure), row.value),
        "startup": format_value(MEASURES["startup_ms"], row.startup_ms),
        "stalls": NOTHING if row.stall_count is None else f"{row.stall_count:,}",
        "stalled": NOTHING if row.stall_ms is None else f"{row.stall_ms / 1000:,.1f}\u202fs",
        "state": state_of(row, end_ms, snapshot.period_s),
    }
