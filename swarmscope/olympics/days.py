"""One day's logs, written by one process: each minute a log of each feedback server, as a live system would have rolled them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from feedback_server.forms import log_writer
from feedback_wire.log_name import Form, LogName
from swarmscope.olympics.hosts import hosts
from swarmscope.olympics.lines import Lines
from swarmscope.olympics.messages import Messages, messages_of
from swarmscope.olympics.programme import DAY_MS, MINUTE_MS, SERVERS, Day, programme
from swarmscope.olympics.truth import DayTruth, Heard, truth_of
from swarmscope.olympics.views import Whole, views_of

# More views than a day ever has: the number of a view in the whole event is its day's number times this, and its row.
_VIEWS_A_DAY = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a process is asked for."""

    into: Path
    form: Form
    number: int
    seed: int
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What is received on a day of the views that began on one day."""

    lines: list[bytes]
    heard: Heard


def write_day(order: Order) -> DayTruth:
    """Write the logs of the day; its truth."""
    days = programme(order.scale)
    day = days[order.number]
    parts = [_part(day, began, order) for began in days[max(0, order.number - 1) : order.number + 1]]
    heard = _together([part.heard for part in parts])
    order_of = np.argsort(heard.said.received_ms, kind="stable")
    all_lines = [line for part in parts for line in part.lines]
    _write_minutes(order, heard.said.received_ms[order_of], [all_lines[at] for at in order_of.tolist()])
    return truth_of(day, heard)


def _part(day: Day, began: Day, order: Order) -> _Part:
    views = views_of(began, seed=order.seed, scale=order.scale)
    numbers, host = np.unique(views.peer, return_inverse=True)
    people = hosts(numbers, seed=order.seed)
    said = messages_of(began, views, host, people, seed=order.seed)
    today = said.take((said.received_ms >= day.begins_ms) & (said.received_ms < day.begins_ms + DAY_MS))
    lines = Lines(began, views, host.tolist(), people).of(today)
    heard = Heard(peer=views.peer[today.view], view=began.number * _VIEWS_A_DAY + today.view, said=today)
    return _Part(lines=lines, heard=heard)


def _together(parts: list[Heard]) -> Heard:
    return Heard(
        peer=np.concatenate([part.peer for part in parts]),
        view=np.concatenate([part.view for part in parts]),
        said=Messages.together([part.said for part in parts]),
    )


def _write_minutes(order: Order, received_ms: Whole, lines: list[bytes]) -> None:
    """`lines` by time, dealt in turn to the feedback servers."""
    starts = np.flatnonzero(np.diff(received_ms // MINUTE_MS, prepend=-1)).tolist()
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        begins_s = int(received_ms[start] // MINUTE_MS) * 60
        for turn, server in enumerate(SERVERS):
            dealt = lines[start + turn : end : len(SERVERS)]
            if dealt:
                _write_log(order, LogName(begins_s, server, 0, order.form), dealt)


def _write_log(order: Order, name: LogName, lines: list[bytes]) -> None:
    temporary = order.into / f".{name}.writing"
    with temporary.open("wb") as file:
        log = log_writer(order.form, file)
        log.add(b"".join(lines), len(lines))
        log.finish()
    temporary.replace(order.into / str(name))
