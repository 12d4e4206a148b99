"""The table of a running platform stays within its limits, and counts each record once."""

from dataclasses import replace

import pytest

from feedback_analysis.live_record_table import LiveRecordTable, RecordBounds
from feedback_analysis.reading.verified_log import open_log
from feedback_analysis.record_table import RecordTable, open_records, paths_of_kind
from feedback_server.forms import log_writer
from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName
from tests.harness.logs import record, write_log
from tests.harness.measurements import BEGIN_MS, measurement_record, ndjson

KIND = RecordKind.MEASUREMENT


def name(part=0, form=Form.JSONL):
    return str(LogName(BEGIN_MS // 1000, "fs1", part, form, KIND))


def written(folder, records, part=0):
    path = folder / name(part)
    with path.open("wb") as file:
        writer = log_writer(Form.JSONL, file, KIND)
        writer.add(ndjson(records), len(records))
        writer.finish()
    return path


def numbered(first, count):
    return [measurement_record(f"op-{n}", received_ms=BEGIN_MS + n * 1000) for n in range(first, first + count)]


def add(table, path):
    with open_log(path) as log:
        return table.add([log])


def oldest(table):
    with table.reading() as db:
        return db.execute("SELECT min(received_ms), count(*) FROM measurement").fetchone()


@pytest.fixture
def live():
    table = LiveRecordTable(KIND, RecordBounds(memory_mib=64, records=100, identities=150))
    yield table
    table.close()


def test_too_many_records_drop_the_oldest_ones_and_are_counted(live, tmp_path):
    assert add(live, written(tmp_path, numbered(0, 90))).records == 90
    assert live.dropped == 0
    add(live, written(tmp_path, numbered(90, 90), 1))
    assert live.dropped == 105
    assert (live.rows, live.begins_ms) == (75, BEGIN_MS + 104_001)
    assert oldest(live) == (BEGIN_MS + 105_000, 75)


def test_memory_that_was_full_at_a_wrong_date_holds_records_of_the_present_when_the_date_is_right(live, tmp_path):
    add(live, written(tmp_path, numbered(0, 150)))
    assert live.begins_ms > BEGIN_MS + 60_000
    live.drop_before(BEGIN_MS - 60_000, and_from_ms=BEGIN_MS + 60_000)
    assert live.begins_ms == BEGIN_MS + 60_000


def test_a_copy_of_a_dropped_record_is_not_added_again(live, tmp_path):
    path = written(tmp_path, numbered(0, 10))
    add(live, path)
    assert live.drop_before(BEGIN_MS + 5_000, forget_before_ms=BEGIN_MS) == 5
    assert (add(live, path).copies, live.rows) == (10, 5)
    live.drop_before(BEGIN_MS + 20_000, forget_before_ms=BEGIN_MS + 20_000)
    assert (add(live, path).records, live.rows) == (10, 10), "forgotten after their time"


def test_records_of_which_only_the_identity_is_known_are_not_added(live, tmp_path):
    path = written(tmp_path, numbered(0, 10))
    with open_log(path) as log:
        live.add_identities([log])
    assert (live.rows, add(live, path).copies) == (0, 10)


def test_identities_stay_within_their_limit(live, tmp_path):
    for part in range(3):
        add(live, written(tmp_path, numbered(part * 90, 90), part))
    live.drop_before(BEGIN_MS)
    with live.reading() as db:
        assert db.execute("SELECT count(*) FROM known").fetchone() == (150,)


def test_a_wrong_clock_of_a_server_is_corrected(tmp_path):
    table = RecordTable(KIND)
    with open_log(written(tmp_path, numbered(0, 1))) as log:
        table.add([replace(log, ahead_ms=7_000)])
    assert oldest(table) == (BEGIN_MS - 7_000, 1)


def test_a_log_of_nonsense_costs_only_its_own_records(tmp_path):
    nonsense = tmp_path / name(0)
    frame = records_frame(b"this is no zstd frame", number=0, first_record=0, records=9, inflated=99)
    nonsense.write_bytes(PREAMBLE + frame + footer_frame(number=1, records=9))
    written(tmp_path, numbered(0, 3), 1)
    table, added = open_records([tmp_path], KIND)
    assert (added.records, added.unreadable, len(added.damages)) == (3, 9, 1)
    assert table.rows == 3


def test_named_files_are_read_by_their_kind(tmp_path):
    measured, feedback = written(tmp_path, numbered(0, 1)), write_log(tmp_path, [record()])
    bare, missing = tmp_path / "some.jsonl", tmp_path / "missing"
    bare.touch()
    assert paths_of_kind([missing], KIND) == paths_of_kind([missing], RecordKind.FEEDBACK) == [missing]
    assert paths_of_kind([tmp_path, measured, feedback, bare], KIND) == [tmp_path, measured]
    assert paths_of_kind([tmp_path, measured, feedback, bare], RecordKind.FEEDBACK) == [tmp_path, feedback, bare]
