"""A master whose state files were damaged names the file, or goes on with all records; it ends with no traceback."""

import asyncio
import json
import random
import re
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from measurement.checked_json import checked
from measurement.finished_operation import FinishedOperation
from measurement.master.kept_requests import KeptRequests
from measurement.master.operation_journal import OperationJournal, RecordCursor
from measurement.master.record_forwarding import RecordForwarder
from measurement.master.requester_limits import RequesterLimits
from measurement.technique_parameters import Technique
from tests.measurement.master.virtual_master import VirtualMaster

WRONG = [
    b"",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"[1]",
    b'{"a":"x"}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b"\xff\xfe",
    b"[" * 100_000,
    b"1" * 5000,
]


def load_requests(folder):
    return KeptRequests(folder).restored(0.0, 0, start_s=0.0)


def load_kill_switch(folder):
    return KeptRequests(folder).stopped()


def load_limits(folder):
    return RequesterLimits(folder / "requesters.json", 300.0, lambda: 0.0, lambda: 1e9).retry_after_s("bob")


def load_cursor(folder):
    journal = OperationJournal(folder)
    try:
        return journal.cursor
    finally:
        journal.close()


def saved_requests():
    """The file of a request with an open operation."""
    master = VirtualMaster()
    master.join("a1", "a2")
    master.submit("ALL", destinations=("d1", "d2"))
    return KeptRequests.snapshot(None, master.dispatcher.requests.values(), RecordCursor(1, 0))


FILES = {
    "requests.json": (load_requests, saved_requests(), {b"[]"}),
    "kill-switch.json": (load_kill_switch, b'{"on":true}', set()),
    "requesters.json": (load_limits, b'{"bob":1000000100.5}', set()),
    "cursor.json": (load_cursor, b'{"segment":0,"offset":0}', set()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_state_file_is_named(tmp_path, name):
    load, right, other = FILES[name]
    file = tmp_path / name
    file.write_bytes(right)
    without_checksum = load(tmp_path)
    right = checked(right)
    file.write_bytes(right)
    assert str(load(tmp_path)) == str(without_checksum)
    chance = random.Random(9)
    flipped = [bytes(right[:at]) + bytes([right[at] ^ 1 << chance.randrange(8)]) + right[at + 1 :] for at in range(len(right))]
    cut = [right[:length] for length in range(0, len(right), 1 + len(right) // 40)]
    for damaged in [*WRONG, *cut, bytes(len(right)), *flipped]:
        file.write_bytes(damaged)
        if damaged not in other:
            with pytest.raises(ValueError, match=f"{name} is damaged"):
                load(tmp_path)


def test_a_damaged_kill_switch_file_does_not_count_as_off(tmp_path):
    KeptRequests(tmp_path).save_stopped(stopped=True)
    right = (tmp_path / "kill-switch.json").read_bytes()
    for bit in range(8 * len(right)):
        damaged = bytearray(right)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "kill-switch.json").write_bytes(damaged)
        with pytest.raises(ValueError, match="kill-switch"):
            load_kill_switch(tmp_path)


def written(folder, texts, **options):
    journal = OperationJournal(folder, **options)
    for text in texts:
        journal.append(text)
    return journal


@pytest.mark.parametrize("place", [(1, 10_000), (1, 3), (7, 0), (1, -5), (-1, 0)], ids=str)
def test_a_cursor_that_cannot_be_right_lets_all_records_be_forwarded_again(tmp_path, place, caplog):
    """After a power cut, the journal may end before the cursor: what follows must not be passed over."""
    written(tmp_path, [b"record 0", b"record 1"]).close()
    (tmp_path / "cursor.json").write_text(json.dumps({"segment": place[0], "offset": place[1]}))
    journal = OperationJournal(tmp_path)
    journal.append(b"record 2")
    assert journal.read(10)[0] == [b"record 0", b"record 1", b"record 2"]
    assert "forwarded again" in caplog.text
    journal.close()


def test_every_file_that_a_master_or_an_agent_keeps_has_a_checksum(tmp_path):
    KeptRequests(tmp_path).save(saved_requests())
    KeptRequests(tmp_path).save_stopped(stopped=True)
    RequesterLimits(tmp_path / "requesters.json", 300.0, lambda: 0.0, lambda: 1e9).submitted("bob")
    journal = written(tmp_path, [b'{"rtt_ms":12}'])
    asyncio.run(moved_to_its_end(journal))
    journal.close()
    for file in (path for path in tmp_path.iterdir() if path.is_file()):
        assert re.fullmatch(rb'\{"crc32":"[0-9a-f]{8}","state":.+\}\n?', file.read_bytes()), file
    assert len(list(tmp_path.iterdir())) == 5


async def moved_to_its_end(journal):
    with ThreadPoolExecutor(1) as threads:
        await journal.move(journal.end, threads)


def test_a_record_in_which_a_bit_was_flipped_is_counted_and_not_forwarded(tmp_path):
    """A digit that became another one would be forwarded as a measurement that nothing has measured."""
    master = VirtualMaster()
    master.join("a1")
    master.submit("ALL", destinations=("d1",))
    master.dispatcher.cancel(next(iter(master.dispatcher.requests.values())), "cancelled", "test")
    written(tmp_path, [master.lines[0]] * 2).close()
    file = tmp_path / "operations-0000000001.ndjson"
    right = file.read_bytes()
    line = right[: len(right) // 2]
    chance = random.Random(9)
    for at in range(len(line) - 1):
        flipped = line[at] ^ 1 << chance.randrange(8)
        if flipped == ord("\n"):
            continue
        file.write_bytes(line[:at] + bytes([flipped]) + line[at + 1 :] + line)
        journal = OperationJournal(tmp_path)
        forwarder = RecordForwarder(journal, "http://127.0.0.1:9/v1/measurements", None)
        assert [bool(forwarder._message(each)) for each in journal.read(9)[0]] == [False, True], at
        assert forwarder.refused == {"unreadable": 1}
        journal.close()


def test_a_segment_that_was_cut_hides_no_later_one(tmp_path):
    written(tmp_path, [b"record %d" % number for number in range(9)], segment_bytes=3 * len(checked(b"record 0"))).close()
    first = tmp_path / "operations-0000000001.ndjson"
    first.write_bytes(first.read_bytes()[:-3])
    journal = OperationJournal(tmp_path, segment_bytes=3 * len(checked(b"record 0")))
    lines, cursor = journal.read(100)
    assert lines[3:] == [b"record %d" % number for number in range(3, 9)]
    assert cursor == journal.end
    journal.close()


def test_a_record_that_is_not_text_is_counted_and_the_next_one_is_forwarded(tmp_path):
    master = VirtualMaster()
    master.join("a1")
    master.submit("ALL", destinations=("d1",))
    master.dispatcher.cancel(next(iter(master.dispatcher.requests.values())), "cancelled", "test")
    line = master.lines[0]
    assert msgspec.json.decode(line, type=FinishedOperation).technique is Technique.PING
    damaged = [line.replace(b'"a1"', b'"\xff1"'), b"[" * 100_000, line[:9], line]
    forwarder = RecordForwarder(written(tmp_path, damaged), "http://127.0.0.1:9/v1/measurements", None)
    assert [bool(forwarder._message(each)) for each in damaged] == [False, False, False, True]
    assert forwarder.refused == {"unreadable": 3}
    live = next(iter(master.dispatcher.requests.values()))
    master.dispatcher.restore([live], damaged[:3], 0.0)  # a start of the master reads them too
    forwarder.journal.close()
