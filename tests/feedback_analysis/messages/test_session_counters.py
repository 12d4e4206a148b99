"""Counters that restart within a session have one total in every view."""

import json

import pytest

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.p1203 import write_inputs
from feedback_analysis.messages.scores import scores
from feedback_analysis.messages.session_counters import increases, totals
from feedback_analysis.messages.session_table import session_table
from feedback_analysis.messages.sessions import list_sessions, whole_session
from tests.harness.logs import BEGIN_MS, record

PERIOD_MS = 30_000
# 25 stalls of 10 s in all; then the player was restarted within the session, and stalled once for half a second.
STALLS = [0, 5, 10, 15, 20, 25, 1, 1, 1]
STALL_MS = [0, 2000, 4000, 6000, 8000, 10_000, 500, 500, 500]
PLAYED_MS = [0, 28_000, 56_000, 84_000, 112_000, 140_000, 29_000, 58_000, 87_000]


def restarted_session(**more):
    return [
        record(
            seq=seq,
            received_ms=BEGIN_MS + seq * PERIOD_MS,
            uptime_ms=seq * PERIOD_MS,
            playback_kbps=800,
            continuity=1,
            startup_ms=900,
            stall_count=STALLS[seq],
            stall_ms=STALL_MS[seq],
            played_ms=PLAYED_MS[seq],
        )
        | more
        for seq in range(9)
    ]


def test_a_total_is_the_sum_of_increases_and_a_decrease_is_an_increase_from_zero():
    assert totals([None, 0, 5, None, 25, 1, 1, 3]) == [None, 0, 5, None, 25, 26, 26, 28]
    assert list(increases([7, 9, 1], before=None)) == [0, 2, 1]
    assert list(increases([7, 9, 1], before=4)) == [3, 2, 1]


def test_every_view_shows_the_same_stalls(table_of, tmp_path):
    table = table_of(restarted_session()[5:], restarted_session()[:5])
    span = Span(BEGIN_MS, BEGIN_MS + 10 * PERIOD_MS)
    [row] = list_sessions(table, measure="mos", span=span)
    assert (row.stall_count, row.stall_ms) == (26, 10_500)
    details = whole_session(table, session_id="s", period_s=30)
    assert (sum(each.count for each in details.stalls), sum(each.for_ms for each in details.stalls)) == (26, 10_500)
    rows = session_table(table, ("mos_stalling",))
    [cells] = [dict(zip(rows.names, each, strict=True)) for each in rows.rows]
    assert (cells["stall_count"], cells["stall_ms"], cells["played_ms"]) == (26, 10_500, 227_000)
    steady = table_of([record(stall_count=26, stall_ms=10_500, startup_ms=900, played_ms=227_000)])
    for name in ("mos_stalling", "good_sessions"):
        [mine], [other] = (list(scores(each, (name,)).values()) for each in (table, steady))
        assert mine[name].mean == pytest.approx(other[name].mean), name
    assert write_inputs(tmp_path, table) == 1
    [written] = tmp_path.glob("*.json")
    stalls = json.loads(written.read_text())["I23"]["stalling"][1:]
    assert (len(stalls), round(sum(length for _, length in stalls), 3)) == (26, 10.5)


def test_totals_claimed_by_hostile_senders_break_no_query(table_of):
    most = 2**53 - 1
    table = table_of([record(seq=seq, stall_count=seq % 2 and most, stall_ms=0) for seq in range(3000)])
    [found] = scores(table, ("mos_stalling",)).values()
    assert found["mos_stalling"].mean == pytest.approx(1.5)


def test_a_span_that_begins_within_a_session_exports_only_what_happened_within_it(table_of, tmp_path):
    begin_ms = BEGIN_MS + 3 * PERIOD_MS - 1
    messages = [
        each | {"stall_count": 2, "stall_ms": 4000, "played_ms": at * 30_000} for at, each in enumerate(restarted_session())
    ]
    assert write_inputs(tmp_path, table_of(messages), span=Span(begin_ms, BEGIN_MS + 10 * PERIOD_MS)) == 1
    [written] = tmp_path.glob("*.json")
    found = json.loads(written.read_text())
    assert [each["duration"] for each in found["I13"]["segments"]] == [30.0] * 6
    assert found["I23"]["stalling"] == []
