"""Writes the logs of one day in one process: one log per minute and feedback server, as in a live system."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feedback_analysis.time_units import DAY_MS, MINUTE_MS
from feedback_server.forms import log_writer
from feedback_wire.log_name import Form, LogName
from swarmscope.olympics.event_truth import DayMessages, DayTruth, truth_of
from swarmscope.olympics.hosts import hosts
from swarmscope.olympics.lines import Lines
from swarmscope.olympics.message_columns import MessageColumns, messages_of
from swarmscope.olympics.planned_views import Whole, views_of
from swarmscope.olympics.programme import SERVERS, Day, programme

# An upper limit of the views per day. The number of a view in the whole event is the day's number times this, plus the view's row.
_VIEWS_A_DAY = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTask:
    """The task of one process: the day to write, and how."""

    into: Path
    form: Form
    number: int
    seed: int
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _DayPart:
    """The messages received on one day from the views that began on the same or another day."""

    lines: list[bytes]
    messages: DayMessages


def write_day(task: DayTask) -> DayTruth:
    """Write the logs of the day and return its true measures."""
    days = programme(task.scale)
    day = days[task.number]
    parts = [_day_part(day, began, task) for began in days[max(0, task.number - 1) : task.number + 1]]
    messages = _joined([part.messages for part in parts])
    by_time = np.argsort(messages.columns.received_ms, kind="stable")
    all_lines = [line for part in parts for line in part.lines]
    _write_minutes(task, messages.columns.received_ms[by_time], [all_lines[at] for at in by_time.tolist()])
    return truth_of(day, messages)


def _day_part(day: Day, began: Day, task: DayTask) -> _DayPart:
    views = views_of(began, seed=task.seed, scale=task.scale)
    numbers, host = np.unique(views.peer, return_inverse=True)
    end_hosts = hosts(numbers, seed=task.seed)
    columns = messages_of(began, views, host, end_hosts, seed=task.seed)
    today = columns.take((columns.received_ms >= day.begins_ms) & (columns.received_ms < day.begins_ms + DAY_MS))
    lines = Lines(began, views, host.tolist(), end_hosts).of(today)
    messages = DayMessages(peer=views.peer[today.view], view=began.number * _VIEWS_A_DAY + today.view, columns=today)
    return _DayPart(lines=lines, messages=messages)


def _joined(parts: list[DayMessages]) -> DayMessages:
    return DayMessages(
        peer=np.concatenate([part.peer for part in parts]),
        view=np.concatenate([part.view for part in parts]),
        columns=MessageColumns.joined([part.columns for part in parts]),
    )


def _write_minutes(task: DayTask, received_ms: Whole, lines: list[bytes]) -> None:
    """Write one log per minute and server. `lines` are in order of time; the servers get them in turn."""
    starts = np.flatnonzero(np.diff(received_ms // MINUTE_MS, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        begins_s = int(received_ms[start] // MINUTE_MS) * 60
        for turn, server in enumerate(SERVERS):
            server_lines = lines[start + turn : end : len(SERVERS)]
            if server_lines:
                _write_log(task, LogName(begins_s, server, 0, task.form), server_lines)


def _write_log(task: DayTask, name: LogName, lines: list[bytes]) -> None:
    temporary = task.into / f".{name}.writing"
    with temporary.open("wb") as file:
        log = log_writer(task.form, file)
        log.add(b"".join(lines), len(lines))
        log.finish()
    temporary.replace(task.into / str(name))
