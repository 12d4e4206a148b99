"""A feedback server without memory (RLIMIT_AS) refuses, loses nothing that it acknowledged, and recovers by itself."""

import http.client
import resource
import threading
from pathlib import Path

from tests.feedback_server.test_books import assert_balanced, books
from tests.processes import eventually

RECORDS = 18_000
"""A batch of 3.3 MB, near the largest that is taken."""

SENDERS, BATCHES = 4, 6


def test_without_memory_batches_are_refused_with_503_and_nothing_acknowledged_is_lost(room, lines, stored):
    server = room("--roll-seconds", "1")
    server.post(lines(5, session="before"))
    pid = server.server.process.pid
    taken = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    acknowledged, statuses = [("before", seq) for seq in range(5)], []

    def send(sender: int) -> None:
        for number in range(BATCHES):
            session = f"s{sender}-{number}"
            try:
                answer = server.post(lines(RECORDS, session=session))
            except (ConnectionError, http.client.HTTPException):
                continue  # without memory, a connection may not come about
            statuses.append(answer.status)
            if answer.status == 200:
                acknowledged.extend((session, seq) for seq in range(RECORDS))

    resource.prlimit(pid, resource.RLIMIT_AS, (taken + (4 << 20), resource.RLIM_INFINITY))
    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(120)
    resource.prlimit(pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert set(statuses) <= {200, 503}
    assert 503 in statuses, "the fault happened"
    eventually(lambda: server.get("/readyz").status == 200)
    assert server.post(lines(3, session="after")).status == 200
    acknowledged += [("after", seq) for seq in range(3)]
    eventually(lambda: books(server)["journals"] == 0)
    found = assert_balanced(server)
    assert found["records_total"] == found["sealed_records_total"]
    assert server.server.stop() == 0
    assert "Traceback" not in server.server.said()
    assert set(acknowledged) <= set(stored(server.data))
