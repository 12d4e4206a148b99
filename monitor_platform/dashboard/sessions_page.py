"""The sessions of whoever is chosen, the worst of the chosen measure first: the way from a slice to a single viewer.

The page keeps one word of its own in the address: `p.find`, how the id of a peer or a session begins.
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
"""Whoever looks for one viewer finds him by his id or by filters, not on page nine."""

LONGEST_ID = 200


class SessionsPart:
    """The list, in the words that are shown."""

    figures: Mapping[str, LayoutDOM] = {}

    async def ask(self, context: PageContext) -> Show:
        """The sessions heard in the chosen time, under all filters."""
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
        told = {"measure": measure.title, "rows": rows, "find": find}
        told["note"] = _note(len(found), f"{side} {measure.title} first")
        return lambda: told


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
    """What the viewer does at `end_ms`, as far as it is known."""
    if row.left:
        return "gone"
    return "silent" if end_ms - row.last_ms > 2 * period_s * 1000 else "here"


def _note(found: int, order: str) -> str:
    if found > MOST_ROWS:
        return f"the first {MOST_ROWS}, {order}; filter, or find one by its id"
    return f"{found} session{'' if found == 1 else 's'}, {order}"


def _row(row: SessionRow, measure: str, snapshot: Snapshot, end_ms: int) -> dict[str, Any]:
    """A line of the table; `since` is a time, which the browser says in its own zone."""
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
