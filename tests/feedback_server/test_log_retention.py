"""Removal of old logs, with a right and a wrong date, and what the operator is shown."""

import io
import json
import logging
import os
import time
from pathlib import Path

import pytest

from feedback_server.counters import Counters
from feedback_server.forms import log_writer
from feedback_server.log_retention import LEAST_AT_ONCE, SHARE_AT_ONCE, LogRetention
from feedback_server.recovery import recover
from feedback_server.settings import Settings
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_wire.log_name import Form, LogName
from serving.lived_time import PATIENCE_S
from tests.harness.waiting import eventually

DAY_S = 86_400
NOON_S = 1_344_340_800
KEEP_DAYS = 30
HOURLY = range(NOON_S - 40 * DAY_S, NOON_S, 3600)
AHEAD = """
import time
real, real_ns, ahead_s = time.time, time.time_ns, {ahead_s}
time.time = lambda: real() + ahead_s
time.time_ns = lambda: real_ns() + ahead_s * 1_000_000_000
"""


def a_log(lines: bytes) -> bytes:
    file = io.BytesIO()
    writer = log_writer(Form.JSONL, file)
    writer.add(lines, lines.count(b"\n"))
    writer.finish()
    return file.getvalue()


def write_logs(data: Path, begins_s, lines: bytes, server: str = "fs1") -> None:
    data.mkdir(exist_ok=True)
    content = a_log(lines)
    for begin_s in begins_s:
        (data / str(LogName(begin_s, server, 0, Form.JSONL))).write_bytes(content)


class Runs:
    """The retention of a server on one folder, over several starts, with clocks that the test sets."""

    def __init__(self, data: Path) -> None:
        self.data, self.counters = data, Counters()
        self.wall_s = float(NOON_S)

    def run(self, for_s: float, *, every_s: float = 60.0) -> None:
        """Start, check each minute for so long, stop."""
        folder = DataFolder(self.data)
        try:
            offered = OfferedLogs("fs1", recover(folder, self.counters).entries)
            settings = Settings(data=self.data, keep_days=KEEP_DAYS, insecure=True)
            passed = 0.0
            retention = LogRetention(
                settings, folder, offered=offered, counters=self.counters, wall=lambda: self.wall_s, monotonic=lambda: passed
            )
            while passed < for_s:
                retention.remove_expired()
                passed += every_s
                self.wall_s += every_s
            retention.remove_expired()
            retention.save_lived_time()
        finally:
            folder.close()

    def oldest_days(self) -> float:
        names = [LogName.parse(path.name) for path in self.data.glob("2*")]
        return (self.wall_s - min(name.begins_s for name in names)) / DAY_S


def test_logs_are_kept_for_the_days_of_the_setting_and_each_removal_is_logged_and_counted_by_reason(tmp_path, lines, caplog):
    write_logs(tmp_path / "data", HOURLY, lines())
    runs = Runs(tmp_path / "data")
    with caplog.at_level(logging.INFO):
        runs.run(PATIENCE_S - 60)
        assert runs.counters.retired == 0, "an operator has some time to notice a wrong date or setting"
        runs.run(PATIENCE_S)
        first = runs.counters.retired
        assert first == 10, "a share at a time"
        runs.run(PATIENCE_S + 3600)
    assert KEEP_DAYS - 0.05 <= runs.oldest_days() <= KEEP_DAYS, "logs are an hour apart"
    assert runs.counters.retired_for == {"keep_days": runs.counters.retired}
    logged = [record.getMessage() for record in caplog.records if "is removed by --keep-days 30" in record.getMessage()]
    assert len(logged) == runs.counters.retired > 200
    assert "20120628T120000Z-fs1-0000.jsonl.zst" in logged[0]
    assert "40.0 days old" in logged[0]


def test_at_most_one_share_of_old_logs_is_removed_per_minute_however_often_the_server_looks(tmp_path, lines):
    old = range(NOON_S - 40 * DAY_S, NOON_S - 35 * DAY_S, 200)
    write_logs(tmp_path / "data", [*old, *range(NOON_S - 29 * DAY_S, NOON_S, 3600)], lines(1))
    share = len(list((tmp_path / "data").glob("2*"))) // SHARE_AT_ONCE
    runs = Runs(tmp_path / "data")
    runs.run(PATIENCE_S + 50, every_s=5)
    assert runs.counters.retired == share > LEAST_AT_ONCE
    runs.counters.retired = 0
    runs.run(PATIENCE_S + 110, every_s=5)
    assert share < runs.counters.retired <= 2 * share, "the next share is removed after a minute"


def test_a_date_400_days_ahead_removes_nothing_over_any_writes_and_starts(tmp_path, lines, caplog):
    write_logs(tmp_path / "data", [each for each in HOURLY if each > NOON_S - 29 * DAY_S], lines())
    before = set((tmp_path / "data").glob("2*"))
    runs = Runs(tmp_path / "data")
    runs.run(3600)
    runs.wall_s += 400 * DAY_S
    for _ in range(5):
        write_logs(tmp_path / "data", range(int(runs.wall_s), int(runs.wall_s) + 3600, 600), lines())
        runs.run(3600)
    assert before <= set((tmp_path / "data").glob("2*"))
    assert runs.counters.retired == 0
    assert "the clock has advanced by 400.0 days in which this server did not run" in caplog.text
    assert runs.counters.clock_skipped_s >= 400 * DAY_S


def test_a_server_process_whose_clock_is_400_days_ahead_at_startup_keeps_all_logs(
    start_feedback_server, lines, tmp_path, monkeypatch
):
    now_s = int(time.time())
    write_logs(tmp_path / "data", range(now_s - 20 * DAY_S, now_s - DAY_S, DAY_S), lines())
    before = set((tmp_path / "data").glob("2*"))
    (tmp_path / "ahead").mkdir()
    (tmp_path / "ahead" / "sitecustomize.py").write_text(AHEAD.format(ahead_s=400 * DAY_S))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'ahead'}:{os.environ.get('PYTHONPATH', '')}")
    server = start_feedback_server("--roll-seconds", "1", "--keep-days", "30")
    for number in range(2):
        server.post(lines(session=f"s{number}"))
        eventually(lambda: not server.counted("journals"))
    begins_s = [LogName.parse(entry["name"]).begins_s for entry in server.logs()]
    assert max(begins_s) > now_s + 399 * DAY_S, "the clock was wrong"
    assert server.counted("sealed_total") >= 2, "old logs were removed when a log was sealed"
    assert before <= set((tmp_path / "data").glob("2*"))
    assert server.counted("retired_total") == 0
    assert server.counted("clock_skipped_seconds") > 399 * DAY_S
    assert "no log is removed because of them" in server.server.log_text()


def test_logs_beyond_the_bytes_to_keep_are_removed_immediately_with_any_clock(tmp_path, lines):
    write_logs(tmp_path / "data", HOURLY, lines())
    size = len(a_log(lines()))
    folder = DataFolder(tmp_path / "data")
    counters = Counters()
    offered = OfferedLogs("fs1", recover(folder, counters).entries)
    settings = Settings(data=tmp_path / "data", keep_bytes=10 * size, insecure=True)
    LogRetention(settings, folder, offered=offered, counters=counters).remove_expired()
    folder.close()
    assert len(list((tmp_path / "data").glob("2*"))) == 10
    assert counters.retired_for == {"keep_bytes": len(HOURLY) - 10}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"lived": "always"}'])
def test_a_lost_record_of_the_uptime_is_rebuilt_from_the_logs(tmp_path, lines, damage):
    write_logs(tmp_path / "data", HOURLY, lines())
    runs = Runs(tmp_path / "data")
    runs.run(PATIENCE_S + 3600)
    note = tmp_path / "data" / "state" / "lived-time.json"
    assert json.loads(note.read_text())["lived"]
    note.write_bytes(damage)
    runs.run(PATIENCE_S + 3600)
    assert KEEP_DAYS - 0.05 <= runs.oldest_days() <= KEEP_DAYS + 1
