"""A player that restarts within a session: its online time is the same in every view."""

from contextlib import closing
from itertools import pairwise

import pytest

from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.daily import daily
from feedback_analysis.history.store import HistoryStore
from feedback_analysis.inferences.reported_values import reported_values
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.session_table import session_table
from feedback_analysis.messages.table import FeedbackTable
from tests.feedback_analysis.history.conftest import BASIS
from tests.harness.logs import BEGIN_MS, record, write_log

# Two restarts: 90 s, then 30 s, then 60 s. The time between two runs is not known.
UPTIMES_S = (0, 30, 60, 90, 0, 30, 10, 40, 70)
ONLINE_S = 90 + 30 + 70


def restarted(uptimes_s=UPTIMES_S, **more):
    return [
        record(seq=seq, received_ms=BEGIN_MS + seq * 40_000, uptime_ms=round(uptime * 1000), **more)
        for seq, uptime in enumerate(uptimes_s)
    ]


def online_s(source):
    summary = summarize(source)
    assert summary["online_s_per_peer"] == summary["online_s_per_view"]
    return summary["online_s_per_view"]


@pytest.fixture
def table_and_history(locator, tmp_path):
    """A function that gives the table of messages and the history of logs, each of which is ingested on its own."""

    def build(*logs) -> tuple[FeedbackTable, HistoryStore]:
        for number, sent in enumerate(logs):
            path = write_log(tmp_path / "logs", sent, begin_s=BEGIN_MS // 1000 + number * 60)
            catch_up(history, [path], locator)
        table = open_logs([tmp_path / "logs"], locator=locator, mos=BASIS.mos)
        opened.append(table)
        return table, history

    opened: list[FeedbackTable] = []
    with closing(HistoryStore(tmp_path / "history", BASIS)) as history:
        yield build
        for table in opened:
            table.close()


@pytest.mark.parametrize("cuts", [(), (4,), (5,), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_online_time_is_the_sum_of_the_runs_in_every_view_and_any_logs(table_and_history, cuts):
    ends = (0, *cuts, len(UPTIMES_S))
    table, history = table_and_history(*(restarted()[begin:end] for begin, end in pairwise(ends)))
    assert online_s(table) == online_s(history) == ONLINE_S
    assert daily(history)[0]["online_s_per_view"] == ONLINE_S
    history.fold(at_least=1)
    assert online_s(history) == ONLINE_S
    rows = session_table(table)
    assert [row[rows.names.index("online_s")] for row in rows.rows] == [ONLINE_S]
    assert [each.online_ms for each in reported_values(table, ["s"], span=None, where={})] == [ONLINE_S * 1000]


def test_a_restart_between_messages_of_another_channel_counts_in_the_channel_around_it(table_and_history):
    sent = [each | {"channel": "b" if each["seq"] in (4, 5) else "a"} for each in restarted()]
    sources = table_and_history(sent)
    for source in sources:
        groups = {group["by"]["channel"]: group["online_s_per_view"] for group in summarize(source, by=("channel",))["groups"]}
        assert groups == {"a": ONLINE_S, "b": 30}
        assert summarize(source, where={"channel": "a"})["online_s_per_view"] == ONLINE_S


@pytest.mark.parametrize(
    ("uptimes_s", "expected"),
    [
        ((0, 2**53 // 1000, 30), 30),  # 285,000 years in one message are no measurement
        ((2**53 // 1000, 0, 30, 2**53 // 1000, 60), 30 + 60),
        ((0, 10**6), 10**6),
        ((0, 10**6 + 1), 0),
    ],
)
def test_a_hostile_uptime_claims_no_more_than_eleven_days_a_message(table_and_history, uptimes_s, expected):
    sent = restarted(uptimes_s)
    for source in table_and_history(*([each] for each in sent)):
        assert online_s(source) == expected


def test_thousands_of_hostile_restarts_overflow_nothing(table_and_history):
    sent = restarted([seq % 2 * (2**53 // 1000) for seq in range(3_000)])
    for source in table_and_history(sent[:1_500], sent[1_500:]):
        assert online_s(source) == 0


def test_a_late_message_of_a_restarted_session_changes_its_online_time_in_no_direction(table_and_history):
    sent = restarted()
    _, history = table_and_history(sent[:2] + sent[3:7], [sent[2]], sent[7:])
    assert online_s(history) == ONLINE_S


def test_a_history_of_an_earlier_version_continues_with_the_uptime_of_the_next_message(locator, tmp_path):
    """Its sessions have no noted uptime: a restart between the two versions does not show, later ones do."""
    paths = [
        write_log(tmp_path / "logs", restarted()[begin:end], begin_s=BEGIN_MS // 1000 + begin * 60)
        for begin, end in ((0, 4), (4, 9))
    ]
    with HistoryStore(tmp_path / "history", BASIS) as store:
        catch_up(store, paths[:1], locator)
        with store.writing() as db:
            db.execute("DROP TABLE uptimes")
    with HistoryStore(tmp_path / "history", BASIS) as store:
        assert online_s(store) == 90
        catch_up(store, paths, locator)
        assert online_s(store) == 100  # the second run, 0 to 30, and the third, 30 to 100, seem to lie within the first
