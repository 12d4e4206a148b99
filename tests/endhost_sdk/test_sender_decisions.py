"""The decisions of the sender that do no I/O: pauses, order, limits, phases, and the meaning of answers."""

import ast
import json
import zlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endhost_sdk.backoff import LEAST_S, LONGEST_ASKED_S, MOST_S, asked_s, rest_s
from endhost_sdk.buffer import Buffer, MessageBatch
from endhost_sdk.coordinators import Coordinators
from endhost_sdk.request import DeliveryOutcome, interpret, request_for
from endhost_sdk.schedule import Schedule
from endhost_sdk.session import Session
from endhost_sdk.transport import Answer
from feedback_wire import routes
from feedback_wire.limits import BATCH_WIRE_BYTES, MESSAGE_BYTES
from feedback_wire.problem import MESSAGE_REASONS
from tests.endhost_sdk.scripted_answers import HTML, as_answer, problem

NOW = datetime(2012, 8, 7, 9, 30, tzinfo=UTC)


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_a_pause_is_between_half_a_second_and_a_minute(failures, chance):
    assert LEAST_S <= rest_s(failures, chance) <= MOST_S


def test_pauses_double_and_are_random_over_their_whole_length():
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


def test_the_first_coordinator_that_is_not_paused_is_next():
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


def test_a_flush_waits_only_for_pauses_that_a_coordinator_requested():
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
def test_every_message_is_sent_buffered_or_dropped_and_dropped_ones_are_reported_once(capacity, steps):
    buffer = Buffer(capacity)
    added = settled = reported = 0
    for step, value in steps:
        if step == "add":
            buffer.add(value)
            added += 1
            continue
        batch = buffer.batch()
        assert sum(len(line) + 1 for line in batch.lines) <= BATCH_WIRE_BYTES
        assert bool(batch.lines) == bool(len(buffer))
        buffer.settle(batch, accepted=value)
        settled += len(batch.lines)
        reported += batch.forgotten if value else 0
    assert len(buffer) <= capacity
    assert added == settled + len(buffer) + buffer.forgotten
    assert reported + buffer.batch().forgotten == buffer.forgotten


@given(st.binary(max_size=5000).map(lambda noise: noise.replace(b"\n", b"")), st.integers(0, 5))
def test_a_compressed_body_is_never_larger_than_a_plain_one(noise, forgotten):
    body, headers = request_for(MessageBatch((noise or b"{}",), forgotten), None)
    plain = zlib.decompress(body, wbits=31) if "Content-Encoding" in headers else body
    assert plain == (noise or b"{}") + b"\n"
    assert len(body) <= len(plain)
    assert headers.get(routes.FORGOTTEN_HEADER) == (str(forgotten) if forgotten else None)
    assert "Authorization" not in headers


def test_a_report_that_is_asked_for_comes_earlier_and_once_per_period():
    schedule, session = Schedule(30.0), Session(peer_id="p")
    schedule.add(session, 0.0, 0.5)
    schedule.hurry(session, 1.0, 1.5)
    assert list(schedule.due(1.5)) == [session]
    schedule.hurry(session, 2.0, 2.5)  # less than a period after the first request
    assert list(schedule.due(31.4)) == []
    assert list(schedule.due(31.5)) == [session]
    schedule.hurry(session, 61.0, 61.9)  # later than the regular report
    assert list(schedule.due(61.5)) == [session]
    assert list(schedule.due(91.4)) == []
    schedule.remove(session)
    schedule.hurry(session, 200.0, 200.0)
    assert list(schedule.due(300.0)) == []


def test_sessions_report_once_per_period_at_a_phase_of_their_own():
    schedule = Schedule(30.0)
    sessions = [Session(peer_id=f"p-{n}") for n in range(3)]
    for session, phase in zip(sessions, (0.0, 0.5, 1.0), strict=True):
        schedule.add(session, 100.0, phase)
    assert schedule.next_s() == 100.0
    assert list(schedule.due(99.0)) == []
    assert list(schedule.due(115.0)) == sessions[:2]
    assert list(schedule.due(130.0)) == [sessions[2], sessions[0]]


def test_a_session_that_was_suspended_reports_once_and_keeps_its_phase():
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


def test_sessions_that_left_are_released_long_before_their_report_would_be_due():
    schedule, stays = Schedule(86_400.0), Session(peer_id="stays")
    schedule.add(stays, 0.0, 1.0)
    left = []
    for number in range(1000):
        session = Session(peer_id=f"p-{number}")
        left.append(ref(session))
        schedule.add(session, 0.0, 0.5)
        schedule.remove(session)
    del session
    assert sum(each() is not None for each in left) < 200
    assert list(schedule.due(86_400.0)) == [stays]


BODIES = {
    "empty": b"",
    "a page": HTML,
    "a list": b'["malformed"]',
    "null": b"null",
    "no reason": b'{"status":400,"detail":"no"}',
    "a reason that is no text": b'{"status":400,"reason":7}',
    "another's reason": b'{"kind":"Status","status":"Failure","reason":"BadRequest","code":400}',
    "a nested reason": b'{"error":{"errors":[{"reason":"malformed"}]}}',
    "cut": problem(400, "malformed")[2][:-3],
    "not UTF-8": b'{"reason":"\xff"}',
    "deep": b"[" * 100_000,
    "an accepted batch": b'{"accepted":1}',
    "a problem of another status": problem(599, "malformed")[2],
}
TYPES = ("", "text/html", "application/json", routes.PROBLEM, f"{routes.PROBLEM}; charset=utf-8")


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_answer_without_a_coordinators_body_removes_a_message(body):
    for status in (*range(100, 200), *range(300, 599)):
        for content_type in TYPES:
            for messages in (1, 3):
                verdict = interpret(Answer(status=status, content_type=content_type, body=body), messages)
                assert verdict.outcome in {DeliveryOutcome.BLOCKED, DeliveryOutcome.FAILED, DeliveryOutcome.TOO_LARGE}, (
                    status,
                    content_type,
                )
                assert not verdict.refused_for


@pytest.mark.parametrize("body", [body for name, body in BODIES.items() if name != "an accepted batch"])
def test_a_success_without_a_coordinators_body_removes_no_message(body):
    for status in range(200, 300):
        assert interpret(Answer(status=status, content_type=routes.JSON, body=body), 1).outcome is DeliveryOutcome.BLOCKED


@pytest.mark.parametrize("reason", sorted(MESSAGE_REASONS))
def test_a_reason_that_concerns_the_message_removes_it_and_is_counted(reason):
    for status in (400, 413, 422):
        verdict = interpret(as_answer(problem(status, reason)), 1)
        assert (verdict.outcome, verdict.refused_for) == (DeliveryOutcome.REFUSED, {reason: 1})


@pytest.mark.parametrize(
    "answer",
    [
        *(problem(status, "malformed") for status in (401, 408, 429, 500, 503, 599)),
        *(problem(400, reason) for reason in ("bad_http", "bad_encoding", "all_refused", "a_reason_of_the_future", "")),
        problem(401, "unauthorized"),
        problem(404, "not_found"),
        problem(405, "method_not_allowed"),
        problem(415, "unsupported_type"),
        problem(431, "head_too_large"),
    ],
)
def test_a_reason_that_does_not_concern_the_message_keeps_it(answer):
    assert interpret(as_answer(answer), 1).outcome in {DeliveryOutcome.FAILED, DeliveryOutcome.BLOCKED}


def test_a_batch_that_is_refused_behind_the_coordinator_is_suspect_and_no_other_failure_is():
    for reason in ("rejected_by_feedback_server", "batch_blocked"):
        assert interpret(as_answer(problem(503, reason)), 3).outcome is DeliveryOutcome.BLOCKED
    for reason in ("spool_full", "no_feedback_server", "overloaded", "not_ready"):
        assert interpret(as_answer(problem(503, reason)), 3).outcome is DeliveryOutcome.FAILED


def test_a_coordinator_gives_no_message_reason_that_the_sdk_does_not_know():
    """The reasons come from the coordinator's source, because a message that is refused for an unknown reason is kept for long."""
    named = set()
    for source in (Path(__file__).parents[2] / "coordinator").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
        refusals = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Refused"]
        named |= {call.args[0].value for call in refusals if isinstance(call.args[0], ast.Constant)}
    assert len(named) > 4
    assert named <= MESSAGE_REASONS


def send_all(buffer, passes, attempts):
    """Send what `buffer` has through one coordinator; return what arrived, and how many messages were given up."""
    arrived, given_up = [], 0
    for _ in range(attempts):
        if not buffer.has_batch:
            break
        batch = buffer.batch()
        if passes(batch.lines):
            arrived += batch.lines
            buffer.settle(batch, accepted=True)
        else:
            given_up += buffer.blocked(batch, everywhere=True)
    return arrived, given_up


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 80))
def test_a_message_that_a_path_always_blocks_is_given_up_in_time_and_no_other_is(poisonous, capacity):
    buffer = Buffer(capacity)
    lines = [b"%s%d" % (b"poison" if poison else b"clean", n) for n, poison in enumerate(poisonous)]
    for line in lines:
        buffer.add(line)
    arrived, given_up = send_all(buffer, lambda batch: not any(line.startswith(b"poison") for line in batch), 1000)
    # A message is given up only after others have passed, so further ones keep coming.
    for n in range(20 * len(lines)):
        buffer.add(b"clean, later %d" % n)
        later, more = send_all(buffer, lambda batch: not any(line.startswith(b"poison") for line in batch), 100)
        arrived, given_up = arrived + later, given_up + more
    kept = lines[-capacity:]
    assert {line for line in kept if line.startswith(b"clean")} <= set(arrived) | set(forgotten_of(buffer, kept))
    assert not any(line.startswith(b"poison") for line in arrived)
    assert len(arrived) == len(set(arrived))
    assert len(buffer) == 0
    assert given_up + buffer.forgotten + len(arrived) == len(lines) + 20 * len(lines)


def forgotten_of(buffer, lines):
    """Those that a full buffer may have dropped: at most as many as it counts."""
    return lines[: buffer.forgotten]


@given(st.integers(1, 30), st.lists(st.booleans(), max_size=200))
def test_a_path_that_blocks_everything_costs_no_message(messages, opens):
    buffer = Buffer(1000)
    lines = [b"%d" % n for n in range(messages)]
    for line in lines:
        buffer.add(line)
    _, given_up = send_all(buffer, lambda _: False, 500)
    assert (given_up, len(buffer)) == (0, messages)
    arrived, _ = send_all(buffer, lambda _: True, 500)
    assert sorted(arrived) == sorted(lines)


def test_a_suspect_message_is_kept_while_only_a_busy_coordinator_could_accept_it():
    buffer = Buffer(10)
    buffer.add(b"poison")
    for n in range(100):
        buffer.add(b"clean %d" % n)
        for _ in range(10):
            if not buffer.has_batch:
                break
            batch = buffer.batch()
            if b"poison" in batch.lines:
                assert buffer.blocked(batch, everywhere=False) == 0
            else:
                buffer.settle(batch, accepted=True)
    assert (len(buffer), buffer.forgotten) == (1, 0)


@given(
    st.integers(100, 599),
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda v: st.lists(v) | st.dictionaries(st.sampled_from(["reason", "detail", "refused", "index", "accepted", "status"]), v),
    ).map(lambda v: json.dumps(v).encode()),
    st.integers(1, 5),
)
def test_no_answer_can_count_more_refused_messages_than_were_sent(status, body, messages):
    verdict = interpret(Answer(status=status, content_type=routes.PROBLEM, body=body), messages)
    assert verdict.refused_for.total() <= messages
    fields: dict = {}
    with suppress(ValueError):
        loaded = json.loads(body)
        fields = loaded if isinstance(loaded, dict) else {}
    if verdict.outcome is DeliveryOutcome.REFUSED:
        assert 400 <= status < 500
        assert fields["status"] == status
    if verdict.outcome is DeliveryOutcome.ACCEPTED:
        assert fields["accepted"] >= 0
    if verdict.outcome is DeliveryOutcome.FAILED:
        assert not verdict.refused_for
