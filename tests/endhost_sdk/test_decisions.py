"""The decisions of the sender that do no I/O: rest, order, limits, phases, and what an answer means."""

import json
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endhost_sdk.backoff import LEAST_S, LONGEST_ASKED_S, MOST_S, asked_s, rest_s
from endhost_sdk.buffer import Batch, Buffer
from endhost_sdk.coordinators import Coordinators
from endhost_sdk.request import Outcome, request_for, understand
from endhost_sdk.schedule import Schedule
from endhost_sdk.session import Session
from endhost_sdk.transport import Answer
from feedback_wire import routes
from feedback_wire.limits import BATCH_WIRE_BYTES, MESSAGE_BYTES

NOW = datetime(2012, 8, 7, 9, 30, tzinfo=UTC)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_a_rest_is_between_half_a_second_and_a_minute(failures, chance):
    assert LEAST_S <= rest_s(failures, chance) <= MOST_S


def test_rests_double_and_spread_over_their_whole_length():
    assert [rest_s(failures, 1.0) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert {rest_s(failures, 0.0) for failures in range(1, 9)} == {LEAST_S}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("0", 0),
        (" 120 ", 120),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        ("Tue, 07 Aug 2012 09:31:00 -0000", 60),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        ("soon", 0),
        ("-5", 0),
        ("1.5", 0),
        ("", 0),
        ("9" * 400, LONGEST_ASKED_S),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, seconds):
    assert asked_s(header, NOW) == seconds


@given(st.text())
def test_no_retry_after_can_do_harm(header):
    assert 0 <= asked_s(header, NOW) <= LONGEST_ASKED_S


def test_the_first_coordinator_that_is_not_resting_is_next():
    coordinators = Coordinators(["http://a", "http://b"])
    first = coordinators.next(0)
    first.failed(0, asked_s=0, chance=1.0)
    second = coordinators.next(0)
    assert (first.url, second.url) == ("http://a", "http://b")
    second.failed(0, asked_s=10, chance=1.0)
    assert coordinators.next(0) is None
    assert coordinators.ready_at_s() == 1.0
    assert coordinators.next(1.0) is first
    first.succeeded()
    assert first.failures == 0


def test_in_a_hurry_only_what_a_coordinator_asked_for_is_waited_for():
    coordinators = Coordinators(["http://a", "http://b"])
    for asked in (5.0, 0.0):
        coordinators.next(0).failed(0, asked_s=asked, chance=1.0)
    coordinators.hurry()
    assert coordinators.next(0).url == "http://b"
    assert coordinators.next(5.0).url == "http://a"


LINES = st.integers(1, MESSAGE_BYTES).map(lambda size: b"x" * size)


@given(
    st.integers(1, 40),
    st.lists(st.one_of(LINES.map(lambda line: ("add", line)), st.tuples(st.just("send"), st.booleans())), max_size=80),
)
def test_every_message_is_sent_buffered_or_forgotten_and_the_forgotten_are_told_once(capacity, steps):
    buffer = Buffer(capacity)
    added = settled = told = 0
    for step, value in steps:
        if step == "add":
            buffer.add(value)
            added += 1
            continue
        batch = buffer.batch()
        assert sum(len(line) + 1 for line in batch.lines) <= BATCH_WIRE_BYTES
        assert bool(batch.lines) == bool(len(buffer))
        buffer.settle(batch, told=value)
        settled += len(batch.lines)
        told += batch.forgotten if value else 0
    assert len(buffer) <= capacity
    assert added == settled + len(buffer) + buffer.forgotten
    assert told + buffer.batch().forgotten == buffer.forgotten


@given(st.binary(max_size=5000).map(lambda noise: noise.replace(b"\n", b"")), st.integers(0, 5))
def test_a_body_is_never_larger_for_being_compressed(noise, forgotten):
    body, headers = request_for(Batch((noise or b"{}",), forgotten), None)
    plain = zlib.decompress(body, wbits=31) if "Content-Encoding" in headers else body
    assert plain == (noise or b"{}") + b"\n"
    assert len(body) <= len(plain)
    assert headers.get(routes.FORGOTTEN_HEADER) == (str(forgotten) if forgotten else None)
    assert "Authorization" not in headers


def test_sessions_report_once_a_period_at_a_phase_of_their_own():
    schedule = Schedule(30.0)
    sessions = [Session(peer_id=f"p-{n}") for n in range(3)]
    for session, phase in zip(sessions, (0.0, 0.5, 1.0), strict=True):
        schedule.add(session, 100.0, phase)
    assert schedule.next_s() == 100.0
    assert list(schedule.due(99.0)) == []
    assert list(schedule.due(115.0)) == sessions[:2]
    assert list(schedule.due(130.0)) == [sessions[2], sessions[0]]


def test_whoever_slept_reports_once_and_keeps_its_phase():
    schedule = Schedule(30.0)
    session = Session(peer_id="p")
    schedule.add(session, 0.0, 0.1)
    assert list(schedule.due(1000.0)) == [session]
    assert schedule.next_s() == pytest.approx(1023.0)


def test_a_session_that_left_reports_no_more():
    schedule = Schedule(30.0)
    session = Session(peer_id="p")
    schedule.add(session, 0.0, 0.1)
    schedule.remove(session)
    assert list(schedule.due(1000.0)) == []
    assert schedule.next_s() is None


@given(
    st.integers(100, 599),
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["reason", "detail", "refused", "index", "accepted"]), v),
    ).map(lambda v: json.dumps(v).encode()),
    st.integers(1, 5),
)
def test_no_answer_can_make_more_messages_refused_than_were_sent(status, body, messages):
    verdict = understand(Answer(status=status, body=body), messages)
    assert verdict.refused_for.total() <= messages
    said: dict = {}
    with suppress(ValueError):
        loaded = json.loads(body)
        said = loaded if isinstance(loaded, dict) else {}
    others = status in {401, 402, 403, 404, 405, 407, 410, 421, 451} and not isinstance(said.get("reason"), str)
    assert (verdict.outcome is Outcome.REFUSED) == (400 <= status < 500 and status not in {408, 429} and not others)
    if verdict.outcome is Outcome.ACCEPTED:
        assert said["accepted"] >= 0
    if verdict.outcome is Outcome.FAILED:
        assert not verdict.refused_for
