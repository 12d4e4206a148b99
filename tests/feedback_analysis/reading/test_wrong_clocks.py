"""Readers of recorded logs name the servers whose clock was wrong, because the times of their records are not corrected."""

import os
from contextlib import closing

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.wrong_clocks import WrongClocks
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.measurements import measurement_record, write_measurements
from tests.harness.processes import run_swarmscope

BEGIN_S = BEGIN_MS // 1000
FS2 = "clocks of servers were wrong: fs2 (5 s behind to 600 s ahead); times of their records are not corrected"


def note(log, ahead_ms):
    with (log.parent / "clock-ahead").open("a") as notes:
        notes.write(f"{log.name.partition('.')[0]} {ahead_ms}\n")


@pytest.fixture
def mirror(tmp_path):
    """A mirror with a server whose clock was right, and one whose clock was wrong for two of four logs."""
    folder = tmp_path / "mirror"
    write_log(folder / "fs1", [record(session_id="right")])
    for number, ahead_ms in enumerate((600_000, -5_000, 0, 0)):
        begin_s = BEGIN_S + 3600 * number
        sent = record(session_id=f"s{number}", received_ms=begin_s * 1000)
        log = write_log(folder / "fs2", [sent], begin_s=begin_s)
        note(log.rename(log.with_name(log.name.replace("-fs1-", "-fs2-"))), ahead_ms)
    return folder


def test_analyze_and_history_name_the_server_and_its_skew_in_one_line(mirror, tmp_path):
    for arguments in (("analyze", mirror), ("history", "build", mirror, "--into", tmp_path / "history")):
        done = run_swarmscope(*arguments)
        assert done.returncode == 0
        assert [line for line in done.stderr.splitlines() if "clock" in line] == [f"warning: {FS2}"]


def test_a_time_range_in_which_the_clock_was_right_gives_no_warning(mirror):
    begin_ms = BEGIN_MS + 3 * 3_600_000
    with Locator() as locator:
        table = open_logs([mirror], locator=locator, mos=MosModel(), span=Span(begin_ms, begin_ms + 60_000))
    with closing(table):
        assert table.wrong_clocks.in_words() == ""


def test_a_history_names_a_server_once_when_it_adds_its_logs(mirror, tmp_path):
    with Locator() as locator, HistoryStore(tmp_path / "history", Basis(mos=MosModel(), period_s=30.0)) as store:
        assert [catch_up(store, [mirror], locator).wrong_clocks.in_words() for _ in range(2)] == [FS2, ""]


def test_records_of_other_kinds_have_the_clock_of_their_server_too(tmp_path):
    note(write_measurements(tmp_path, [measurement_record()]), 60_000)
    table, added = open_records([tmp_path], RecordKind.MEASUREMENT)
    table.close()
    assert "(60 s ahead)" in added.wrong_clocks.in_words()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_notes_that_cannot_be_read_stop_no_reader(tmp_path, make):
    log = write_log(tmp_path, [record()])
    make(tmp_path / "clock-ahead")
    assert WrongClocks.of([log]) == WrongClocks()


def test_many_servers_with_wrong_clocks_give_one_short_line():
    clocks = WrongClocks({f"fs{number}": (60_000, 60_000) for number in range(1, 10)})
    assert clocks.in_words().startswith(
        "clocks of servers were wrong: fs1 (60 s ahead), fs2 (60 s ahead), fs3 (60 s ahead) and 6 others"
    )
