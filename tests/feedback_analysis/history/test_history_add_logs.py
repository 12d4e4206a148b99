"""Every message is counted once, even if logs are copied, late, damaged, or the build is killed or restarted."""

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from feedback_analysis.history import add_logs, new_names
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.daily import daily
from feedback_analysis.history.schema import ADDED
from feedback_analysis.history.store import FILE, Basis, HistoryStore
from feedback_analysis.measures import summary as messages_summary
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_wire.log_name import Form
from tests.feedback_analysis.history.audience import FIRST_HOUR_MS, HOUR_MS, audience, write_minutes
from tests.feedback_analysis.history.conftest import BASIS
from tests.harness.logs import BEGIN_MS, record, write_log


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two hours of logs."""
    write_minutes(tmp_path / "logs", audience(peers=15, hours=2), minutes=10)
    return tmp_path / "logs"


@pytest.fixture
def truth(folder, locator):
    """The measures of the messages in `folder`."""
    table = open_logs([folder], locator=locator, mos=BASIS.mos)
    yield history_like(messages_summary.summarize(table, by=("channel",)))
    table.close()


def history_like(summary):
    for each in (summary, *summary["groups"]):
        for rate in messages_summary.RATES:
            each[rate] |= {"p50": None, "p95": None}
    return summary


def of(store):
    return summarize(store, by=("channel",))


def test_a_restart_continues_where_the_last_run_ended(folder, truth, locator, tmp_path):
    late = sorted(folder.iterdir())[4:]
    (tmp_path / "later").mkdir()
    for path in late:
        path.rename(tmp_path / "later" / path.name)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert catch_up(store, [folder], locator).logs == 4
    for path in late:
        (tmp_path / "later" / path.name).rename(folder / path.name)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert catch_up(store, [folder], locator).logs == len(late)
        assert of(store) == truth
        assert catch_up(store, [folder], locator).logs == 0
        assert of(store) == truth


IN_ORDER = (
    *("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "stalls"),
    *("online_s_per_view", "online_s_per_peer"),
)
"""Measures of increases: a message that is added after a later one of its session adds none; nor is its restart known."""


def without_increases(summary):
    return [{name: value for name, value in each.items() if name not in IN_ORDER} for each in (summary, *summary.pop("groups"))]


def test_logs_in_any_order_merge_to_the_same_numbers_except_increases(tmp_path, locator):
    sent = [each for each in audience(peers=15, hours=2) if each["via"] == "c1"]  # no copies: each log on its own
    paths = write_minutes(tmp_path / "logs", sent, minutes=20)
    random.Random(7).shuffle(paths)
    table = open_logs([tmp_path / "logs"], locator=locator, mos=BASIS.mos)
    wanted = history_like(messages_summary.summarize(table, by=("channel",)))
    table.close()
    with HistoryStore(tmp_path / "history", BASIS) as store:
        for path in paths:
            catch_up(store, [path], locator)
        assert 0 < of(store)["stalls"] < wanted["stalls"]
        wanted = without_increases(wanted)
        assert without_increases(of(store)) == wanted
        store.fold(at_least=1)
        assert without_increases(of(store)) == wanted


def test_joining_the_rows_of_a_history_changes_no_result(folder, truth, locator, tmp_path):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        assert of(store) == truth
        store.fold(at_least=1)
        assert of(store) == truth


def test_a_copy_of_a_log_under_another_name_is_skipped(folder, truth, locator, tmp_path):
    first = min(folder.iterdir())
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        shutil.copy(first, tmp_path / "friday.jsonl.zst")
        assert catch_up(store, [tmp_path / "friday.jsonl.zst"], locator).logs == 0
        assert of(store) == truth


def test_the_same_log_in_another_form_adds_neither_messages_nor_copies(locator, tmp_path):
    sent = [record(session_id=f"s{number}") for number in range(5)]
    path = write_log(tmp_path / "logs", sent, Form.JSONL)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [path], locator)
        converted = write_log(tmp_path / "converted", sent, Form.PARQUET)
        converted = converted.rename(converted.with_name(path.name.replace("jsonl.zst", "parquet")))
        taken = catch_up(store, [converted], locator)
        assert (taken.logs, taken.messages, taken.copies) == (1, 0, 0)
        assert (of(store)["messages"], of(store)["duplicates"]) == (5, 0)


def test_a_copy_that_arrives_hours_later_is_recognised_and_counted(locator, tmp_path):
    write_log(tmp_path / "logs", [record(seq=number) for number in (0, 63, 64, 2**53 - 1)], begin_s=BEGIN_MS // 1000)
    late = BEGIN_MS + 30 * HOUR_MS
    sent = [record(seq=64, received_ms=late, via="c2"), record(seq=65, received_ms=late)]
    write_log(tmp_path / "logs", sent, begin_s=late // 1000)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [tmp_path / "logs"], locator)
        found = summarize(store)
        assert (found["messages"], found["duplicates"]) == (5, 1)
        assert summarize(store, span=Span(late, late + 1))["duplicates"] == 1
        assert summarize(store, span=Span(BEGIN_MS, BEGIN_MS + 1))["duplicates"] == 0


def test_a_damaged_log_costs_the_damaged_part_until_it_is_replaced_by_a_whole_one(locator, tmp_path):
    sent = [record(session_id=f"s{number}") for number in range(3000)]
    path = write_log(tmp_path / "logs", sent, Form.JSONL)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [path], locator)
        found = summarize(store)
        assert found["unreadable"] > 0
        assert found["messages"] + found["unreadable"] == 3000
        path.write_bytes(whole)
        os.utime(path, (1, 1))
        catch_up(store, [path], locator)
        found = summarize(store)
        assert (found["messages"], found["unreadable"], found["duplicates"]) == (3000, 0, 0)


def test_an_open_journal_is_not_read_until_it_is_sealed(locator, tmp_path):
    path = write_log(tmp_path / "logs", [record()], Form.JOURNAL)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert catch_up(store, [tmp_path / "logs"], locator).logs == 0
        sealed = write_log(tmp_path / "sealed", [record()], Form.JSONL)
        sealed.rename(path.with_name(path.name.replace("journal", "jsonl.zst")))
        assert catch_up(store, [tmp_path / "logs"], locator).messages == 1


def test_a_failure_midway_leaves_nothing_behind(folder, truth, locator, tmp_path, monkeypatch):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        with monkeypatch.context() as patched:
            patched.setattr(add_logs, "_add_minutes", _fail)
            with pytest.raises(OSError, match="disk"):
                catch_up(store, [folder], locator)
        assert summarize(store)["messages"] == 0
        catch_up(store, [folder], locator)
        assert of(store) == truth


def _fail(_db):
    raise OSError("the disk is full")


# Ingests logs one by one, and stops in the middle of the transaction of the third.
_BUILD = """
import sys, time
from pathlib import Path
from feedback_analysis.geo.locator import Locator
from feedback_analysis.history import add_logs, catch_up
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.quality.mos import MosModel

calls, add_minutes = [], add_logs._add_minutes

def stand_still(db):
    add_minutes(db)
    calls.append(db)
    if len(calls) == 3:
        print("midway", flush=True)
        time.sleep(600)

add_logs._add_minutes = stand_still
catch_up.BATCH_FILES = 1
with Locator() as locator, HistoryStore(Path(sys.argv[2]), Basis(mos=MosModel())) as store:
    catch_up.catch_up(store, [Path(sys.argv[1])], locator)
"""


@pytest.fixture
def standing_still(folder, tmp_path):
    """A process that is in the middle of ingesting the logs of `folder`."""
    build = [sys.executable, "-c", _BUILD, str(folder), str(tmp_path / "history")]
    with subprocess.Popen(build, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"midway\n"
            yield process
        finally:
            process.kill()


def test_a_killed_build_continues_after_the_last_whole_batch(folder, truth, locator, tmp_path, standing_still):
    standing_still.kill()
    standing_still.wait()
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert 0 < summarize(store)["messages"] < truth["messages"]
        assert catch_up(store, [folder], locator).logs == len(list(folder.iterdir())) - 2
        assert of(store) == truth


def test_two_processes_cannot_share_a_history(tmp_path, standing_still):
    with pytest.raises(ValueError, match="another process uses the history"):
        HistoryStore(tmp_path / "history", BASIS)


def test_a_history_with_other_settings_is_refused(tmp_path):
    HistoryStore(tmp_path, BASIS).close()
    with pytest.raises(ValueError, match=r"built with mos .*another folder"):
        HistoryStore(tmp_path, Basis(mos=MosModel(c1=-4)))
    with pytest.raises(ValueError, match=r"built with period_s 30\.0, not 10\.0"):
        HistoryStore(tmp_path, Basis(mos=MosModel(), period_s=10))


def test_a_file_that_is_not_a_history_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"something else" * 1000)
    with pytest.raises(ValueError, match="cannot be opened"):
        HistoryStore(tmp_path, BASIS)


def test_dropped_hours_are_removed_and_the_others_unchanged(folder, locator, tmp_path):
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, [folder], locator)
        span = Span(FIRST_HOUR_MS + HOUR_MS, FIRST_HOUR_MS + 10 * HOUR_MS)
        before = summarize(store, span=span)
        assert summarize(store)["messages"] > before["messages"] > 0
        store.drop_before(span.from_ms)
        assert summarize(store)["messages"] == before["messages"]
        assert summarize(store, span=span) == before


def test_new_names_beyond_a_days_budget_become_other_and_known_ones_stay(locator, tmp_path, monkeypatch):
    monkeypatch.setattr(new_names, "NEW_A_DAY", {"channel": 3})
    logs, begin_s = tmp_path / "logs", BEGIN_MS // 1000
    audience = [record(session_id=f"a{at}", peer_id=f"a{at}", channel="Olympics") for at in range(9)]
    made_up = [record(session_id=f"m{at}", channel=f"made up {at}") for at in range(20)]
    late = [record(session_id=f"n{at}", channel=("known", "late")[at % 2]) for at in range(4)]
    tomorrow = [record(session_id="d", channel="late", received_ms=BEGIN_MS + 86_400_000)]
    batches = [
        ([record(session_id=f"k{at}", channel="known") for at in range(2)], begin_s, 0),
        (audience + made_up, begin_s + 60, 19),
        (late, begin_s + 120, 2),
        (tomorrow, begin_s + 86_400, 0),
    ]
    with HistoryStore(tmp_path / "history", BASIS) as store:
        for sent, at_s, left_out in batches:
            write_log(logs, sent, begin_s=at_s)
            assert catch_up(store, [logs], locator).other_names == left_out
    with HistoryStore(tmp_path / "history", BASIS) as store:
        found = {group["by"]["channel"]: group["messages"] for group in of(store)["groups"]}
        assert found == {"Olympics": 9, "known": 4, "made up 0": 1, "(other)": 21, "late": 1}


def test_a_history_with_an_ineffective_mos_constant_can_be_continued(folder, locator, tmp_path):
    """Earlier versions accepted --mos-c2 under ceiling, where it has no effect on the score, and stored it."""
    with HistoryStore(tmp_path / "history", Basis(mos=MosModel(c2=3.0))) as store:
        assert catch_up(store, sorted(folder.iterdir())[:4], locator).logs == 4
        half = summarize(store)["mos"]["mean"]
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert summarize(store)["mos"]["mean"] == half
        catch_up(store, [folder], locator)
    with HistoryStore(tmp_path / "whole", BASIS) as store:
        catch_up(store, [folder], locator)
        whole = summarize(store)
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert summarize(store) == whole
    with pytest.raises(ValueError, match="was built with mos"):
        HistoryStore(tmp_path / "history", Basis(mos=MosModel(c2=3.0, calibration="none")))


def test_a_history_of_a_version_without_stalls_and_starts_has_none_and_keeps_those_of_new_logs(folder, locator, tmp_path):
    early = sorted(folder.iterdir())[:6]
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, early, locator)
        store.fold(at_least=1)
        before = summarize(store)
        with store.writing() as db:
            db.execute("DROP TABLE counters")
            for table, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN IF NOT EXISTS (\w+)", "\n".join(ADDED)):
                db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    with HistoryStore(tmp_path / "history", BASIS) as store:
        lost = ("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "starts", "stalls")
        assert all(before[name] is not None for name in lost)
        kept = {name: value for name, value in before.items() if name not in lost}
        assert summarize(store) == kept | dict.fromkeys(lost) | {"starts": 0, "stalls": 0, "groups": [], "groups_left_out": 0}
        assert daily(store)[0]["stall_ms"] is None
        catch_up(store, [folder], locator)
        assert 0 < summarize(store)["starts"] < before["starts"] + 30
        assert summarize(store)["rebuffering_ratio"] > 0
