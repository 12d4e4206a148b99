"""A master whose disk takes nothing: no record is lost or torn, probing can be stopped, and it goes on by itself."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from measurement.checked_json import checked
from measurement.master.operation_journal import OperationJournal
from measurement.master.record_forwarding import RecordForwarder
from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import HandmadeAgent, start_master, state, submit

PATIENT = ("--keepalive-s", "5", "--agent-timer-s", "50", "--master-timer-s", "60", "--reconnect-s", "20")


@contextmanager
def full(journal):
    """Meanwhile, each write to the journal's file fails as on a full disk."""
    descriptor = journal._file.fileno()
    kept, refusing = os.dup(descriptor), os.open("/dev/full", os.O_RDWR)
    os.dup2(refusing, descriptor)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
        os.close(refusing)


def sync(journal):
    with ThreadPoolExecutor(1) as threads:
        asyncio.run(journal.synced(threads))


def test_records_wait_in_memory_while_the_disk_is_full_and_are_written_later(tmp_path):
    journal = OperationJournal(tmp_path)
    records = [b"record %05d" % number for number in range(3000)]
    journal.append(records[0])
    with full(journal):
        for record in records[1:]:
            journal.append(record)
        with pytest.raises(OSError, match="No space left"):
            sync(journal)
    end = journal.end
    sync(journal)
    assert journal.end == end
    assert journal.read(5000)[0] == records
    journal.close()
    journal = OperationJournal(tmp_path)
    assert journal.read(5000)[0] == records
    journal.close()


def test_records_that_do_not_fit_into_memory_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("measurement.master.operation_journal.MOST_PENDING_BYTES", 5 * len(checked(b"record 0")))
    journal = OperationJournal(tmp_path)
    with full(journal):
        for number in range(9):
            journal.append(b"record %d" % number)
    assert journal.dropped == 4
    sync(journal)
    assert journal.read(9)[0] == [b"record %d" % number for number in range(5)]
    journal.close()


def test_the_forwarder_goes_on_when_its_cursor_can_be_written_again(tmp_path):
    async def scenario():
        journal = OperationJournal(tmp_path)
        journal.append(b"not a record: it is counted, and the cursor moves on")
        with ThreadPoolExecutor(1) as threads:
            forwarder = RecordForwarder(journal, "http://127.0.0.1:9/v1/measurements", threads)
            (tmp_path / "cursor.json").mkdir()  # a file cannot replace a folder
            running = asyncio.ensure_future(forwarder.run())
            async with asyncio.timeout(20):
                while not forwarder.failure:  # noqa: ASYNC110 - it is no event
                    await asyncio.sleep(0.01)
                (tmp_path / "cursor.json").rmdir()
                while journal.waiting_bytes:  # noqa: ASYNC110 - it is no event
                    await asyncio.sleep(0.01)
            running.cancel()
        journal.close()

    asyncio.run(scenario())


def test_without_a_disk_probing_can_be_stopped_and_no_request_runs_that_was_refused(serve, tmp_path):
    master = start_master(serve, tmp_path, timers=PATIENT)
    agent = HandmadeAgent(master.url, "a1").connect()
    live = submit(master.url, technique="PING", agents=["ALL"], destinations=["127.0.0.1"])
    agent.next_start()
    data = next(tmp_path.rglob("requests.json")).parent
    for name in ("kill-switch.json", "requests.json"):
        (data / f"{name}.new").mkdir()  # the draft of the file cannot be made
    body = {"technique": "PING", "agents": ["ALL"], "destinations": ["127.0.0.2"]}
    refused = requests.post(f"{master.url}/v1/measurements", json=body, timeout=30)
    assert (refused.status_code, refused.json()["reason"]) == (503, "not_durable")
    listed = requests.get(f"{master.url}/v1/measurements", timeout=30).json()["measurements"]
    assert {each["state"] for each in listed if each["id"] != live["id"]} == {"cancelled"}
    stopped = requests.put(f"{master.url}/v1/kill-switch", json={"on": True}, timeout=30)
    assert stopped.status_code == 503
    assert "all probing has stopped" in stopped.json()["detail"]
    assert requests.get(f"{master.url}/v1/kill-switch", timeout=30).json() == {"on": True}
    eventually(lambda: state(master.url, live["id"])["state"] == "stopped")
    for name in ("kill-switch.json", "requests.json"):
        (data / f"{name}.new").rmdir()
    assert requests.put(f"{master.url}/v1/kill-switch", json={"on": False}, timeout=30).json() == {"on": False}
    assert "Traceback" not in master.log_text()
