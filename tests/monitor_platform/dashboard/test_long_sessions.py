"""The data that a page of a very long session sends to a browser is bounded, and the page names what it leaves out."""

import json
from collections.abc import Iterator

import pytest
from bokeh.models import ColumnDataSource

from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.messages import sessions
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_page import PageContext
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.session_page import SessionPart, session_details
from tests.harness.logs import BEGIN_MS, record

MESSAGES = 12_000
PERIOD_MS = 10_000


@pytest.fixture(scope="module")
def long_session() -> list[dict]:
    def message(seq: int) -> dict:
        at = seq * PERIOD_MS
        numbers = {"continuity": 0.5 if seq % 2 else 1, "buffer_ms": 90_000 if seq == 7_777 else seq % 5_000, "partners": seq % 7}
        totals = {"uptime_ms": at, "startup_ms": 900, "stall_count": seq, "stall_ms": seq * 900, "played_ms": seq * 4_000}
        rates = {"playback_kbps": 800 + seq % 3, "upload_kbps": seq % 11, "download_kbps": seq % 13}
        return record(seq=seq, received_ms=BEGIN_MS + at, sent_ms=BEGIN_MS + at, **numbers, **totals, **rates)

    return [message(seq) for seq in range(MESSAGES)]


def sources(part: SessionPart) -> Iterator[dict]:
    for figure in part.figures.values():
        yield from (source.data for source in figure.select({"type": ColumnDataSource}))


def test_a_session_of_many_messages_sends_as_much_as_can_be_drawn(table_of, long_session, monkeypatch):
    table = table_of(long_session)
    details = session_details(table, session_id="s", measure="mos", period_s=10)
    state = DashboardState(table, None, period_s=10, poll_s=1)
    part, context = SessionPart(), PageContext(state=state, answers=None, snapshot=None, query=AddressQuery.parse("session_id=s"))
    facts = part._show(details, MEASURES["mos"], context)
    drawn = list(sources(part))
    assert len(json.dumps([facts, drawn])) < 2_500_000
    assert max(value for data in drawn for value in data.get("value", ())) == 90_000, "the greatest buffer is still drawn"
    assert f"of {MESSAGES:,} points" in facts["thinned"]
    assert f"of {MESSAGES - 1:,} reports of stalls" in facts["thinned"]
    assert facts["rows_of"] == MESSAGES

    monkeypatch.setattr(sessions, "MOST_MESSAGES", 5_000)
    latest = session_details(table, session_id="s", measure="mos", period_s=10).session
    assert (len(latest.at_ms), latest.messages, latest.at_ms[-1]) == (5_000, MESSAGES, details.session.at_ms[-1])
    facts = part._show(session_details(table, session_id="s", measure="mos", period_s=10), MEASURES["mos"], context)
    assert f"the latest 5,000 of {MESSAGES:,} messages" in facts["thinned"]
