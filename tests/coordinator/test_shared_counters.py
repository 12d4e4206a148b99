"""Every message is counted at every moment: whichever worker answers the scrape, and even if its worker is killed."""

import http.client
import itertools
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from coordinator.http.exposition import _GAUGES
from coordinator.shared_counters import WORKER_DIED, MemoryEntry, SharedCounters
from coordinator.worker_counters import GAUGES, KeyCounters, ServerCounters, WorkerCounters
from tests.harness.waiting import eventually

DOCS = Path(__file__).parents[2] / "docs" / "coordinator.md"


def published_balance() -> str:
    """The equation that docs/coordinator.md gives to operators of Prometheus."""
    blocks = re.findall(r"```promql\n(.*?)```", DOCS.read_text(), re.DOTALL)
    return next(block for block in blocks if "messages_received_total" in block)


def evaluate(expression: str, scrape: dict[str, float]) -> float:
    """The sum in `SUM != 0`, of `sum by (instance) (SELECTOR)` terms over one scrape; no other syntax is supported."""
    left, zero = expression.split("!=")
    assert zero.strip() == "0"
    terms = re.findall(r"([+-]?)\s*sum by \(instance\) \(([^()]*(?:\([^()]*\))?[^()]*)\)", left)
    assert not re.sub(r"([+-]?)\s*sum by \(instance\) \(([^()]*(?:\([^()]*\))?[^()]*)\)", "", left).strip(), (
        "the whole expression was parsed"
    )
    return sum((-1 if sign == "-" else 1) * _selected(selector, scrape) for sign, selector in terms)


def _selected(selector: str, scrape: dict[str, float]) -> float:
    pattern = re.fullmatch(r'\{__name__=~"(.*)"\}', selector.strip())
    names = re.compile(pattern[1] if pattern else re.escape(selector.strip()))
    found = [value for name, value in scrape.items() if names.fullmatch("swarmscope_coordinator_" + name.partition("{")[0])]
    assert found, f"{selector} selects nothing"
    return sum(found)


def test_the_evaluator_detects_a_single_missing_message():
    scrape = {
        "messages_received_total": 10,
        "messages_forwarded_total": 4,
        "messages_spooled_total": 1,
        "messages_sampled_out_total": 1,
        'messages_refused_total{reason="x"}': 2,
        'messages_refused_total{reason="y"}': 1,
        "messages_in_flight": 1,
    }
    assert evaluate(published_balance(), scrape) == 0
    assert evaluate(published_balance(), scrape | {"messages_forwarded_total": 3}) == 1


def children(pid: int) -> list[int]:
    done = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split() if _is_worker(int(line))]


def _is_worker(pid: int) -> bool:
    try:
        return "swarmscope" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def test_the_published_equation_holds_at_every_scrape_under_load_and_across_killed_workers(
    coordinators, receiver, message, tmp_path
):
    flags = ("--workers", "2", "--sample", "0.7", "--spool", str(tmp_path / "spool"), "--spool-max-bytes", "20000")
    coordinator = coordinators(receiver, flags=flags)
    receiver.answer_late_s = 0.02
    scrapes: list[dict[str, float]] = []

    def scrape() -> dict[str, float]:
        found = _metrics(coordinator)
        if found:
            scrapes.append(found)
            assert evaluate(published_balance(), found) == 0, found
        return found

    with _load(coordinator, message) as acknowledged:
        for _ in range(2):
            before = sum(acknowledged)
            eventually(lambda so_far=before: scrape() and sum(acknowledged) > so_far + 60, "the load makes progress")
            workers = children(coordinator.process.pid)
            assert len(workers) == 2
            sure = sum(acknowledged)
            os.kill(workers[-1], signal.SIGKILL)
            eventually(lambda old=workers: len({*children(coordinator.process.pid)} - {*old}) == 1, "another one takes its place")
            eventually(lambda least=sure: _accepted(scrape()) >= least, "what was acknowledged before the kill is still counted")
        receiver.stop()
        eventually(lambda: 'messages_refused_total{reason="spool_full"}' in scrape(), "the spool is full")
    eventually(lambda: scrape().get("messages_in_flight") == 0, "nothing is in flight")
    last = scrapes[-1]
    assert len(scrapes) >= 10
    assert _accepted(last) >= sum(acknowledged)
    for name in ("messages_forwarded_total", "messages_spooled_total", "messages_sampled_out_total"):
        assert last[name] > 0, name
    assert last['messages_refused_total{reason="missing_field"}'] > 0
    for earlier, later in itertools.pairwise(scrapes):
        fallen = [name for name in earlier if "_total" in name and later.get(name, 0) < earlier[name]]
        assert not fallen, f"counters never decrease, or Prometheus takes it for a restart: {fallen}"


@contextmanager
def _load(coordinator, message) -> Iterator[list[int]]:
    """Three senders of batches with one bad message each; yields how many messages were acknowledged to each of them."""
    acknowledged = [0, 0, 0]
    enough = threading.Event()

    def send(number: int) -> None:
        while not enough.is_set():
            batch = [message(peer_id=f"peer-{number}-{index}") for index in range(9)] + [{"bad": 1}]
            with suppress(OSError, http.client.HTTPException):  # its worker was killed
                status, answer = coordinator.post(json.dumps(batch).encode())
                acknowledged[number] += answer["accepted"] if status == 202 else 0

    senders = [threading.Thread(target=send, args=(number,)) for number in range(len(acknowledged))]
    for sender in senders:
        sender.start()
    try:
        yield acknowledged
    finally:
        enough.set()
        for sender in senders:
            sender.join(20)


def _accepted(scrape: dict[str, float]) -> float:
    return scrape.get("messages_accepted_total", 0)


def test_messages_in_flight_in_a_killed_worker_are_counted_as_refused(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--workers", "2"))
    receiver.released.clear()
    with coordinator.connect() as sender:
        body = json.dumps([message() for _ in range(7)]).encode()
        sender.sendall(b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        eventually(lambda: coordinator.metrics()["messages_in_flight"] == 7, "they are in flight, whichever worker answers")
        for worker in children(coordinator.process.pid):
            os.kill(worker, signal.SIGKILL)
        assert sender.recv(100) == b""
    receiver.released.set()
    eventually(lambda: _metrics(coordinator).get("messages_in_flight") == 0, "two other workers run")
    counted = coordinator.metrics()
    assert counted[f'messages_refused_total{{reason="{WORKER_DIED}"}}'] == counted["messages_received_total"] == 7
    assert evaluate(published_balance(), counted) == 0


def _metrics(coordinator) -> dict[str, float]:
    try:
        return coordinator.metrics()
    except (OSError, http.client.HTTPException):
        return {}


def test_the_other_workers_report_the_counters_of_a_frozen_worker(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--workers", "2"))
    for _ in range(20):
        assert coordinator.post(json.dumps(message()).encode())[0] == 202
    frozen = children(coordinator.process.pid)[0]
    os.kill(frozen, signal.SIGSTOP)
    try:
        # A connection may land with the frozen worker; further ones are tried until the other worker accepts one.
        eventually(lambda: _metrics_soon(coordinator).get("messages_forwarded_total") == 20, "none of them is forgotten")
    finally:
        os.kill(frozen, signal.SIGCONT)


def _metrics_soon(coordinator) -> dict[str, float]:
    with coordinator.connect() as connection:
        connection.settimeout(1)
        try:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        except OSError:
            return {}
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("swarmscope_")]
    return {name.removeprefix("swarmscope_coordinator_"): float(value) for name, value in lines}


def test_gauges_have_the_names_of_their_metrics():
    assert {name for name, _, _ in _GAUGES} == {*GAUGES, "in_flight"}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), max_size=6))
def test_the_counters_balance_over_any_number_of_worker_lives(lives: list[tuple[int, int, int]]):
    shared = SharedCounters(1)
    page = shared.pages[0]
    for stored, refused, in_flight in lives:
        page.begin_process()
        counters = WorkerCounters(
            received=stored + refused + in_flight, stored=stored, refused={"malformed": refused}, in_flight=in_flight, connections=9
        )
        counters.servers["http://x"] = ServerCounters(up_feedback=1, messages=stored)
        page.publish(counters)
        page.publish_keys({"web": KeyCounters(messages=counters.received, held_bytes=5)})
        page.end_process()
        assert shared.total() == page.read()
        page.end_process()  # the same worker again: it dies only once
    total = shared.total()
    assert total.received == sum(map(sum, lives)) == total.stored + sum(total.refused.values())
    assert (total.in_flight, total.connections) == (0, 0)
    assert total.refused.get(WORKER_DIED, 0) == sum(in_flight for _, _, in_flight in lives)
    if lives:
        assert total.servers["http://x"] == ServerCounters(messages=total.stored)
        assert total.keys["web"] == KeyCounters(messages=total.received)


@given(st.integers(0, 40))
def test_an_interrupted_write_leaves_the_former_counters_valid(torn_at: int):
    memory = bytearray(1 + 2 * 64)
    entry = MemoryEntry(memory, 0, 64)  # type: ignore[arg-type] — a plain memory shows the same
    entry.write(1, b"former")
    entry.write(2, b"valid one")
    begun = bytearray(memory)
    entry.write(3, b"the next one")
    assert entry.read() == (3, b"the next one")
    begun[65 : 65 + torn_at] = memory[65 : 65 + torn_at]  # killed before the byte that makes it valid
    assert MemoryEntry(begun, 0, 64).read() == (2, b"valid one")  # type: ignore[arg-type]
