"""A data folder that cannot be written:

existing logs are served, and records are refused with the reason until it is writable again.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.disks import assert_read_only, remount, unmount
from tests.harness.processes import run_swarmscope
from tests.harness.waiting import eventually


def test_on_a_read_only_disk_logs_are_served_and_batches_refused_until_it_is_writable(start_feedback_server, lines, stored, disk):
    server = start_feedback_server(data=disk / "data")
    server.post(lines(3, session="sealed"))
    server.server.stop()
    server = start_feedback_server("--roll-seconds", "86400", data=disk / "data")
    server.post(lines(4, session="open"), "cd" * 16)
    server.server.kill()
    remount(disk, "ro")
    assert_read_only(disk)

    server = start_feedback_server(data=disk / "data")
    assert [(entry["records"], entry["sealed"]) for entry in server.logs()] == [(3, True), (4, False)]
    for entry in server.logs():
        assert len(server.get(f"/v1/logs/{entry['name']}").body) == entry["bytes"]
    for refused in (server.post(lines(5, session="new"), "ab" * 16), server.get("/readyz")):
        assert (refused.status, refused.json["reason"], refused.headers["retry-after"]) == (503, "not_durable", "1")
        assert "Read-only file system" in refused.json["detail"]
    assert server.post(lines(4, session="open"), "cd" * 16).json == {"stored": 0, "duplicate": True}
    assert server.counted("ready") == 0
    assert "Traceback" not in server.server.log_text()

    remount(disk, "rw")
    eventually(lambda: server.get("/readyz").status == 200)
    assert server.post(lines(5, session="new"), "ab" * 16).json == {"stored": 5}
    assert server.server.stop() == 0
    names = [("sealed", 3), ("open", 4), ("new", 5)]
    assert sorted(stored(disk / "data")) == sorted((session, seq) for session, count in names for seq in range(count))
    assert not list((disk / "data").glob("*.journal"))


def test_a_server_whose_disk_is_unmounted_acknowledges_nothing(start_feedback_server, lines, disk):
    server = start_feedback_server("--roll-seconds", "1", data=disk / "data")
    assert server.post(lines(1)).status == 200
    unmount(disk)
    assert not list(disk.iterdir()), "only the server's open files still reach the disk"
    assert server.post(lines(1, session="during")).status == 503
    assert "mount its disk again" in server.get("/readyz").json["detail"]


def test_failing_sealing_on_a_read_only_disk_is_logged_once_and_so_is_its_recovery(start_feedback_server, lines, disk):
    server = start_feedback_server("--roll-seconds", "86400", data=disk / "data")
    server.post(lines(1))
    server.server.kill()
    remount(disk, "ro")
    server = start_feedback_server(data=disk / "data")
    eventually(lambda: server.counted("seal_errors_total") >= 2)
    assert server.server.log_text().count("stays a journal for now") == 1
    remount(disk, "rw")
    eventually(lambda: server.counted("sealed_total") == 1)
    eventually(lambda: "sealing works again" in server.server.log_text())


@pytest.mark.parametrize("locked", [True, False], ids=["with a lock file", "without"])
def test_a_second_server_on_the_same_read_only_folder_is_refused(start_feedback_server: Callable, disk: Path, locked: bool):
    data = disk / "data"
    start_feedback_server(data=data).server.stop()
    if not locked:
        (data / ".lock").unlink()
    remount(disk, "ro")
    server = start_feedback_server(data=data)
    for how in ("ro", "rw"):
        remount(disk, how)
        second = run_swarmscope("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", data)
        assert second.returncode == 1
        assert "in use by another feedback server" in second.stderr
    assert server.get("/healthz").status == 200
