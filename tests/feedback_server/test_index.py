"""With the index of sealed logs a start opens few of them, and the index never contradicts the files."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_server.counters import Counters
from feedback_server.recovery import inventory, recover
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.stores.sealed_log_index import SealedLogIndex
from feedback_server.stores.sealed_logs import SealedLog, SealedLogs
from feedback_wire.catalogue import LogEntry
from feedback_wire.log_name import Form, LogName
from tests.feedback_server.test_log_retention import NOON_S, a_log, write_logs
from tests.harness.waiting import eventually

MINUTES = range(NOON_S, NOON_S + 50 * 60, 60)


@pytest.fixture
def indexed(tmp_path: Path, lines) -> Path:
    """A folder of 50 sealed logs, with the index of a clean stop."""
    data = tmp_path / "data"
    write_logs(data, MINUTES, lines())
    keep_index(data)
    return data


def keep_index(data: Path) -> None:
    folder = DataFolder(data)
    SealedLogIndex(folder, OfferedLogs("fs1", sealed=recover(folder, Counters()).sealed)).close()
    folder.close()


def known(data: Path) -> tuple[int, list[str]]:
    """How many logs need not be opened thanks to the index, and the names that it does not contain."""
    folder = DataFolder(data)
    sealed, new = inventory(folder)
    folder.close()
    return len(sealed), sorted(name for name in new if name[0].isdigit())


def found(data: Path) -> dict[str, tuple[int, int]]:
    """Bytes and records of each log, by name, as a start finds them."""
    folder = DataFolder(data)
    entries = {str(entry.name): (entry.bytes, entry.records) for entry in recover(folder, Counters()).entries}
    folder.close()
    return entries


def found_without_index(data: Path) -> dict[str, tuple[int, int]]:
    shutil.rmtree(data / "state")
    return found(data)


def name(begins_s: int, form: Form = Form.JSONL) -> str:
    return str(LogName(begins_s, "fs1", 0, form))


def test_a_saved_index_names_each_form_by_a_number_that_never_changes():
    numbers = [0, 1, 2, 3]
    forms = [Form.JOURNAL, Form.JSONL, Form.CSV, Form.PARQUET]
    assert set(forms) == set(Form)
    logs = SealedLogs(
        SealedLog(entry=LogEntry(name=LogName(NOON_S + number, "fs1", 0, form), bytes=1, records=1), written_ns=0)
        for number, form in zip(numbers, forms, strict=True)
    )
    rows = logs.to_bytes(0)[-40 * len(forms) :]
    assert [rows[40 * number + 36] for number in numbers] == numbers


def test_after_a_clean_stop_the_folder_is_not_listed(indexed, monkeypatch):
    monkeypatch.setattr(DataFolder, "names", lambda _: pytest.fail("the folder was listed"))
    assert known(indexed) == (50, [])


def test_added_and_removed_logs_are_noticed_after_the_index_was_written(indexed, lines):
    write_logs(indexed, [MINUTES[-1] + 60], lines(5))
    (indexed / name(MINUTES[0])).unlink()
    assert known(indexed) == (49, [name(MINUTES[-1] + 60)])
    (indexed / name(MINUTES[20])).unlink()
    write_logs(indexed, [MINUTES[30] + 1], lines(5))
    assert known(indexed) == (48, [name(MINUTES[30] + 1), name(MINUTES[-1] + 60)])
    assert found(indexed) == found_without_index(indexed)


@pytest.mark.parametrize("others", [["0-notes.txt", "1", "2012-backup"], ["20120807", "20120807-old.tar.gz"]])
def test_files_of_other_software_whose_names_begin_with_a_digit_do_not_slow_a_start(indexed, monkeypatch, others):
    """Each start compared all names of the index one by one, because of a single such file: 39 s with five years of logs."""
    for other in others:
        (indexed / other).touch()
    monkeypatch.setattr(SealedLogs, "__iter__", lambda _: pytest.fail("the logs of the index were compared one by one"))
    assert known(indexed) == (50, [])
    keep_index(indexed)
    monkeypatch.setattr(DataFolder, "names", lambda _: pytest.fail("the folder was listed"))
    assert known(indexed) == (50, [])


def test_older_logs_that_were_put_back_are_added_in_one_pass(indexed, lines, monkeypatch):
    """Each of them moved the rows of all later logs: hours for a year of logs before four others."""
    searched = []
    stem = SealedLogs._stem
    monkeypatch.setattr(SealedLogs, "_stem", lambda self, at: searched.append(at) or stem(self, at))
    write_logs(indexed, range(NOON_S - 1000 * 60, NOON_S, 60), lines())
    write_logs(indexed, [MINUTES[30] + 1, MINUTES[-1] + 60], lines())
    entries = found(indexed)
    assert len(entries) == 1052
    assert len(searched) < 100
    assert entries == found_without_index(indexed)


_LOGS = st.lists(
    st.builds(
        lambda begins_s, server, part, form, size: SealedLog(
            entry=LogEntry(name=LogName(begins_s, server, part, form), bytes=size, records=size), written_ns=size
        ),
        st.integers(NOON_S, NOON_S + 3),
        st.sampled_from(["fs1", "fs1-0000", "a"]),
        st.integers(0, 2),
        st.sampled_from([Form.JSONL, Form.PARQUET]),
        st.integers(1, 99),
    ),
    max_size=20,
)


@given(before=_LOGS, added=_LOGS)
def test_many_logs_that_are_added_together_give_the_same_index_as_single_ones(before, added):
    added.sort(key=lambda log: str(log.entry.name))
    singly, together = SealedLogs(), SealedLogs()
    for log in before:
        singly.put(log)
        together.put(log)
    for log in added:
        singly.put(log)
    together.put_all(added)
    assert (list(together), together.bytes, together.names_sum) == (list(singly), singly.bytes, singly.names_sum)
    assert together.counts() == singly.counts()


def test_a_journal_that_was_sealed_after_the_index_was_written_is_found_once(indexed, journal_bytes):
    (indexed / name(MINUTES[-1], Form.JOURNAL)).write_bytes(journal_bytes(3))
    (indexed / name(MINUTES[-1] + 60, Form.JOURNAL)).write_bytes(journal_bytes(3))
    entries = found(indexed)
    assert name(MINUTES[-1]) in entries
    assert name(MINUTES[-1], Form.JOURNAL) not in entries
    assert not (indexed / name(MINUTES[-1], Form.JOURNAL)).exists()
    assert entries[name(MINUTES[-1] + 60, Form.JOURNAL)][1] == 3


def test_an_index_with_damage_anywhere_is_ignored(indexed, caplog):
    index = indexed / "state" / "sealed-logs"
    whole, truth = index.read_bytes(), found(indexed)
    for at in [*range(0, len(whole), 97), len(whole) - 1]:
        keep_index(indexed)
        broken = bytearray(index.read_bytes())
        broken[at] ^= 1
        index.write_bytes(broken)
        assert found(indexed) == truth
    assert "the sealed logs are counted again" in caplog.text
    index.write_bytes(whole[:-1])
    assert found(indexed) == truth


def test_a_file_that_changed_after_the_index_was_written_is_counted_again_while_the_server_runs(
    start_feedback_server, indexed, lines
):
    changed = indexed / name(MINUTES[10])
    with changed.open("r+b") as file:  # that does not change the folder
        file.truncate()
        file.write(a_log(lines(40)))
    emptied = indexed / name(MINUTES[11])
    os.truncate(emptied, 0)
    assert known(indexed) == (50, [])
    server = start_feedback_server(data=indexed)
    eventually(lambda: {entry["name"]: entry["records"] for entry in server.logs()}.get(changed.name) == 40)
    eventually(lambda: emptied.name not in {entry["name"] for entry in server.logs()})
    assert len(server.logs()) == 49
    assert "has changed since this server last read it: it is read again" in server.server.log_text()


def test_a_killed_server_and_a_stopped_one_start_again_with_the_same_catalogue(start_feedback_server, indexed, lines):
    server = start_feedback_server("--roll-seconds", "1", data=indexed)
    for _ in range(3):
        server.post(lines())
        eventually(lambda: not server.counted("journals"))
    before = server.logs()
    server.server.kill()
    server = start_feedback_server(data=indexed)
    assert server.logs() == before
    server.server.stop()
    assert known(indexed)[0] == len(before)
    assert start_feedback_server(data=indexed).logs() == before


def test_the_pages_of_a_catalogue_follow_each_other(start_feedback_server, indexed, lines):
    server = start_feedback_server(data=indexed)
    server.post(lines())
    whole = server.logs()
    assert len(whole) == 51
    pages, after = [], ""
    while True:
        answer = server.get(f"/v1/logs?limit=20{after}")
        page = answer.json
        pages.append([entry["name"] for entry in page["logs"]])
        assert ("etag" in answer.headers) is not page.get("more", False), (
            "no reader waits for a change after a page that has a next one"
        )
        if not page.get("more"):
            break
        after = f"&after={pages[-1][-1]}"
    assert [len(page) for page in pages] == [20, 20, 11]
    assert [each for page in pages for each in page] == [entry["name"] for entry in whole]
    for limit in ("0", "200001", "x", "-1", "1e3", ""):
        assert server.get(f"/v1/logs?limit={limit}").json["reason"] == "bad_limit"


def test_an_answer_without_a_limit_is_bounded_and_continues_after_its_last_log(monkeypatch, indexed):
    folder = DataFolder(indexed)
    offered = OfferedLogs("fs1", sealed=recover(folder, Counters()).sealed)
    folder.close()
    page, _ = offered.after("", 30)
    rest, _ = offered.after(page.logs[-1].name.stem, 30)
    assert (len(page.logs), page.more, len(rest.logs), rest.more) == (30, True, 20, False)


def test_logs_of_another_server_name_are_offered_and_logged(start_feedback_server, indexed, lines):
    write_logs(indexed, [NOON_S + 7], lines(), server="old-name")
    server = start_feedback_server("--name", "fs2", data=indexed)
    assert len(server.logs()) == 51
    assert "51 logs (50 of fs1, 1 of old-name) in" in server.server.log_text()
    assert "have another server name than fs2" in server.server.log_text()
    assert server.counted("foreign_logs") == 51
    assert "51 logs (50 of fs1, 1 of old-name) have another server name than fs2" in server.get("/readyz").body.decode()
    assert server.get(f"/v1/logs/{name(MINUTES[0])}").status == 200
    assert start_feedback_server("--name", "fs9", data=indexed.parent / "fresh").get("/readyz").body == b"ready\n"
