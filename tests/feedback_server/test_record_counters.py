"""The counters of a feedback server balance in its metrics alone, after any input and any failure."""

import re
import shutil
import socket
import subprocess
import threading
from urllib.parse import urlsplit

import pytest

from tests.feedback_server.conftest import FeedbackServer
from tests.harness.waiting import eventually

BOOKS = re.compile(r"^swarmscope_feedback_server_(\w+)(?:\{reason=\"(\w+)\"\})? ([0-9.e+]+)$", re.MULTILINE)


def record_counters(server: FeedbackServer) -> dict[str, float]:
    """Every number of /metrics; those with reasons are summed."""
    found: dict[str, float] = {}
    for name, _, value in BOOKS.findall(server.get("/metrics", cache_control="no-cache", authorization="Bearer out").body.decode()):
        found[name] = found.get(name, 0) + float(value)
    return found


def assert_balanced(server: FeedbackServer) -> dict[str, float]:
    found = record_counters(server)
    came = found["batches_total"] + found["duplicates_total"] + found.get("batches_refused_total", 0) + found["batches_in_flight"]
    assert found["batches_received_total"] == came, found
    return found


def test_every_received_batch_is_stored_duplicate_refused_or_in_progress(start_feedback_server, lines):
    server = start_feedback_server("--roll-seconds", "1", "--token", "in", "--read-token", "out")
    good = {"authorization": "Bearer in"}
    for number in range(10):
        assert server.post(lines(3, session=f"s{number}"), f"{number + 1:032x}", **good).status == 200
    assert server.post(lines(3), f"{1:032x}", **good).json == {"stored": 0, "duplicate": True}
    assert [
        server.post(lines(3)).status,
        server.post(b"[]\n", **good).status,
        server.post(lines(3), "x", **good).status,
        server.post(lines(3), **(good | {"content_type": "text/plain"})).status,
        server.post(b"{}\n" * 2_000_000, **good).status,
    ] == [401, 400, 400, 415, 413]
    host, _, port = urlsplit(server.server.url).netloc.partition(":")
    with socket.create_connection((host, int(port))) as link:
        link.sendall(b"POST /v1/records HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer in\r\nSwarmscope-Batch: " + b"ab" * 16)
        link.sendall(b"\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{")
        eventually(lambda: assert_balanced(server)["batches_in_flight"] == 1)
    found = eventually(lambda: (now := assert_balanced(server))["batches_in_flight"] == 0 and now)
    assert (found["batches_received_total"], found["batches_total"], found["duplicates_total"]) == (17, 10, 1)
    assert server.counted('batches_refused_total{reason="sender_left"}') == 1
    assert server.counted('batches_refused_total{reason="unauthorized"}') == 1
    eventually(lambda: record_counters(server)["journals"] == 0)
    found = record_counters(server)
    assert found["records_total"] == found["sealed_records_total"] == 30


def test_every_stored_record_is_sealed_in_a_journal_or_in_quarantine_even_after_a_kill(start_feedback_server, lines):
    server = start_feedback_server("--roll-seconds", "86400")
    for number in range(4):
        server.post(lines(5, session=f"s{number}"))
    assert record_counters(server)["journal_records"] == record_counters(server)["records_total"] == 20
    server.server.kill()
    (journal,) = server.data.glob("*.journal")
    data = bytearray(journal.read_bytes())
    data[-20] ^= 1  # in the last frame's payload: known only when it is inflated, or by its checksum
    journal.write_bytes(data)
    server = start_feedback_server("--roll-seconds", "86400")
    server.post(lines(7, session="after"))
    eventually(lambda: record_counters(server)["journals"] == 1)
    found = record_counters(server)
    assert found["recovered_records_total"] in (15, 20)
    stored = found["records_total"] + found["recovered_records_total"]
    assert stored == found["sealed_records_total"] + found["journal_records"] + found["quarantined_records_total"]
    assert found["quarantined_total"] == 1


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit of util-linux")
def test_the_counters_balance_at_every_moment_under_load_while_the_disk_refuses(start_feedback_server, lines, stored):
    server = start_feedback_server("--roll-seconds", "1")
    limit = ["prlimit", "--pid", str(server.server.process.pid)]
    acknowledged: set[tuple[str, int]] = set()
    stop = threading.Event()

    def send(session: str) -> None:
        first = 0
        while not stop.is_set():
            if server.post(lines(5, session=session, first=first)).status == 200:
                acknowledged.update((session, first + number) for number in range(5))
                first += 5

    senders = [threading.Thread(target=send, args=(f"s{number}",)) for number in range(4)]
    for sender in senders:
        sender.start()
    try:
        for fsize in ("5:unlimited", "unlimited:unlimited") * 2:
            subprocess.run([*limit, f"--fsize={fsize}"], check=True)
            refused = "batches_refused_total" if fsize.startswith("5") else "batches_total"
            before = record_counters(server).get(refused, 0)
            eventually(lambda name=refused, before=before: assert_balanced(server).get(name, 0) > before)
    finally:
        stop.set()
        for sender in senders:
            sender.join(30)
    found = assert_balanced(server)
    assert found["batches_in_flight"] == 0
    assert found["records_total"] == len(acknowledged) > 0
    assert server.counted('batches_refused_total{reason="not_durable"}') > 0
    server.server.stop()
    assert sorted(stored(server.data)) == sorted(acknowledged)
