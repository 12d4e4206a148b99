"""The pages of a catalogue that a platform requests: the recent ones first, all older ones eventually, and none endlessly."""

from hypothesis import given
from hypothesis import strategies as st

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.catalogue_walk import LogRange, SkippedLogs, older_ranges, rest_of, settled_after
from monitor_platform.retrieval.feedback_server_client import Skipped
from monitor_platform.retrieval.fetch_plan import MirroredLog, live_begin

DAY_S = 86_400
NOW_S = 1_344_340_800


def name(minute: int, server: str = "fs1") -> LogName:
    return LogName(minute * 60, server, 0, Form.JSONL)


def entry(minute: int) -> LogEntry:
    return LogEntry(name=name(minute), bytes=10, records=1)


def begin_s(newest_s: int, now_s: int, keep_s: int) -> int:
    newest = LogName(newest_s, "fs1", 0, Form.JSONL)
    begin = live_begin(newest, now_ms=now_s * 1000, keep_ms=keep_s * 1000)
    assert begin is not None
    return begin.begins_s


def test_live_logs_begin_a_period_before_the_window_whichever_clock_is_wrong():
    assert begin_s(NOW_S, NOW_S, 3600) == NOW_S - 3600 - DAY_S
    assert begin_s(NOW_S, NOW_S + 400 * DAY_S, 3600) == NOW_S - 3600 - DAY_S, "this platform's clock is ahead"
    assert begin_s(NOW_S + 400 * DAY_S, NOW_S, 3600) == NOW_S - 3600 - DAY_S, "a log of the far future"
    assert live_begin(name(5), now_ms=NOW_S * 1000, keep_ms=None) is None
    assert live_begin(None, now_ms=NOW_S * 1000, keep_ms=1) is None


def test_the_logs_in_the_mirror_are_requested_last():
    assert older_ranges(None, name(5)) == ()
    assert older_ranges(name(9), None) == (LogRange(after=None, to=name(9).stem),)
    assert older_ranges(name(9), name(9)) == (LogRange(after=None, to=name(9).stem),)
    assert older_ranges(name(9), name(5)) == (
        LogRange(after=name(5), to=name(9).stem, settled=name(5)),
        LogRange(after=None, to=name(5).stem),
    )


def test_a_page_that_ends_with_skipped_logs_is_not_requested_again():
    page = Catalogue(server="fs1", logs=(entry(1), entry(2)), more=True)
    held = {each.name.stem: MirroredLog(name=each.name, bytes=10) for each in page.logs}
    assert settled_after(page, name(3, "fs0"), held, None) == name(3, "fs0")
    assert settled_after(page, name(2), {name(1).stem: held[name(1).stem]}, None) == name(1)
    assert settled_after(Catalogue(server="fs1", logs=()), None, {}, name(7)) == name(7)
    assert settled_after(Catalogue(server="fs1", logs=(), more=True), name(9), {}, name(7)) == name(9), "a page of nothing else"


@given(
    st.sets(st.integers(1, 60), max_size=40),
    st.sets(st.integers(1, 60)),
    st.integers(1, 9),
    st.integers(0, 60),
    st.none() | st.integers(1, 60),
)
def test_every_older_log_is_fetched_and_an_unavailable_one_once_the_server_has_it(minutes, unreadable, size, begin, mirrored):
    logs = sorted(minutes)
    held: dict[str, MirroredLog] = {}
    walks = older_ranges(name(begin), None if mirrored is None else name(mirrored))
    older = [minute for minute in logs if minute <= begin and (mirrored is None or mirrored >= begin or minute > 0)]
    for step in range(1000):
        if not walks:
            break
        if step == 200:
            unreadable = set()  # the server's disk works again
        log_range, *others = walks
        behind = [minute for minute in logs if log_range.after is None or name(minute).stem > log_range.after.stem]
        page = Catalogue(server="fs1", logs=tuple(map(entry, behind[:size])), more=len(behind) > size)
        held |= {
            each.name.stem: MirroredLog(name=each.name, bytes=10)
            for each in page.logs
            if each.name.begins_s // 60 not in unreadable
        }
        last = page.logs[-1].name if page.logs else None
        rest = rest_of(log_range, last, more=page.more, mirrored_to=settled_after(page, last, held, log_range.after))
        walks = (rest, *others) if rest is not None else tuple(others)
    assert not walks, "it ends"
    assert {name(minute).stem for minute in older} <= set(held)


def test_skipped_logs_are_counted_once_per_walk_and_their_reasons_are_bounded():
    skipped = SkippedLogs()
    assert skipped.in_words() == ""
    assert skipped.note("live", [Skipped(str(name(1)), "is empty"), Skipped(str(name(2)), "is empty")]) == 2
    assert skipped.note("live", [Skipped(str(name(1)), "is empty"), Skipped(str(name(2)), "is empty")]) == 0
    assert skipped.note("live", [Skipped(str(name(3)), "carry the name of fs0")]) == 1
    assert skipped.in_words() == "3 logs are not fetched: 2 is empty; 1 carry the name of fs0"
    for minute in range(1000):
        skipped.note("older", [Skipped(str(name(minute)), f"carry the name of fs{minute}")])
    assert len(skipped.reasons) <= 101
