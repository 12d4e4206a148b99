"""A thousand viewers of the same page cost as much as one."""

import asyncio
import functools
import threading

import pytest

from monitor_platform.dashboard.answers import REMEMBERED, Answers, Moment

NOW = Moment(1, 0, 0)


def awaited(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


class Slow:
    """A query that counts its runs and waits to be let go."""

    def __init__(self):
        self.runs = 0
        self.go = threading.Event()

    def __call__(self, table, *, of="all"):
        self.runs += 1
        assert self.go.wait(10)
        return f"{of} of {table}"


@pytest.fixture
def answers():
    shared = Answers("table")
    yield shared
    shared.close()


@awaited
async def test_who_asks_the_same_at_the_same_moment_shares_one_query(answers):
    query = Slow()
    asking = [asyncio.ensure_future(answers.ask(NOW, query)) for _ in range(100)]
    await asyncio.sleep(0)
    query.go.set()
    assert await asyncio.gather(*asking) == ["all of table"] * 100
    assert (query.runs, answers.asked, answers.computed) == (1, 100, 1)


@awaited
async def test_another_moment_or_another_question_is_asked_anew(answers):
    query = Slow()
    query.go.set()
    for moment, of in ((NOW, "a"), (NOW, "b"), (Moment(2, 0, 0), "a"), (NOW, "a")):
        assert await answers.ask(moment, query, of=of) == f"{of} of table"
    assert query.runs == 3


@awaited
async def test_a_viewer_who_leaves_does_not_take_the_answer_away(answers):
    query = Slow()
    leaving, staying = (asyncio.ensure_future(answers.ask(NOW, query)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    query.go.set()
    assert await staying == "all of table"
    assert leaving.cancelled()


@awaited
async def test_the_event_loop_goes_on_while_a_query_runs(answers):
    query = Slow()
    asking = asyncio.ensure_future(answers.ask(NOW, query))
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert not asking.done()
    query.go.set()
    await asking


@awaited
async def test_what_a_query_raises_reaches_everybody_who_asked(answers):
    def broken(table):
        raise ValueError("no such column")

    said = await asyncio.gather(*(answers.ask(NOW, broken) for _ in range(3)), return_exceptions=True)
    assert [str(error) for error in said] == ["no such column"] * 3


@awaited
async def test_old_answers_are_forgotten(answers):
    query = Slow()
    query.go.set()
    for i in range(REMEMBERED + 50):
        await answers.ask(Moment(i, 0, 0), query)
    assert len(answers._known) == REMEMBERED
