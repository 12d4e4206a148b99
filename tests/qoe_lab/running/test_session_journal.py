"""The journal of a training survives a crash at any byte, and a plan continues from it where it was."""

from dataclasses import replace
from pathlib import Path

import pytest

from feedback_wire.trainings import SessionStatus
from qoe_lab.running.session_journal import SessionJournal, StatusChange, read_changes
from qoe_lab.running.session_queue import INTERRUPTED, MOST_FAILURES, SessionQueue
from qoe_lab.training_plan import TrainingSettings, plan_sessions

PLAN = plan_sessions(TrainingSettings(name="t", sessions=7, limits_mbps=(0.5, 1.0, 3.0), seconds=20))
NOT_CAPTURED, UNDER_CAPTURING, CAPTURED, DISCARDED = SessionStatus


def change(number: int, status: SessionStatus, attempt: int = 1, reason: str | None = None) -> StatusChange:
    return StatusChange(
        number=number, attempt=attempt, session_id=f"t-{number}-{attempt}", status=status, wall_ms=1_000, reason=reason
    )


CHANGES = [
    change(0, UNDER_CAPTURING),
    change(0, CAPTURED),
    change(1, UNDER_CAPTURING),
    change(1, DISCARDED, reason="probe_outside – ü"),
]


def written(path: Path) -> bytes:
    with SessionJournal(path) as journal:
        for each in CHANGES:
            journal.append(each)
    return path.read_bytes()


def test_a_journal_that_is_cut_at_any_byte_has_every_whole_line_and_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    whole = written(path)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = whole[:length].count(b"\n")
        assert read_changes(path) == CHANGES[:kept]
        with SessionJournal(path) as journal:
            assert journal.changes == CHANGES[:kept]
            journal.append(change(6, UNDER_CAPTURING))
        assert read_changes(path) == [*CHANGES[:kept], change(6, UNDER_CAPTURING)]


def test_a_last_line_that_a_power_cut_filled_with_zeros_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_bytes(written(path) + bytes(40) + b"\n")
    assert read_changes(path) == CHANGES
    with SessionJournal(path) as journal:
        assert journal.changes == CHANGES
    assert path.read_bytes().count(b"\0") == 0


def test_a_damaged_line_in_the_middle_is_refused_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    lines = written(path).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b'{"number": 1}\n', *lines[2:]]))
    with pytest.raises(ValueError, match=r"sessions\.jsonl:3 is damaged"):
        read_changes(path)
    with pytest.raises(ValueError, match="is damaged"):
        SessionJournal(path)


def test_a_failed_session_runs_again_before_later_ones_in_its_cell_and_is_given_up_after_its_last_attempt() -> None:
    queue = SessionQueue(PLAN)
    for attempt in range(1, MOST_FAILURES + 1):
        planned = queue.next()
        assert planned == PLAN[0]
        assert queue.attempt_of(0) == attempt - 1
        queue.apply(change(0, UNDER_CAPTURING, attempt))
        assert queue.next() == PLAN[1]  # another one may run meanwhile
        queue.apply(change(0, DISCARDED, attempt, "client_failed"))
    assert queue.next() == PLAN[1]
    assert (queue.given_up, queue.captured, dict(queue.discarded)) == (1, 0, {"client_failed": MOST_FAILURES})


def test_an_interrupted_session_is_not_counted_as_failed() -> None:
    queue = SessionQueue(PLAN)
    for attempt in range(1, 10):
        queue.apply(change(0, UNDER_CAPTURING, attempt))
        queue.apply(change(0, DISCARDED, attempt, INTERRUPTED))
    assert queue.next() == PLAN[0]
    assert queue.given_up == 0


def test_a_plan_is_done_when_each_session_is_captured_or_given_up() -> None:
    queue = SessionQueue(PLAN)
    for planned in PLAN[1:]:
        queue.apply(change(planned.number, UNDER_CAPTURING))
        assert not queue.is_done
        queue.apply(change(planned.number, CAPTURED))
    for attempt in range(1, MOST_FAILURES + 1):
        assert not queue.is_done
        queue.apply(change(0, DISCARDED, attempt, "client_failed"))
    assert queue.is_done
    assert queue.next() is None
    assert [(each.limit_mbps, each.planned - each.captured) for each in queue.limits()] == [
        (limit, int(limit == PLAN[0].limit_mbps)) for limit in (0.5, 1.0, 3.0)
    ]


def test_the_expected_end_comes_from_the_sessions_so_far_and_how_many_ran_at_once() -> None:
    queue = SessionQueue(PLAN)
    assert queue.remaining_s(usual_s=27) == 7 * 27
    for number in (0, 1):
        queue.apply(change(number, UNDER_CAPTURING))
    assert queue.remaining_s(usual_s=27) == 7 * 27 / 2
    queue.apply(replace(change(0, CAPTURED), wall_ms=31_000))
    assert queue.remaining_s(usual_s=27) == 6 * 30 / 2


def test_the_expected_end_knows_that_sessions_in_a_browser_are_played_alone() -> None:
    queue = SessionQueue(PLAN)

    def remaining_s() -> float:
        return queue.remaining_s(usual_s=27, is_alone=lambda planned: planned.number >= 3)

    for number in (0, 1):
        queue.apply(change(number, UNDER_CAPTURING))
    assert remaining_s() == 3 * 27 / 2 + 4 * 27
    queue.apply(replace(change(0, CAPTURED), wall_ms=31_000))
    assert remaining_s() == 2 * 30 / 2 + 4 * 27
    queue.apply(replace(change(3, UNDER_CAPTURING), wall_ms=31_000))
    queue.apply(replace(change(3, CAPTURED), wall_ms=71_000))
    assert remaining_s() == 2 * 30 / 2 + 3 * 40


def test_a_journal_of_another_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="the plan has 7 sessions"):
        SessionQueue(PLAN, [change(7, CAPTURED)])
