"""A thousand viewers of the same page cost as much as one."""

import asyncio
import functools
import threading
import time

import duckdb
import pytest

from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_wire.problem import Problem
from monitor_platform.dashboard import shared_answers as answers_module
from monitor_platform.dashboard.one_at_a_time import OneAtATime
from monitor_platform.dashboard.shared_answers import MOST_WAITING, REMEMBERED, THREADS, Moment, SharedAnswers

NOW = Moment(1, 0, 0)


def awaited(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


class Slow:
    """A query that counts its runs and waits until it is released."""

    def __init__(self):
        self.runs = 0
        self.go = threading.Event()

    def __call__(self, table, *, of="all"):
        self.runs += 1
        assert self.go.wait(10)
        return f"{of} of {table}"


@pytest.fixture
def answers():
    shared = SharedAnswers("table")
    yield shared
    shared.close()


@awaited
async def test_identical_queries_at_the_same_moment_run_once(answers):
    query = Slow()
    asking = [asyncio.ensure_future(answers.ask(NOW, query)) for _ in range(100)]
    await asyncio.sleep(0)
    query.go.set()
    assert await asyncio.gather(*asking) == ["all of table"] * 100
    assert (query.runs, answers.asked, answers.computed) == (1, 100, 1)


@awaited
async def test_another_moment_or_another_query_runs_again(answers):
    query = Slow()
    query.go.set()
    for moment, of in ((NOW, "a"), (NOW, "b"), (Moment(2, 0, 0), "a"), (NOW, "a")):
        assert await answers.ask(moment, query, of=of) == f"{of} of table"
    assert query.runs == 3


@awaited
async def test_a_viewer_who_leaves_does_not_cancel_the_answer_of_others(answers):
    query = Slow()
    leaving, staying = (asyncio.ensure_future(answers.ask(NOW, query)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    query.go.set()
    assert await staying == "all of table"
    assert leaving.cancelled()


@awaited
async def test_the_event_loop_continues_while_a_query_runs(answers):
    query = Slow()
    asking = asyncio.ensure_future(answers.ask(NOW, query))
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert not asking.done()
    query.go.set()
    await asking


@awaited
async def test_an_error_of_a_query_reaches_every_waiting_viewer(answers):
    def broken(table):
        raise ValueError("no such column")

    errors = await asyncio.gather(*(answers.ask(NOW, broken) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in errors] == ["no such column"] * 3


class FailsOnce:
    """A query that fails in its first run only."""

    def __init__(self, error):
        self.error = error
        self.runs = 0

    def __call__(self, table):
        self.runs += 1
        if self.runs == 1:
            raise self.error
        return "answered"


@pytest.mark.parametrize("error", [duckdb.IOException("No space left on device"), OSError(28, "full"), Problem(503, "x", "busy")])
@awaited
async def test_a_query_that_failed_runs_again_when_it_is_asked_again(answers, error):
    query = FailsOnce(error)
    with pytest.raises(type(error)):
        await answers.ask(NOW, query)
    assert [await answers.ask(NOW, query) for _ in range(2)] == ["answered"] * 2
    assert query.runs == 2


@awaited
async def test_a_query_that_fails_after_its_viewer_left_runs_again(answers):
    begun, go, runs = threading.Event(), threading.Event(), []

    def fails_late(table):
        runs.append(table)
        begun.set()
        assert go.wait(10)
        if len(runs) == 1:
            raise duckdb.IOException("No space left on device")
        return "answered"

    leaving = asyncio.ensure_future(answers.ask(NOW, fails_late))
    await asyncio.to_thread(begun.wait, 10)
    leaving.cancel()
    go.set()
    await asyncio.gather(*answers._known.values(), return_exceptions=True)
    assert await answers.ask(NOW, fails_late) == "answered"
    assert leaving.cancelled()


@awaited
async def test_a_query_that_no_page_awaits_any_more_does_not_run(answers):
    running, unwanted, wanted = Slow(), Slow(), Slow()
    first = [asyncio.ensure_future(answers.ask(NOW, running, of=number)) for number in range(THREADS)]
    left = [asyncio.ensure_future(answers.ask(NOW, unwanted)) for _ in range(2)]
    shared = [asyncio.ensure_future(answers.ask(NOW, wanted)) for _ in range(2)]
    await asyncio.sleep(0)
    for each in (*left, shared[0]):
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    for query in (running, unwanted, wanted):
        query.go.set()
    await asyncio.gather(*first)
    assert await shared[1] == "all of table"
    assert (running.runs, unwanted.runs, wanted.runs, answers.running) == (THREADS, 0, 1, 0)
    assert await answers.ask(NOW, unwanted) == "all of table"


@awaited
async def test_a_query_that_is_cancelled_before_it_begins_counts_as_ended(answers):
    query = Slow()
    asking = answers.ask(NOW, query)
    asking.send(None)  # up to the wait for an answer that the event loop has not begun
    with pytest.raises(asyncio.CancelledError):
        asking.throw(asyncio.CancelledError)
    assert answers.running == 1
    await asyncio.sleep(0.01)
    assert (answers.running, query.runs) == (0, 0)


@awaited
async def test_old_answers_are_removed(answers):
    query = Slow()
    query.go.set()
    for i in range(REMEMBERED + 50):
        await answers.ask(Moment(i, 0, 0), query)
    assert len(answers._known) == REMEMBERED


@awaited
async def test_queries_beyond_the_queue_are_refused_until_there_is_room(answers):
    query = Slow()
    waiting = [asyncio.ensure_future(answers.ask(NOW, query, of=str(at))) for at in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await answers.ask(NOW, query, of="one more")
    assert (refused.value.status, refused.value.reason, answers.refused) == (503, "busy", 1)
    shared = asyncio.ensure_future(answers.ask(NOW, query, of="0"))
    query.go.set()
    assert len(await asyncio.gather(*waiting)) == MOST_WAITING
    assert await shared == "0 of table"
    assert await answers.ask(NOW, query, of="one more") == "one more of table"


def endless(store):
    with store.reading() as cursor:
        return cursor.execute(
            "SELECT count(*) FROM range(100_000_000) AS a, range(100_000_000) AS b WHERE a.range % 7 = b.range % 11"
        ).fetchall()


def hungry(store):
    with store.reading() as cursor:
        cursor.execute("SET memory_limit = '20MiB'")
        return cursor.execute("SELECT list(range) FROM range(50_000_000)").fetchall()


def busy(store):
    """Computes in Python, as the diagnosis does; a part of it in a transaction."""
    with store.reading() as cursor:
        cursor.execute("SELECT 1").fetchall()
    while True:
        sum(range(100))


def quick(store):
    with store.reading() as cursor:
        return cursor.execute("SELECT 1").fetchall()


@pytest.fixture(params=["table", "history"])
def store(request, locator, tmp_path):
    opened = FeedbackTable(locator, MosModel()) if request.param == "table" else HistoryStore(tmp_path, Basis(mos=MosModel()))
    yield opened
    opened.close()


@pytest.mark.parametrize(("query", "reason"), [(endless, "took_too_long"), (busy, "took_too_long"), (hungry, "out_of_memory")])
@awaited
async def test_a_query_that_takes_too_much_is_stopped_and_the_next_is_answered(store, monkeypatch, query, reason):
    monkeypatch.setattr(answers_module, "QUERY_LIMIT_S", 60.0 if query is hungry else 0.2)
    answers = SharedAnswers(store)
    for _ in range(2):
        with pytest.raises(Problem) as stopped:
            await answers.ask(NOW, query)
        assert (stopped.value.status, stopped.value.reason) == (503, reason)
    assert (answers.stopped, answers.running) == (2, 0)
    monkeypatch.setattr(answers_module, "QUERY_LIMIT_S", 60.0)
    assert await answers.ask(NOW, quick) == [(1,)]
    answers.close()


@pytest.mark.parametrize("query", [endless, busy])
@awaited
async def test_closing_stops_running_queries_and_does_not_wait(store, query):
    answers = SharedAnswers(store)
    asked = asyncio.ensure_future(answers.ask(NOW, query))
    while not answers._limits:  # noqa: ASYNC110 - a thread changes it
        await asyncio.sleep(0.01)
    began = time.monotonic()
    answers.close()
    assert time.monotonic() - began < 5
    with pytest.raises(Problem):
        await asked
    for thread in answers._pool._threads:
        thread.join(20)
        assert not thread.is_alive()


@awaited
async def test_logs_are_read_for_one_query_after_the_other_and_few_wait():
    turns, go, had = OneAtATime(most=2), asyncio.Event(), []

    async def read(name):
        async with turns.turn():
            had.append(name)
            await go.wait()

    waiting = [asyncio.ensure_future(read(at)) for at in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert had == [0]
    with pytest.raises(Problem) as refused:
        await read("too many")
    assert (refused.value.status, refused.value.reason) == (503, "busy")
    waiting[2].cancel()  # a viewer who leaves makes room
    await asyncio.sleep(0)
    last = asyncio.ensure_future(read(3))
    go.set()
    await asyncio.gather(*waiting[:2], last)
    assert had == [0, 1, 3]


@awaited
async def test_a_query_that_waits_when_the_platform_ends_is_refused_and_so_is_a_later_one():
    shared, slow = SharedAnswers("table", threads=1), Slow()
    asked = [asyncio.ensure_future(shared.ask(NOW, slow, of=str(number))) for number in range(2)]
    while not slow.runs:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0)
    shared.close()
    slow.go.set()
    asked.append(asyncio.ensure_future(shared.ask(NOW, slow, of="later")))
    assert await asked[0] == "0 of table"
    for refused in asked[1:]:
        with pytest.raises(Problem) as problem:
            await refused
        assert (problem.value.status, problem.value.reason) == (503, "stopping")
