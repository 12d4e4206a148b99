"""The copies of a message alone decide which one counts: not files, their order, their form, or what else is opened."""

from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.measures.loss import ALLOWANCE, HIGHEST_RATE_PER_S
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.measures.summary import summarize as summarize_history
from feedback_analysis.messages import outside
from feedback_analysis.messages.column_table import columns_for
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, add, record, write_log

HOUR_MS = 3_600_000
COLUMNS = [None, columns_for(())]
REPEATS = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

copies = st.lists(
    st.builds(
        lambda seq, later, kbps, codec, order: record(
            seq=seq,
            received_ms=BEGIN_MS + later,
            upload_kbps=kbps,
            extra=codec and dict(sorted({"codec": codec, "level": 1}.items(), reverse=order)),
        ),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([1, 2, 3]),
        st.sampled_from([None, "h264", "av1"]),
        st.booleans(),
    ),
    min_size=2,
    max_size=9,
)


def opened(paths, locator, **options):
    return closing(open_logs(paths, locator=locator, mos=MosModel(), **options))


def summary_of(paths, locator, *, span=None, **options):
    with opened(paths, locator, span=span, **options) as table:
        return summarize(table, span=span)


def costs(summary):
    return tuple(summary[name] for name in ("messages", "duplicates", "conflicts", "lost", "implausible"))


@REPEATS
@given(sent=copies, data=st.data())
def test_no_order_of_records_and_files_changes_the_table(sent, data, tmp_path_factory, locator):
    found = []
    for order in (sent, data.draw(st.permutations(sent))):
        cut = data.draw(st.integers(0, len(order)))
        folder = tmp_path_factory.mktemp("logs")
        for part in (order[:cut], order[cut:]):
            if part:
                write_log(folder, part, data.draw(st.sampled_from([Form.JSONL, Form.CSV, Form.PARQUET])))
        with opened([folder], locator) as table, table.reading() as cursor:
            rows = cursor.execute("SELECT seq, received_ms, upload_kbps, extra->>'codec' FROM feedback ORDER BY ALL").fetchall()
        found.append((rows, *(summary_of([folder], locator, columns=columns) for columns in COLUMNS)))
        with HistoryStore(folder / "history", Basis(mos=MosModel())) as store:
            catch_up(store, [folder], locator)
            found[-1] += (costs(summarize_history(store)), summarize_history(store)["upload_kbps"]["mean"])
    assert found[0] == found[1]
    rows, whole, gathered, history, mean = found[0]
    assert whole == gathered
    assert (history, mean) == (costs(whole), whole["upload_kbps"]["mean"])
    assert whole["messages"] + whole["duplicates"] + whole["conflicts"] == len(sent)


@pytest.mark.parametrize("columns", COLUMNS)
def test_different_content_under_one_number_is_a_conflict_and_the_servers_fields_do_not_count(columns, tmp_path, locator):
    sent = {"upload_kbps": 5.5, "extra": {"codec": "h264", "name": "é"}}
    write_log(tmp_path, [record(**sent), record(**sent | {"upload_kbps": 6}, received_ms=BEGIN_MS + 1)])
    prefix = {"received_ms": BEGIN_MS + 2, "ip": "14.0.128.1", "weight": 10, "via": "c2"}
    for form in (Form.JSONL, Form.CSV, Form.PARQUET):
        write_log(tmp_path, [record(**sent, **prefix)], form)
    assert costs(summary_of([tmp_path], locator, columns=columns)) == (1, 3, 1, 0, 0)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("files", [1, 2])
def test_the_order_of_the_keys_in_extra_makes_no_conflict(columns, files, tmp_path, locator):
    extras = [{"codec": "h264", "level": 1}, {"level": 1, "codec": "h264"}, {"level": 2, "codec": "h264"}]
    rows = [record(seq=1, received_ms=BEGIN_MS + at, extra=extra) for at, extra in enumerate(extras)]
    for at in range(files):
        write_log(tmp_path / str(at), rows[at::files])
    assert costs(summary_of([tmp_path], locator, columns=columns)) == (1, 1, 1, 0, 0)


def test_the_order_of_the_keys_in_extra_makes_no_conflict_with_an_earlier_copy(table_of, tmp_path):
    """The copies arrive one by one, the one that was received first last."""
    first, second = {"codec": "h264", "level": 1}, {"level": 1, "codec": "h264"}
    rows = [record(seq=1, received_ms=BEGIN_MS - at, extra=extra) for at, extra in enumerate((first, second, first))]
    table = table_of(rows[:1])
    for at, row in enumerate(rows[1:]):
        added = add(table, write_log(tmp_path / str(at), [row]))
        assert (added.records, added.duplicates, added.conflicts) == (0, 1, 0)
    assert costs(summarize(table)) == (1, 2, 0, 0, 0)


def test_a_copy_that_replaces_the_known_one_is_compared_with_later_copies(table_of, tmp_path):
    table = table_of([record(upload_kbps=1, received_ms=BEGIN_MS + 5)], [record(upload_kbps=1, received_ms=BEGIN_MS + 6)])
    assert costs(summarize(table))[:3] == (1, 1, 0)
    added = add(table, write_log(tmp_path, [record(upload_kbps=2)]))
    assert (added.records, added.duplicates, added.conflicts) == (0, 0, 1)
    assert costs(summarize(table))[:3] == (1, 0, 2)
    assert summarize(table)["upload_kbps"]["mean"] == 2


@pytest.mark.parametrize("columns", COLUMNS)
def test_copies_in_one_log_are_compared_with_the_copy_in_another_one_that_counts(columns, table_of, tmp_path, locator):
    """Two equal copies follow a different message under the same number: both are conflicts, and none is a duplicate."""
    first, *later = [record(upload_kbps=kbps, received_ms=BEGIN_MS + at) for at, kbps in enumerate((8, 1, 1))]
    write_log(tmp_path / "logs", [first], Form.CSV)
    log = write_log(tmp_path / "logs", later)
    assert costs(summary_of([tmp_path / "logs"], locator, columns=columns)) == (1, 0, 2, 0, 0)
    table = table_of([first])
    added = add(table, log)
    assert (added.records, added.duplicates, added.conflicts) == (0, 0, 2)
    assert costs(summarize(table)) == (1, 0, 2, 0, 0)


# A list for each hour, of numbers with the minute when each was received. Hour 2 holds a copy of 3, and 20 to 27 without 21, 24
# and 26; 21 was received an hour earlier, 24 an hour later.
HOURS = (
    [(seq, seq) for seq in range(5)],
    [(5, 0), (6, 1), (21, 2)],
    [(3, 0), (20, 1), (22, 2), (23, 3), (25, 4), (27, 5)],
    [(24, 0), (3, 1)],
)
SPAN = Span(BEGIN_MS + 2 * HOUR_MS, BEGIN_MS + 3 * HOUR_MS)


def recorded_hours():
    return [
        [record(seq=seq, upload_kbps=seq, received_ms=BEGIN_MS + hour * HOUR_MS + minute * 60_000) for seq, minute in sent]
        for hour, sent in enumerate(HOURS)
    ]


@pytest.fixture
def hourly(tmp_path):
    """A log for each of HOURS."""
    for hour, sent in enumerate(recorded_hours()):
        form = [Form.JSONL, Form.PARQUET, Form.CSV, Form.JSONL][hour]
        write_log(tmp_path / "hourly", sent, form, begin_s=(BEGIN_MS + hour * HOUR_MS) // 1000)
    return tmp_path / "hourly"


@pytest.mark.parametrize("columns", COLUMNS)
def test_a_span_has_the_same_counts_in_hourly_logs_and_in_one(columns, hourly, tmp_path, locator):
    one = write_log(tmp_path / "one", [each for sent in recorded_hours() for each in sent])
    for paths in ([hourly], [one]):
        assert costs(summary_of(paths, locator, span=SPAN, columns=columns)) == (5, 1, 0, 1, 0)


def test_the_history_counts_a_span_as_its_logs_do(hourly, tmp_path, locator):
    begin_ms = BEGIN_MS // HOUR_MS * HOUR_MS  # the history keeps whole hours, and these logs begin at half past
    sent = [each | {"received_ms": each["received_ms"] - BEGIN_MS + begin_ms} for hour in recorded_hours() for each in hour]
    for hour in range(4):
        part = [each for each in sent if each["received_ms"] // HOUR_MS == begin_ms // HOUR_MS + hour]
        write_log(tmp_path / "whole", part, begin_s=begin_ms // 1000 + hour * 3600)
    with HistoryStore(tmp_path / "history", Basis(mos=MosModel())) as store:
        catch_up(store, [tmp_path / "whole"], locator)
        found = summarize_history(store, span=Span(begin_ms + 2 * HOUR_MS, begin_ms + 3 * HOUR_MS))
    assert costs(found) == (5, 1, 0, 1, 0)


def test_a_conflict_with_a_message_in_an_earlier_log_is_recognised(hourly, locator):
    other = record(seq=4, upload_kbps=99, received_ms=SPAN.from_ms + 50_000)
    write_log(hourly, [other], begin_s=SPAN.from_ms // 1000)
    for columns in COLUMNS:
        assert costs(summary_of([hourly], locator, span=SPAN, columns=columns)) == (5, 1, 1, 1, 0)


def test_a_live_table_recognises_copies_of_messages_that_it_has_dropped(table_of, tmp_path):
    hours = recorded_hours()
    table = table_of(*hours[:2])
    assert table.drop_before(SPAN.from_ms) == 8
    for sent in hours[2:]:
        add(table, write_log(tmp_path, sent))
    assert costs(summarize(table, span=SPAN)) == (5, 1, 0, 1, 0)
    table.drop_before(SPAN.from_ms + 10 * HOUR_MS)
    assert add(table, write_log(tmp_path, [each for sent in hours for each in sent])).records == 0
    with table.reading() as cursor:
        intervals = cursor.execute("SELECT low, high FROM outside ORDER BY low").fetchall()
    assert intervals == [(0, 6), (20, 25), (27, 27)]


def test_the_memory_of_a_live_table_for_copies_is_bounded_and_evictions_are_counted(table_of, tmp_path, monkeypatch):
    monkeypatch.setattr(outside.drop_oldest, "__kwdefaults__", {"most": 10})
    table = table_of([record(session_id=f"s{at}", received_ms=BEGIN_MS + at) for at in range(30)])
    table.drop_before(BEGIN_MS + 60_000)
    assert table.dropped_identities == 21
    again = [record(session_id=f"s{at}", received_ms=BEGIN_MS + 90_000) for at in range(30)]
    added = add(table, write_log(tmp_path, again))
    assert (added.records, added.duplicates) == (21, 9)


def test_a_number_that_no_session_can_have_reached_is_implausible_and_not_lost(table_of):
    far = {"seq": 2**53 - 1, "received_ms": BEGIN_MS + 2_000, "weight": 10**6}
    table = table_of([record(), record(**far)], [record(session_id=f"s{at}", seq=at % 2 and 2**53 - 1) for at in range(40)])
    found = summarize(table)
    most = ALLOWANCE + 2 * HIGHEST_RATE_PER_S
    assert (found["lost"], found["implausible"]) == (most * 10**6, 2**53 - 2 - most)


def test_many_hostile_sessions_cannot_overflow_the_sum(table_of):
    sent = [record(session_id=f"s{at}", seq=seq, weight=10**6) for at in range(100) for seq in (0, 2**53 - 1)]
    found = summarize(table_of(sent))
    assert found["lost"] == 100 * ALLOWANCE * 10**6
    assert found["implausible"] == 100 * (2**53 - 2 - ALLOWANCE)
