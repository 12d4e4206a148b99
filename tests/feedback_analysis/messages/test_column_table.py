"""A table that keeps only the columns of a query gives the same answer as one that keeps everything."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages import column_table
from feedback_analysis.messages.column_table import columns_for
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_wire.frames import PREAMBLE, records_frame
from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, record, records, write_log

REPEATS = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def asked(paths, locator, columns, **query):
    table = open_logs(paths, locator=locator, mos=MosModel(), columns=columns)
    try:
        return summarize(table, **query), table.damages, table.unreadable
    finally:
        table.close()


@REPEATS
@given(
    st.lists(records(), min_size=1, max_size=3),
    st.sampled_from([(), ("channel",), ("isp", "area"), ("extra.codec",), ("country", "app")]),
    st.sampled_from([{}, {"isp": "HKT"}, {"channel": "a"}, {"extra.codec": "av1"}]),
    st.sampled_from([Form.JSONL, Form.PARQUET]),
)
def test_reading_only_the_needed_columns_does_not_change_the_answer(tmp_path_factory, locator, logs, by, where, form):
    folder = tmp_path_factory.mktemp("logs")
    for log in logs:
        if log:
            write_log(folder, log, form)
    query = {"by": by, "where": where}
    assert asked([folder], locator, columns_for((*by, *where)), **query) == asked([folder], locator, None, **query)


def test_copies_are_found_in_any_part(tmp_path, locator, monkeypatch):
    monkeypatch.setattr(column_table, "_COMPARED_AT_ONCE", 7)  # so that these few rows make several parts
    several = [record(session_id=f"s{at % 9}", seq=at % 5, received_ms=BEGIN_MS + at) for at in range(90)]
    write_log(tmp_path, several[:50])
    write_log(tmp_path, several[50:], Form.PARQUET)
    summary, _, _ = asked([tmp_path], locator, columns_for(()))
    assert (summary["messages"], summary["duplicates"]) == (45, 45)
    assert summary == asked([tmp_path], locator, None)[0]


def test_unreadable_records_are_counted_as_in_a_whole_table(tmp_path, locator):
    path = write_log(tmp_path, [record(seq=seq, session_id=f"s{seq % 3}") for seq in range(200)])
    path.write_bytes(path.read_bytes()[:-40])
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"seq": 1}\nnonsense\n')
    whole, damages, unreadable = asked([path, bare], locator, None)
    assert (whole, damages, unreadable) == asked([path, bare], locator, columns_for(()))
    assert damages
    assert unreadable > 0


def test_a_column_that_was_not_kept_is_refused(tmp_path, locator):
    write_log(tmp_path, [record()])
    with pytest.raises(Exception, match="extra"):
        asked([tmp_path], locator, columns_for(()), by=("extra.codec",))


def test_a_log_that_cannot_be_read_does_not_end_the_comparison_of_copies_in_other_logs(tmp_path, locator):
    """Its checksums are right, so it is found to be unreadable when it is read: first for its records, then for their copies."""
    for via in ("c1", "c2"):
        write_log(tmp_path, [record(via=via), record(via=via, seq=1)], Form.JOURNAL)
    bad = tmp_path / f"{min(tmp_path.iterdir()).name[:16]}-fs2-0000.journal"
    bad.write_bytes(PREAMBLE + records_frame(b"no zstd at all", number=0, first_record=0, records=7, inflated=99))
    summary, damages, unreadable = asked([tmp_path], locator, columns_for(()))
    assert (summary["messages"], summary["duplicates"], unreadable) == (2, 2, 7)
    assert [damage.source for damage in damages] == [bad]
