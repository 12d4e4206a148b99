"""Each message is in the table once, however often and in which order logs are read."""

import threading
from collections import Counter
from contextlib import ExitStack, closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages import table as table_module
from feedback_analysis.messages.extent import extent
from feedback_analysis.messages.ingest import Added
from feedback_analysis.messages.live_table import LiveTable
from feedback_analysis.messages.load import load_identities
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.verified_log import open_log
from feedback_wire.frames import PREAMBLE, records_frame
from feedback_wire.log_name import Form
from tests.feedback_analysis.measures.oracle import deduplicated
from tests.harness.logs import BEGIN_MS, add, record, records, write_log


def rows(table: FeedbackTable, columns: str):
    with table.reading() as cursor:
        return cursor.execute(f"SELECT {columns} FROM feedback ORDER BY ALL").fetchall()


def test_the_copy_that_was_received_first_is_kept(table_of):
    late, early = record(received_ms=BEGIN_MS + 5, via="c2"), record(received_ms=BEGIN_MS + 3, via="c1")
    for logs in ([[late, early]], [[late], [early]], [[early], [late]]):
        table = table_of(*logs)
        assert rows(table, "received_ms, via") == [(BEGIN_MS + 3, "c1")]
        assert summarize(table)["duplicates"] == 1


def test_adding_a_log_again_adds_duplicates_and_nothing_else(table_of, tmp_path):
    sent = [record(seq=seq, upload_kbps=seq) for seq in range(5)]
    table, path = table_of(sent), write_log(tmp_path, sent)
    before = summarize(table)
    assert add(table, path) == Added(records=0, duplicates=5, unreadable=0)
    assert summarize(table) == before | {"duplicates": 5}


def as_built(logs):
    """Copies of a message have equal content, because it is fixed when it is built; only the time and path of receipt differ."""
    built = {}
    return [
        [
            built.setdefault((each["session_id"], each["seq"]), each) | {name: each[name] for name in ("received_ms", "ip", "via")}
            for each in sent
        ]
        for sent in logs
    ]


@settings(max_examples=8)
@given(logs=st.lists(records(most=10), min_size=1, max_size=4), data=st.data())
def test_the_order_of_logs_and_the_split_of_records_change_no_number(logs, data, table_of):
    logs = as_built(logs)
    everything = [each for sent in logs for each in sent]
    shuffled = data.draw(st.permutations(everything))
    forms = st.sampled_from(list(Form))
    one = table_of(shuffled, form=data.draw(forms))
    many = table_of(*logs, form=data.draw(forms))
    assert summarize(one, by=("channel", "via")) == summarize(many, by=("channel", "via"))
    assert summarize(one)["duplicates"] == len(everything) - len(deduplicated(everything))


def test_a_line_that_is_not_a_record_costs_only_itself_and_is_counted(table_of, tmp_path):
    path = write_log(
        tmp_path, [record(seq=0), record(seq=1, peer_id=None), record(seq=2, event="party"), record(seq=3, v=7), record(seq=4)]
    )
    table = table_of()
    reasons = Counter(peer_id=1, event=1, v=1)
    assert add(table, path) == Added(records=2, duplicates=0, unreadable=3, reasons=reasons)
    assert (table.unreadable, summarize(table)["unreadable"]) == (3, 3)


def test_a_value_beyond_its_bounds_is_no_value(table_of):
    wild = {"continuity": 1.5, "upload_kbps": -1, "startup_ms": "soon", "download_kbps": 1e300, "buffer_ms": 2**60, "channel": ""}
    table = table_of([record(**wild)])
    columns = "continuity, upload_kbps, startup_ms, download_kbps, buffer_ms, channel"
    assert rows(table, columns) == [(None, None, None, None, None, "unknown")]


def test_a_peer_without_an_isp_gets_that_of_its_network(table_of, locator):
    address = "1.36.0.1"
    table = table_of([record(seq=0, ip=address), record(seq=1, ip=address, isp="Said"), record(seq=2, ip="")])
    located = locator.locate(address)
    assert located.isp != "unknown"
    assert rows(table, "seq, isp, country, area, district") == [
        (0, located.isp, located.country, located.area, located.district),
        (1, "Said", located.country, located.area, located.district),
        (2, "unknown", "unknown", "not located", "not located"),
    ]


def test_a_damaged_frame_costs_only_its_own_records(table_of, tmp_path):
    path = write_log(tmp_path, [record(seq=seq) for seq in range(30)], Form.JOURNAL, frames=3)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    table = table_of()
    assert add(table, path) == Added(records=20, duplicates=0, unreadable=10)
    [damage] = table.damages
    assert str(damage).startswith(f"{path}, byte ")


def unreadable_log(folder):
    """A journal whose frame has the right checksums and a payload that is no zstd."""
    path = folder / "20120807T093000Z-fs1-0000.journal"
    path.write_bytes(PREAMBLE + records_frame(b"no zstd at all", number=0, first_record=0, records=7, inflated=99))
    return path


def test_an_unreadable_log_is_refused_by_name_and_the_rest_is_read(table_of, tmp_path):
    table = table_of([record()])
    assert add(table, unreadable_log(tmp_path)) == Added(records=0, duplicates=0, unreadable=7)
    assert "not readable" in str(table.damages[0])
    assert summarize(table)["messages"] == 1


@pytest.mark.parametrize("kind", [FeedbackTable, LiveTable])
def test_if_one_log_cannot_be_read_the_identities_of_other_logs_are_still_added(kind, locator, tmp_path):
    good = [write_log(tmp_path / "good", [record(session_id=name)], Form.JOURNAL) for name in ("a", "b")]
    bad = unreadable_log(tmp_path)
    with closing(kind(locator, MosModel())) as table:
        load_identities(table, [good[0], bad, good[1]])
        assert [damage.source for damage in table.damages] == [bad]
        for path in good:
            assert add(table, path) == Added(records=0, duplicates=1, unreadable=0)


def test_old_messages_can_be_dropped(table_of):
    table = table_of([record(seq=seq, received_ms=BEGIN_MS + seq, ip=f"1.36.0.{seq}") for seq in range(10)])
    before = table.version
    assert table.drop_before(BEGIN_MS + 4) == 4
    assert table.version > before
    assert extent(table) == Span(BEGIN_MS + 4, BEGIN_MS + 10)


def test_an_empty_table_has_no_extent_and_an_empty_summary(table_of):
    table = table_of()
    assert extent(table) is None
    summary = summarize(table, by=("channel",))
    assert (summary["from"], summary["to"], summary["messages"], summary["peers"], summary["groups"]) == (None, None, 0, 0, [])
    assert summary["mos"] == {"mean": None, "p50": None, "p95": None}


def test_a_query_sees_all_records_of_a_log_or_none(table_of, tmp_path):
    paths = [write_log(tmp_path, [record(session_id=f"s{log}", seq=seq) for seq in range(100)]) for log in range(10)]
    table, seen, done = table_of(), set(), threading.Event()

    def look():
        while not done.is_set():
            seen.add(summarize(table)["messages"] % 100)

    reader = threading.Thread(target=look)
    reader.start()
    for path in paths:
        add(table, path)
    done.set()
    reader.join(10)
    assert seen == {0}
    assert summarize(table)["messages"] == 1000


@pytest.mark.parametrize("form", list(Form))
def test_every_form_gives_the_same_table(form, table_of):
    sent = [
        record(seq=0, channel='a\n"b", c', extra={"codec": "av1", "level": 2}, upload_kbps=0.1, startup_ms=0),
        record(seq=1, isp="", extra={}, weight=2.5, ip=""),
    ]
    table = table_of(sent, form=form)
    columns = "seq, channel, isp, extra->>'codec', upload_kbps, startup_ms, weight, ip, continuity"
    known = rows(table, columns)
    assert known[0] == (0, 'a\n"b", c', known[0][2], "av1", 0.1, 0, 1.0, "1.36.0.1", None)
    assert known[1] == (1, "unknown", "unknown", None, None, None, 2.5, "", None)


def test_many_records_are_compressed_to_a_fraction_and_are_unchanged(table_of, tmp_path, monkeypatch):
    monkeypatch.setattr(table_module, "COMPRESSED_EVERY", 50_000)
    peers = [f"{at:032}" for at in range(500)]
    paths = [
        write_log(
            tmp_path,
            [
                record(peer_id=peers[n % 500], session_id=peers[n % 500], seq=n // 500)
                for n in range(log * 20_000, log * 20_000 + 20_000)
            ],
        )
        for log in range(3)
    ]
    table = table_of()
    with ExitStack() as opened:
        table.add_all([opened.enter_context(open_log(path)) for path in paths])
    with table.reading() as cursor:
        [(used,)] = cursor.execute("SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE tag = 'IN_MEMORY_TABLE'").fetchall()
    assert used < 120 * 60_000
    assert (summarize(table)["messages"], summarize(table)["peers"]) == (60_000, 500)


def test_the_table_uses_the_models_constants(table_of):
    bare = table_of([record(playback_kbps=850, continuity=0.988)], mos=MosModel(calibration="none"))
    assert summarize(bare)["mos"]["mean"] == pytest.approx(4.82, abs=0.005)
