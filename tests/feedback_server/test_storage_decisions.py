"""The decisions that need no disk and no clock: names, times, which frames are whole, which logs are removed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_server import log_periods
from feedback_server.log_retention import to_retire
from feedback_server.recent_batches import RecentBatches
from feedback_server.recovery import whole_frames
from feedback_server.settings import Settings
from feedback_wire.catalogue import LogEntry
from feedback_wire.log_name import LAST_PART, Form, LogName
from serving.listening import parse_listen

MINUTE_MS = 1_344_331_800_000  # 2012-08-07T09:30:00Z


def test_a_log_begins_with_its_period():
    name = log_periods.next_log(MINUTE_MS + 59_999, None, server="fs1", roll_s=60)
    assert str(name) == "20120807T093000Z-fs1-0000.journal"


def test_a_second_log_of_a_period_is_its_next_part_and_after_the_last_part_the_next_period_opens():
    first = LogName(MINUTE_MS // 1000, "fs1", 0, Form.PARQUET)
    last = LogName(MINUTE_MS // 1000, "fs1", LAST_PART, Form.JOURNAL)
    assert str(log_periods.next_log(MINUTE_MS + 5, first, server="fs1", roll_s=60)) == "20120807T093000Z-fs1-0001.journal"
    assert str(log_periods.next_log(MINUTE_MS + 5, last, server="fs1", roll_s=60)) == "20120807T093100Z-fs1-0000.journal"


@given(
    times=st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=30),
    roll_s=st.integers(1, 86_400),
    servers=st.lists(st.sampled_from(["fs1", "a", "zz"]), min_size=30, max_size=30),
)
def test_every_new_log_sorts_after_all_earlier_ones_over_any_clock_steps(times, roll_s, servers):
    newest = None
    for now_ms, server in zip(times, servers, strict=False):
        name = log_periods.next_log(now_ms, newest, server=server, roll_s=roll_s)
        assert newest is None or name.stem > newest.stem
        assert LogName.parse(str(name)) == name
        newest = name


@given(times=st.lists(st.integers(0, 4_000_000_000_000), min_size=1, max_size=30))
def test_time_in_a_log_never_decreases_and_is_never_before_its_start(times):
    name = log_periods.next_log(times[0], None, server="fs1", roll_s=60)
    last_ms = 0
    for now_ms in times:
        stamp_ms = log_periods.received_ms(now_ms, name, last_ms)
        assert stamp_ms >= max(last_ms, name.begins_s * 1000)
        last_ms = stamp_ms


def test_a_log_ends_with_its_period_and_after_a_clock_step_back_within_two_periods():
    name = LogName(MINUTE_MS // 1000, "fs1", 0, Form.JOURNAL)
    assert log_periods.remaining_s(name, MINUTE_MS + 59_000, open_for_s=59, roll_s=60) == 1
    assert log_periods.remaining_s(name, MINUTE_MS + 60_000, open_for_s=60, roll_s=60) == 0
    assert log_periods.remaining_s(name, MINUTE_MS - 3_600_000, open_for_s=119, roll_s=60) == 1


@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_a_journal_cut_at_any_byte_keeps_exactly_its_whole_frames(journal_bytes, counts):
    data = journal_bytes(*counts)
    ends = [len(journal_bytes(*counts[:number])) for number in range(len(counts) + 1)]
    for cut in range(len(data) + 1):
        whole = whole_frames(data[:cut])
        kept = max((number for number, end in enumerate(ends) if end <= cut), default=0)
        assert whole.records == sum(counts[:kept])
        assert whole.batches == tuple(number.to_bytes(16, "big") for number in range(1, kept + 1))
        assert whole.length == (ends[kept] if cut >= ends[0] else 0)
        assert sum(damage.size for damage in whole.damages) == cut - whole.length


@given(data=st.binary(max_size=300), counts=st.lists(st.integers(1, 2), max_size=2))
def test_no_bytes_after_a_journal_can_hide_the_frames_before_them(journal_bytes, data, counts):
    whole = whole_frames(journal_bytes(*counts) + data)
    assert whole.records >= sum(counts)


def test_the_oldest_batch_ids_are_forgotten_first_and_the_rest_survives_a_restart():
    recent = RecentBatches(most=3)
    recent.remember(number.to_bytes(16, "big") for number in range(5))
    again = RecentBatches.from_bytes(recent.to_bytes() + b"torn")
    assert [number.to_bytes(16, "big") in again for number in range(5)] == [False, False, True, True, True]


def _entry(day: int, size: int) -> LogEntry:
    return LogEntry(name=LogName(day * 86_400, "fs1", 0, Form.JSONL), bytes=size, records=1)


def test_the_oldest_logs_are_removed_first_by_days_and_by_bytes():
    logs = [_entry(day, 10) for day in range(5)]

    def retired_logs(too_old_s=None, surplus_bytes=0, aged=9):
        retired = to_retire(logs, too_old_s=too_old_s, surplus_bytes=surplus_bytes, aged=aged)
        return [(each.entry.name.begins_s // 86_400, each.reason) for each in retired]

    assert retired_logs() == []
    assert retired_logs(too_old_s=2 * 86_400) == [(0, "keep_days"), (1, "keep_days")]
    assert retired_logs(surplus_bytes=25) == [(0, "keep_bytes"), (1, "keep_bytes"), (2, "keep_bytes")]
    assert retired_logs(too_old_s=3 * 86_400, surplus_bytes=10) == [(0, "keep_bytes"), (1, "keep_days"), (2, "keep_days")]
    assert retired_logs(too_old_s=3 * 86_400, aged=2) == [(0, "keep_days"), (1, "keep_days")], "a share at a time"


@pytest.mark.parametrize(
    ("wrong", "advice"),
    [
        ({"listen": "8090"}, "an address and a port"),
        ({"listen": "127.0.0.1:99999"}, "an address and a port"),
        ({"name": "Feedback Server"}, "cannot be part of a file name"),
        ({"name": "../fs"}, "cannot be part of a file name"),
        ({"roll_seconds": 0}, "1 to 86400 seconds"),
        ({"max_log_bytes": 0}, "--max-log-bytes is 0"),
        ({"keep_days": -1}, "--keep-days is -1"),
        ({"insecure": False}, "two tokens"),
        ({"insecure": False, "token": "a"}, "two tokens"),
        ({"listen": "0.0.0.0:8090"}, "loopback only"),
        ({"listen": "example.org:8090"}, "loopback only"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_advice(wrong, advice):
    with pytest.raises(ValueError, match=advice):
        Settings(**({"insecure": True} | wrong))


def test_tokens_are_not_shown_with_the_settings():
    assert "secret" not in repr(Settings(token="secret-1", read_token="secret-2"))


def test_an_ipv6_address_is_written_in_brackets():
    assert parse_listen("[::1]:0") == ("::1", 0)
    assert Settings(listen="[::1]:8090", insecure=True).insecure
