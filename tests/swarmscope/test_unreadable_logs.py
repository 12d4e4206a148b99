"""Each command that reads logs handles files that it cannot read, and logs that are sealed while it runs."""

import gzip
import json
import os
import shutil
import threading
import urllib.request
from pathlib import Path

import pytest

from feedback_wire.log_name import Form
from feedback_wire.routes import BATCH_HEADER, NDJSON, RECORDS
from swarmscope.commands import log_arguments
from swarmscope.commands import logs as logs_command
from tests.faults.system_calls import failed
from tests.harness.logs import record, write_log
from tests.harness.processes import Server, run_swarmscope, start_server
from tests.harness.unreadable_logs import make_unreadable_logs
from tests.harness.waiting import eventually

RULES = '[[rule]]\nname = "many"\nmeasure = "peers"\nabove = 0\nfor_minutes = 1\n'


@pytest.fixture
def odd(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder with a good log and unreadable files, and the reason of each."""
    folder = tmp_path / "odd"
    write_log(folder, [record(seq=seq) for seq in range(6)])
    return folder, [f"{path}: {reason}" for path, reason in make_unreadable_logs(folder).items()]


def test_analyze_names_and_counts_unreadable_logs_and_measures_the_rest(odd):
    folder, reasons = odd
    answer = run_swarmscope("analyze", folder, "--json")
    answer_json = json.loads(answer.stdout)
    assert (answer.returncode, answer_json["messages"], answer_json["unread_logs"]) == (0, 6, len(reasons))
    assert sorted(answer.stderr.splitlines()) == sorted(f"not read: {each}" for each in reasons)


def test_analyze_names_damage_by_the_file_that_the_user_gave(tmp_path):
    log = write_log(tmp_path, [record(seq=seq) for seq in range(6)])
    packed = tmp_path / f"{log.name}.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()[:-1] + b"?"))
    answer = run_swarmscope("analyze", packed, "--json")
    [line] = answer.stderr.splitlines()
    assert line.startswith(f"damaged: {packed}")


@pytest.mark.parametrize("command", [["cat"], ["verify"], ["convert", "--to", "csv", "-o", "out"]], ids=lambda command: command[0])
def test_the_logs_commands_read_the_rest_and_exit_with_1(odd, command, monkeypatch, tmp_path):
    folder, reasons = odd
    monkeypatch.chdir(tmp_path)
    answer = run_swarmscope("logs", *command, folder)
    named = [each.replace(": it", ": not read: it") for each in reasons]
    output = answer.stdout if command == ["verify"] else answer.stderr
    assert [line for line in output.splitlines() if "not read" in line] == sorted(named)
    assert answer.returncode == 1
    if command == ["cat"]:
        assert len(answer.stdout.splitlines()) == 6
    elif command == ["verify"]:
        assert answer.stdout.endswith(": good, 6 records in 1 frames\n")
    else:
        assert len(list((tmp_path / "out").iterdir())) == 1


READERS = [
    ["analyze"],
    ["history", "build", "--into", "history"],
    ["alerts", "test", "rules.toml"],
    ["logs", "cat"],
    ["logs", "verify"],
    ["logs", "convert", "--to", "csv", "-o", "out"],
]


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_files_of_a_folder_that_look_like_logs_and_are_not_read_are_counted_and_named(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("rules.toml").write_text(RULES)
    good = write_log(Path("logs"), [record()])
    bare = Path("logs/friday.jsonl")
    bare.write_text("{}\n")
    for other in ("notes.txt", ".hidden.jsonl", f"{good.name}.part"):
        Path("logs", other).touch()
    if command[0] != "logs":  # these read any file with a log's ending
        write_log(Path("elsewhere"), [record()])
        Path("logs/x.parquet").touch()
        Path("logs/link").symlink_to(Path("elsewhere").resolve())
    answer = run_swarmscope(*command, "logs")
    count = "1 file or link has" if command[0] == "logs" else "3 files or links have"
    named = [line for line in answer.stderr.splitlines() if "no log name" in line]
    assert len(named) == 1
    assert f"{count} no log name" in named[0]
    assert named[0].endswith(f": {bare}")


def test_the_history_and_the_alerts_read_the_rest(odd, tmp_path):
    folder, reasons = odd
    built = run_swarmscope("history", "build", folder, "--into", tmp_path / "history")
    assert built.returncode == 0
    assert "1 logs added: 6 messages" in built.stderr
    assert f"{len(reasons)} unreadable logs" in built.stderr
    (tmp_path / "rules.toml").write_text(RULES)
    judged = run_swarmscope("alerts", "test", tmp_path / "rules.toml", folder)
    assert judged.returncode == 0, judged.stderr
    named = [f"not read: {each}" for each in sorted(reasons)]
    for answer in (built, judged):
        assert [line for line in answer.stderr.splitlines() if "not read:" in line] == named


def test_the_static_dashboard_shows_the_rest_and_counts_missing_logs(odd, tmp_path):
    folder, reasons = odd
    monitor = start_server("monitor", "--static", str(folder), "--listen", "127.0.0.1:0", log=tmp_path / "monitor.log")
    try:
        with urllib.request.urlopen(f"{monitor.url}/api/v1/summary", timeout=20) as answer:
            answer_json = json.loads(answer.read())
        assert (answer_json["messages"], answer_json["unread_logs"]) == (6, len(reasons))
        with urllib.request.urlopen(f"{monitor.url}/metrics", timeout=20) as answer:
            assert f"swarmscope_monitor_unread_logs {len(reasons)}.0" in answer.read().decode()
        for each in reasons:
            assert f"not read: {each}" in monitor.log_text()
    finally:
        assert monitor.stop() == 0


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    ("fail", "of_folder", "reason"),
    [
        ("openat:error=EACCES", False, "this user may not read it"),
        ("read:error=EIO", False, "Input/output error"),
        ("openat:error=EACCES", True, "the folder cannot be searched: this user may not read it"),
    ],
)
def test_logs_that_fail_with_a_disk_or_permission_error_are_named(tmp_path, fail, of_folder, reason):
    write_log(tmp_path / "logs", [record()])
    bad = write_log(tmp_path / "logs" / "below", [record(seq=seq) for seq in range(1, 9)])
    bad = bad.parent if of_folder else bad
    trace = tmp_path / "calls"
    call = fail.partition(":")[0]
    under = ("strace", "-f", "-P", str(bad), "-e", f"trace={call}", "-e", f"inject={fail}", "-o", str(trace))
    answer = run_swarmscope("analyze", tmp_path / "logs", "--json", prefix=under)
    if not trace.exists() or not trace.read_text():
        pytest.skip("strace may not look at processes here")
    assert failed(trace) >= 1
    answer_json = json.loads(answer.stdout)
    assert (answer.returncode, answer_json["messages"], answer_json["unread_logs"]) == (0, 1, 1)
    assert answer.stderr.splitlines() == [f"not read: {bad}: {reason}"]


@pytest.mark.parametrize("command", ["analyze", "logs cat", "logs verify"])
def test_a_named_path_that_does_not_exist_stays_a_usage_error(command, tmp_path):
    answer = run_swarmscope(*command.split(), tmp_path / "20120807T093000Z-fs1-0000.parquet")
    assert answer.returncode in (1, 2)
    assert "does not exist" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def sealed_after_listing(monkeypatch: pytest.MonkeyPatch, journal: Path, sealed: Path) -> None:
    """Replace a journal by its sealed log as soon as the command has listed the folder."""
    listed = log_arguments.entries_of

    def then_sealed(folder: Path) -> list[os.DirEntry[str]]:
        entries = listed(folder)
        if journal.exists():
            sealed.rename(journal.with_suffix(".jsonl.zst"))
            journal.unlink()
        return entries

    monkeypatch.setattr(log_arguments, "entries_of", then_sealed)


@pytest.mark.parametrize("command", ["cat", "verify", "convert"])
def test_a_journal_that_is_sealed_after_the_listing_is_printed_checked_and_converted(command, tmp_path, monkeypatch, capfd):
    records = [record(seq=seq) for seq in range(6)]
    journal = write_log(tmp_path / "logs", records, Form.JOURNAL)
    sealed_after_listing(monkeypatch, journal, write_log(tmp_path / "other", records))
    out = tmp_path / "out"
    arguments = {"cat": {}, "verify": {}, "convert": {"to": "csv", "out": out}}[command]
    with pytest.raises(SystemExit) as ended:
        getattr(logs_command, command)([tmp_path / "logs"], **arguments)
    answer_json = capfd.readouterr()
    assert (ended.value.code, answer_json.err) == (0, "")
    assert not journal.exists()
    if command == "cat":
        assert len(answer_json.out.splitlines()) == 6
    elif command == "verify":
        assert ": good, 6 records" in answer_json.out
    else:
        assert [path.name for path in out.iterdir()] == [f"{journal.stem}.csv.zst"]


def post(server: Server, seq: int) -> None:
    answer_json = (
        b'{"ip":"203.0.113.0","weight":1,"via":"c","v":1,"peer_id":"p","session_id":"s","seq":%d,"event":"report","sent_ms":1}\n'
    )
    headers = {"content-type": NDJSON, BATCH_HEADER: f"{seq + 1:032x}"}
    urllib.request.urlopen(urllib.request.Request(server.url + RECORDS, answer_json % seq, headers), timeout=20).close()


def test_commands_on_the_folder_of_a_running_server_find_no_missing_file(tmp_path):
    """Logs of a second: some journal is sealed during each command."""
    data = tmp_path / "data"
    arguments = ("--listen", "127.0.0.1:0", "--data", str(data), "--roll-seconds", "1", "--insecure")
    server = start_server("feedback-server", *arguments, log=tmp_path / "server.log")
    stored, ended = [0], threading.Event()

    def keep_posting() -> None:
        while not ended.is_set():
            post(server, stored[0])
            stored[0] += 1
            ended.wait(0.05)

    poster = threading.Thread(target=keep_posting)
    poster.start()
    try:
        eventually(lambda: len(list(data.glob("*.zst"))) >= 1)
        for _ in range(2):
            sealed, before = set(data.glob("*.zst")), stored[0]
            answer = run_swarmscope("analyze", data, "--json")
            assert (answer.returncode, answer.stderr) == (0, "")
            answer_json = json.loads(answer.stdout)
            assert answer_json["messages"] >= before
            assert (answer_json["duplicates"], answer_json["unread_logs"], answer_json["lost"]) == (0, 0, 0)
            checked = run_swarmscope("logs", "verify", data)
            assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
            eventually(lambda known=sealed: set(data.glob("*.zst")) - known)
    finally:
        ended.set()
        poster.join()
        assert server.stop() == 0
