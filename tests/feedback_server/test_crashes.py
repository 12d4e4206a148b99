"""What survives a crash of any kind: everything acknowledged, exactly once."""

import secrets
import shutil
import subprocess
import sys
import threading

import pytest

from feedback_wire.frames import Damage, walk
from feedback_wire.log_name import LogName
from tests.harness.waiting import eventually


class Load:
    """Coordinators that send batches one after the other, and repeat those without an acknowledgement, until stopped."""

    def __init__(self, server, lines, senders=4):
        self.server, self.lines = server, lines
        self.acknowledged: set[tuple[str, int]] = set()
        self.unanswered: list[tuple[str, bytes]] = []
        self.going_on = True
        self.threads = [threading.Thread(target=self.send, args=(f"s{number}",)) for number in range(senders)]
        for thread in self.threads:
            thread.start()

    def send(self, session):
        first = 0
        while self.going_on:
            batch, body = secrets.token_hex(16), self.lines(20, session=session, first=first)
            try:
                answer = self.server.post(body, batch)
            except OSError:
                self.unanswered.append((batch, body))
                return
            assert answer.json == {"stored": 20}
            self.acknowledged |= {(session, first + number) for number in range(20)}
            first += 20

    def finish(self):
        self.going_on = False
        for thread in self.threads:
            thread.join(30)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_a_kill_under_load_loses_nothing_acknowledged_and_stores_nothing_twice(start_feedback_server, lines, stored, form):
    server = start_feedback_server("--roll-seconds", "1", "--format", form)
    load = Load(server, lines)
    eventually(lambda: any(entry["sealed"] for entry in server.logs()) and len(load.acknowledged) > 200)
    server.server.kill()
    load.finish()
    assert load.unanswered, "the kill hit while batches were on their way"
    journal = max(server.data.glob("*.journal"))
    with journal.open("ab") as torn:
        torn.write(secrets.token_bytes(300))

    server = start_feedback_server("--format", form)
    again = [server.post(body, batch) for batch, body in load.unanswered]
    assert {answer.status for answer in again} == {200}
    assert server.counted("quarantined_bytes_total") >= 300
    assert server.server.stop() == 0
    found = stored(server.data)
    assert len(found) == len(set(found))
    assert load.acknowledged <= set(found)
    assert not list(server.data.glob("*.journal"))


def test_a_server_that_is_killed_begins_a_new_part_and_never_touches_the_old_one(start_feedback_server, lines):
    server = start_feedback_server("--roll-seconds", "86400")
    server.post(lines())
    (before,) = server.logs()
    server.server.kill()
    server = start_feedback_server("--roll-seconds", "86400")
    server.post(lines(session="later"))
    first, second = (LogName.parse(entry["name"]) for entry in server.logs())
    assert (first.part, second.part) == (0, 1)
    assert first.stem == LogName.parse(before["name"]).stem
    assert [entry["records"] for entry in server.logs()] == [3, 3]


def test_the_torn_tail_goes_into_quarantine_and_is_no_loss(start_feedback_server, lines, stored):
    server = start_feedback_server()
    server.post(lines(3))
    name = server.logs()[0]["name"]
    server.server.kill()
    journal = server.data / name
    good = journal.stat().st_size
    with journal.open("ab") as torn:
        torn.write(journal.read_bytes()[13:90])
    server = start_feedback_server()
    (quarantined,) = (server.data / "quarantine").iterdir()
    assert (quarantined.name, quarantined.stat().st_size) == (f"{name}.{good}", 77)
    assert server.counted("quarantined_bytes_total") == 77
    eventually(lambda: server.logs()[0]["sealed"])
    assert stored(server.data) == [("s", 0), ("s", 1), ("s", 2)]


def test_no_file_in_the_folder_can_prevent_the_start(start_feedback_server, journal_bytes):
    server = start_feedback_server()
    server.server.stop()
    stems = iter(f"20120807T0930{second:02d}Z-fs1-0000" for second in range(60))
    good = journal_bytes(2, 3)
    contents = [b"", b"x", good[:20], bytes(5000), secrets.token_bytes(5000), good[:100] + b"\0" + good[101:], good]
    for content in contents:
        (server.data / f"{next(stems)}.journal").write_bytes(content)
    (server.data / f"{next(stems)}.parquet").write_bytes(b"PAR1 not really")
    (server.data / f"{next(stems)}.jsonl.zst").write_bytes(good)
    (server.data / f"{next(stems)}.journal").mkdir()
    (server.data / "recent-batches").write_bytes(b"odd")
    (server.data / "notes.txt").write_text("mine")
    (server.data / ".20120807T093059Z-fs1-0000.jsonl.zst.sealing").write_bytes(good[:50])
    server = start_feedback_server()
    eventually(lambda: server.counted("journals") == 0)
    assert [(entry["name"][13:15], entry["records"]) for entry in server.logs()] == [("05", 3), ("06", 5), ("07", 0), ("08", 0)]
    assert (server.data / "notes.txt").read_text() == "mine"
    assert not list(server.data.glob(".2*"))
    assert server.get("/readyz").status == 200


def test_a_crash_between_sealing_and_removing_leaves_one_of_both(start_feedback_server, lines, stored):
    server = start_feedback_server("--roll-seconds", "86400")
    server.post(lines())
    name = server.logs()[0]["name"]
    copy = server.data.parent / name
    shutil.copy(server.data / name, copy)
    server.server.stop()
    shutil.copy(copy, server.data)  # as if the journal had not been removed yet
    server = start_feedback_server()
    assert [(entry["records"], entry["sealed"]) for entry in server.logs()] == [(3, True)]
    assert not list(server.data.glob("*.journal"))
    server.server.stop()

    (sealed,) = server.data.glob("*.jsonl.zst")
    sealed.write_bytes(sealed.read_bytes()[:-10])  # as a disk may lose the end of a file after it confirmed a sync
    shutil.copy(copy, server.data)
    server = start_feedback_server("--format", "csv")
    eventually(lambda: [(entry["records"], entry["sealed"]) for entry in server.logs()] == [(3, True)])
    assert len(stored(server.data)) == 3


def test_damage_within_a_journal_costs_only_its_frame(start_feedback_server, journal_bytes, stored):
    server = start_feedback_server()
    server.server.stop()
    data = bytearray(journal_bytes(2, 3, 4))
    second = [found.offset for found in walk(bytes(data))][1]
    data[second + 80] ^= 1
    (server.data / "20120807T093000Z-fs1-0000.journal").write_bytes(data)
    assert [type(found) for found in walk(bytes(data))].count(Damage) == 1
    server = start_feedback_server()
    eventually(lambda: server.counted("sealed_total") == 1)
    assert stored(server.data) == [("s", seq) for seq in (0, 1, 5, 6, 7, 8)]
    assert server.counted("quarantined_total") == 1


def test_a_second_server_on_the_same_folder_is_refused(start_feedback_server):
    server = start_feedback_server()
    command = [
        sys.executable,
        "-m",
        "swarmscope",
        "feedback-server",
        "--insecure",
        "--listen",
        "127.0.0.1:0",
        "--data",
        server.data,
    ]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert "in use by another feedback server" in second.stderr
    assert "Traceback" not in second.stderr
    assert server.get("/readyz").status == 200


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit of util-linux")
def test_a_batch_that_the_disk_refuses_is_not_acknowledged_and_is_accepted_when_the_disk_recovers(
    start_feedback_server, lines, stored
):
    """A limit on the size of files simulates the full disk, because it also applies to root."""
    server = start_feedback_server()
    server.post(lines(session="before"))
    limit = ["prlimit", "--pid", str(server.server.process.pid)]
    subprocess.run([*limit, "--fsize=5:unlimited"], check=True)
    refused = server.post(lines(session="during"), "ab" * 16)
    assert (refused.status, refused.json["reason"], refused.headers["retry-after"]) == (503, "not_durable", "1")
    assert server.counted("write_errors_total") >= 2
    assert server.get("/readyz").status == 503
    assert server.logs()[0]["records"] == 3
    subprocess.run([*limit, "--fsize=unlimited:unlimited"], check=True)
    eventually(lambda: server.get("/readyz").status == 200)
    assert server.post(lines(session="during"), "ab" * 16).json == {"stored": 3}
    server.server.stop()
    assert sorted(stored(server.data)) == [(session, seq) for session in ("before", "during") for seq in range(3)]


def test_nothing_is_acknowledged_into_a_removed_journal(start_feedback_server, lines, stored):
    server = start_feedback_server("--roll-seconds", "3600")
    server.post(lines(1))
    [journal] = server.data.glob("*.journal")
    journal.unlink()
    later = server.post(lines(1, session="later"))
    if later.status != 200:  # it may also be refused, and is then sent again
        later = server.post(lines(1, session="later"))
    assert later.status == 200
    server.server.stop()
    assert stored(server.data) == [("later", 0)]


def test_a_journal_that_is_removed_before_it_is_sealed_is_counted_as_lost_and_delays_no_other(start_feedback_server, lines, stored):
    server = start_feedback_server("--roll-seconds", "86400")
    server.post(lines(2))
    [journal] = server.data.glob("*.journal")
    journal.unlink()
    eventually(lambda: server.post(lines(1, session="later")).status == 200)
    eventually(lambda: server.counted("quarantined_records_total") == 2)
    assert "2 acknowledged records are lost" in server.server.log_text()
    server.server.stop()
    assert not list(server.data.glob("*.journal"))
    assert {session for session, _ in stored(server.data)} == {"later"}


@pytest.mark.parametrize("instead", ["nothing", "an empty folder", "a copy"])
def test_nothing_is_acknowledged_into_a_folder_that_was_moved_until_it_is_back(
    start_feedback_server, lines, stored, tmp_path, instead
):
    server, moved = start_feedback_server("--roll-seconds", "86400"), tmp_path / "moved"
    server.post(lines(1))
    server.data.rename(moved)
    if instead == "an empty folder":
        server.data.mkdir()
    elif instead == "a copy":
        shutil.copytree(moved, server.data)
    before = sorted(server.data.iterdir()) if instead != "nothing" else []
    for refused in (server.post(lines(1, session="during"), "ab" * 16), server.get("/readyz")):
        assert refused.status == 503
        assert "not where it was when this server started" in refused.json["detail"]
    if instead != "nothing":
        assert sorted(server.data.iterdir()) == before, "nothing is written where another process may be at work"
        shutil.rmtree(server.data)
    moved.rename(server.data)
    eventually(lambda: server.get("/readyz").status == 200)
    assert server.post(lines(1, session="during"), "ab" * 16).status == 200
    server.server.stop()
    assert sorted(stored(server.data)) == [("during", 0), ("s", 0)]
    assert "Traceback" not in server.server.log_text()


def test_an_empty_file_with_the_name_of_a_log_is_not_offered(start_feedback_server, lines):
    server = start_feedback_server()
    server.post(lines(1))
    server.server.stop()
    (server.data / "20120807T093000Z-fs1-0000.jsonl.zst").touch()
    assert [log["records"] for log in start_feedback_server().logs()] == [1]
