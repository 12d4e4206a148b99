"""One session: all its messages, and the states between them."""

import pytest

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.sessions import LongestStall, list_sessions, neighbours, whole_session
from tests.harness.logs import BEGIN_MS, record

PERIOD_MS = 30_000
EVENING = Span(BEGIN_MS, BEGIN_MS + 3_600_000)


def view(session="s", *, peer="p", continuity=(), stalls=(), played=(), leaves=True, **fields):
    """A session: a join, a report each period, a leave."""
    count = max(len(continuity), len(stalls), len(played))
    events = ["join", *["report"] * (count - 1 if leaves else count), *(["leave"] if leaves else [])]
    rows = []
    for seq, event in enumerate(events):
        uptime = seq * PERIOD_MS
        heard = {} if seq == 0 else {"continuity": 1, "stall_ms": 0, "stall_count": 0, "startup_ms": 2_000, "playback_kbps": 850}
        for name, values in (("continuity", continuity), ("stall_ms", stalls), ("played_ms", played)):
            if seq and seq <= len(values):
                heard[name] = values[seq - 1]
        if seq and stalls:
            heard["stall_count"] = sum(later > earlier for earlier, later in zip((0, *stalls), stalls[:seq], strict=False))
        rows.append(
            record(
                session_id=session,
                peer_id=peer,
                seq=seq,
                event=event,
                uptime_ms=uptime,
                received_ms=BEGIN_MS + uptime + 100,
                **heard,
                **fields,
            )
        )
    return rows


def test_the_worst_sessions_come_first_with_their_reasons(table_of):
    table = table_of(
        view("good", peer="a", continuity=(1, 1)), view("bad", peer="b", continuity=(0.5, 0.7), stalls=(9_000, 12_000))
    )
    worst, best = list_sessions(table, measure="continuity", span=EVENING)
    assert (worst.session_id, worst.value, worst.stall_ms, worst.stall_count) == ("bad", pytest.approx(0.6), 12_000, 2)
    assert (best.session_id, best.value, best.left, best.messages) == ("good", 1, True, 3)


def test_if_less_is_better_the_largest_is_the_worst(table_of):
    table = table_of(*(view(f"s{ms}", continuity=(1,), leaves=False) for ms in (1,)), [record(session_id="slow", startup_ms=9_000)])
    assert list_sessions(table, measure="startup_ms", span=EVENING)[0].session_id == "slow"


def test_sessions_are_sorted_by_their_longest_stall(table_of):
    often = view("often", peer="a", stalls=(2_000, 4_000, 6_000, 8_000))
    long = view("long", peer="b", stalls=(5_000, 5_000))
    never = view("never", peer="c", stalls=(0, 0))
    rows = list_sessions(table_of(often, long, never), measure="mos", span=EVENING, sort="longest")
    assert [(row.session_id, row.longest_stall_ms) for row in rows] == [("long", 5_000), ("often", 2_000), ("never", None)]


def test_the_longest_stall_of_a_session_is_that_of_the_list_at_the_message_that_reported_its_end(table_of):
    rows = view("s", stalls=(3_000, 3_000, 3_000, 7_000, 9_500, 9_500, 9_600))
    for row in rows[5:]:
        row["stall_count"] = 2 if row["stall_ms"] < 9_600 else 3  # the second stall lasts from one message into the next
    table = table_of(rows)
    session = whole_session(table, session_id="s", period_s=30)
    assert session.longest_stall == LongestStall(BEGIN_MS + 5 * PERIOD_MS + 100, 6_500)
    assert [row.longest_stall_ms for row in list_sessions(table, measure="mos", span=EVENING)] == [6_500]
    assert [(each.count, each.for_ms) for each in session.stalls] == [(1, 3_000), (1, 4_000), (0, 2_500), (1, 100)]


def test_a_session_is_found_by_the_start_of_its_id_or_of_its_peers_id(table_of):
    table = table_of(view("s-1", peer="anna", continuity=(1,)), view("s-2", peer="bert", continuity=(1,)))
    assert [row.session_id for row in list_sessions(table, measure="mos", span=EVENING, starts="ann")] == ["s-1"]
    assert [row.session_id for row in list_sessions(table, measure="mos", span=EVENING, starts="s-2")] == ["s-2"]
    assert list_sessions(table, measure="mos", span=EVENING, starts="nobody%") == []


def test_filters_and_measures_in_extra_can_be_combined(table_of):
    rows = [
        record(session_id=f"s{rtt}", peer_id=f"p{rtt}", extra={"rtt_ms": rtt, "codec": codec})
        for rtt, codec in ((5, "av1"), (9, "av1"), (1, "h264"))
    ]
    found = list_sessions(table_of(rows), measure="extra.rtt_ms", span=EVENING, where={"extra.codec": "av1"})
    assert [(row.session_id, row.value) for row in found] == [("s5", 5), ("s9", 9)]


def test_the_list_is_limited(table_of):
    table = table_of([record(session_id=f"s{number}", peer_id="p", continuity=0.5) for number in range(30)])
    assert len(list_sessions(table, measure="continuity", span=EVENING, most=10)) == 10


def test_the_details_of_a_session_contain_all_messages_with_their_times(table_of):
    details = whole_session(table_of(view(continuity=(1, 0.5, 1), isp="HGC", channel="乒乓球")), session_id="s", period_s=30)
    assert details.at_ms == tuple(BEGIN_MS + 100 + number * PERIOD_MS for number in range(4))
    assert details.series["continuity"] == (None, 1, 0.5, 1)
    assert (details.facts["isp"], details.facts["channel"], details.startup_ms, details.lost, details.left) == (
        "HGC",
        "乒乓球",
        2_000,
        0,
        True,
    )


def test_messages_after_a_restart_of_the_player_are_shown_at_their_time(table_of):
    received_s, uptime_s = (0, 30, 60, 90, 120), (0, 30, 0.1, 30.1, 60.1)
    sent = [
        record(session_id="s", seq=seq, received_ms=BEGIN_MS + at * 1000, uptime_ms=round(up * 1000))
        for seq, (at, up) in enumerate(zip(received_s, uptime_s, strict=True))
    ]
    details = whole_session(table_of(sent), session_id="s", period_s=30)
    assert details.at_ms == tuple(BEGIN_MS + at * 1000 for at in received_s)


def test_a_message_that_arrives_late_is_shown_when_it_was_built_also_after_a_restart(table_of):
    received_s, uptime_s = (0, 50, 60, 115, 120), (0, 30, 0, 30, 60)
    sent = [
        record(session_id="s", seq=seq, received_ms=BEGIN_MS + at * 1000, uptime_ms=up * 1000)
        for seq, (at, up) in enumerate(zip(received_s, uptime_s, strict=True))
    ]
    details = whole_session(table_of(sent), session_id="s", period_s=30)
    assert details.at_ms == tuple(BEGIN_MS + at * 1000 for at in (0, 30, 60, 90, 120))


def test_the_ribbon_follows_played_and_stalled_times(table_of):
    fields = view(continuity=(1, 1, 1, 1), stalls=(0, 10_000, 10_000, 10_000), played=(28_000, 48_000, 48_000, 78_000))
    details = whole_session(table_of(fields), session_id="s", period_s=30)
    begin = BEGIN_MS + 100
    assert [(piece.state, piece.from_ms - begin, piece.to_ms - begin) for piece in details.ribbon] == [
        ("starting", 0, 2_000),
        ("playing", 2_000, 50_000),
        ("stalled", 50_000, 60_000),
        ("paused", 60_000, 90_000),
        ("playing", 90_000, 120_000),
        ("gone", 120_000, 120_000),
    ]
    assert [(stall.at_ms - begin, stall.count, stall.for_ms) for stall in details.stalls] == [(60_000, 1, 10_000)]


def test_two_stalls_without_a_pause_are_two_stretches(table_of):
    fields = view(stalls=(0, 6_840, 36_840, 36_840), played=(28_000, 51_160, 51_160, 81_160))
    details = whole_session(table_of(fields), session_id="s", period_s=30)
    assert [piece.stalled_ms for piece in details.ribbon if piece.state == "stalled"] == [6_840, 30_000]
    assert details.longest_stall.length_ms == 30_000


def test_a_stall_that_goes_on_is_drawn_at_the_beginning_of_the_next_interval(table_of):
    fields = view(stalls=(0, 6_840, 12_000, 12_000), played=(28_000, 51_160, 76_000, 106_000))
    for row in fields[3:]:
        row["stall_count"] = 1
    details = whole_session(table_of(fields), session_id="s", period_s=30)
    [stalled] = [piece for piece in details.ribbon if piece.state == "stalled"]
    assert stalled.stalled_ms == details.longest_stall.length_ms == 12_000
    assert stalled.to_ms - stalled.from_ms == 12_000


def test_a_session_without_its_first_messages_is_not_shown_as_starting(table_of):
    table = table_of(view(continuity=(1, 1, 1, 1), stalls=(0, 0, 0, 0), played=(28_000, 58_000, 88_000, 118_000)))
    assert whole_session(table, session_id="s", period_s=30).ribbon[0].state == "starting"
    assert table.drop_before(BEGIN_MS + PERIOD_MS) == 1
    assert [piece.state for piece in whole_session(table, session_id="s", period_s=30).ribbon] == ["playing", "gone"]


def test_the_details_of_a_session_do_not_count_a_message_as_lost_that_the_table_has_dropped(table_of):
    received = {0: 10_000, 1: 2_000, 2: 12_000, 3: 13_000, 5: 15_000}  # the message 1 was received before the others
    table = table_of([record(session_id="s", seq=seq, received_ms=BEGIN_MS + ms) for seq, ms in received.items()])
    assert table.drop_before(BEGIN_MS + 5_000) == 1
    found = whole_session(table, session_id="s", period_s=30)
    assert (found.messages, found.lost, found.implausible) == (4, 1, 0)


def test_a_gap_in_the_numbers_is_silence_and_counted_as_lost(table_of):
    fields = view(continuity=(1, 1, 1, 1, 1, 1))
    details = whole_session(table_of([row for row in fields if row["seq"] not in (2, 3)]), session_id="s", period_s=30)
    assert details.lost == 2
    assert "silent" in [piece.state for piece in details.ribbon]


def test_stretches_cover_the_session_without_gap_or_overlap(table_of):
    details = whole_session(
        table_of(view(continuity=(1,) * 9, stalls=(0, 40_000, 41_000, 41_000, 90_000, 90_000, 90_000, 95_000, 95_000))),
        session_id="s",
        period_s=30,
    )
    for before, after in zip(details.ribbon, details.ribbon[1:], strict=False):
        assert before.to_ms == after.from_ms
    assert (details.ribbon[0].from_ms, details.ribbon[-1].to_ms) == (details.at_ms[0], details.at_ms[-1])


def test_a_session_that_is_not_in_the_table_has_no_details(table_of):
    assert whole_session(table_of(view(continuity=(1,))), session_id="' OR true --", period_s=30) is None


def test_the_neighbours_are_the_others_of_the_same_area_and_isp(table_of):
    same = [view(f"n{number}", peer=f"n{number}", continuity=(number / 10,) * 3, isp="HGC") for number in range(10)]
    other = view("other", peer="other", continuity=(0.0,) * 3, isp="PCCW")
    table = table_of(view("own", peer="own", continuity=(0.1,) * 3, isp="HGC"), other, *same)
    band = neighbours(table, of=whole_session(table, session_id="own", period_s=30), measure="continuity")
    assert band.neighbours == 10
    assert band.low[0] == pytest.approx(0.09)
    assert band.high[0] == pytest.approx(0.81)
    assert len(band.at_ms) == 2


def test_the_worst_session_is_the_one_that_was_bad_for_longest(table_of):
    def watched(name, continuity, seconds):
        return [
            record(peer_id=name, session_id=name, seq=at, received_ms=BEGIN_MS + at * 1000, continuity=continuity)
            for at in range(seconds)
        ]

    table = table_of(
        [*watched("one report", 0.0, 1), *watched("long", 0.5, 300), *watched("short", 0.3, 6), *watched("well", 1.0, 300)]
    )

    def order(**asked):
        return [each.session_id for each in list_sessions(table, measure="continuity", span=EVENING, **asked)]

    assert order()[0] == "long"
    assert order()[-1] == "well"
    assert order(sort="value") == ["one report", "short", "long", "well"]
    assert order(sort="value", reverse=True) == ["well", "long", "short", "one report"]
    assert order(sort="value", least_s=5) == ["short", "long", "well"]
    assert order(sort="length")[-1] == "one report"
    with pytest.raises(ValueError, match="does not sort sessions"):
        order(sort="nothing")
