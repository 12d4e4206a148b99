"""The examples of each task from the tables of trainings: one matrix of features, the truth, and what is not a feature.

An example of a session exists at the end of several of its slots, so that a model also knows sessions that are still running. All
examples of a session stay together in every split, and only the one at its end is judged.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Examples, Floats, Texts
from qoe_lab.models.forbidden_features import check_features
from qoe_lab.models.segment_lengths import segment_number
from qoe_lab.models.session_features import HEAD_SLOTS, SessionHead, head_names
from qoe_lab.models.slot_history import SlotHistory, known_values, slot_names
from qoe_lab.models.tasks import HIGHEST_MOS, LOWEST_MOS, MOS, NO, SESSION_STALLED, SLOT_STALLED, STARTUP, YES, ModelTask

PREFIX_SLOTS = (5, 8, 11, 14, 17, 20, 30, 40, 80, 160, 320, 640, 1280, 2560)
"""A session that still runs is described at the end of each of these numbers of slots."""
_PLACES = {"training": "training_id", "client": "client", "source": "source", "content": "content_id"}

STATES = ("startup", "play", "stall")

TableColumns = Mapping[str, NDArray[Any]]
"""A table as one array per column. A number that is not known is NaN, a text None."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionSlots:
    """One valid session: its features slot by slot, and its truth."""

    session_id: str
    limit_mbps: float
    places: Mapping[str, str]
    x: Floats
    """A row per slot, a column per feature of a slot with its history."""
    stalled: NDArray[np.bool_]
    """Whether playback was stalled for most of the slot."""
    stalled_ms: Floats
    started: NDArray[np.bool_]
    """Whether the first picture was shown before the end of the slot."""
    heights: Floats
    """Of the picture in each slot; NaN where there is none."""
    startup_s: float
    mos: float
    length: float = np.nan
    """The length of its segments, as index in SEGMENT_S; NaN if it is not known."""


def session_slots(sessions: TableColumns, slots: TableColumns, features: Sequence[str]) -> list[SessionSlots]:
    """The valid sessions of the tables. ValueError for features that are missing or that a model must not see."""
    check_features(features)
    _check_possible(sessions, "limit_mbps", 0.0, 1e6)
    _check_possible(sessions, "startup_ms", 0.0, 1e9)
    _check_possible(sessions, "mos", LOWEST_MOS, HIGHEST_MOS)
    _check_possible(slots, "stalled_ms", 0.0, 1000.0)
    _check_possible(slots, "height", 0.0, 1e5)
    valid = sessions["valid"].astype(bool)
    _check_known(sessions, "limit_mbps", ~np.isnan(sessions["limit_mbps"].astype(np.float64)) | ~valid)
    _check_known(slots, "state", np.isin(slots["state"].astype(str), STATES))
    if missing := [name for name in features if name not in slots]:
        raise ValueError(f"the table of slots has no {', '.join(missing)}; export the training again")
    order = np.lexsort((slots["slot"], slots["session_id"].astype(str)))
    ids = slots["session_id"].astype(str)[order]
    begins = dict(zip(*np.unique(ids, return_index=True), strict=True))
    ends = {each: begins[each] + count for each, count in zip(*np.unique(ids, return_counts=True), strict=True)}
    x = known_values(np.column_stack([slots[name].astype(np.float64) for name in features]))
    found = []
    for row in np.flatnonzero(valid).tolist():
        session_id = str(sessions["session_id"][row])
        if session_id in begins:
            rows = order[begins[session_id] : ends[session_id]]
            found.append(_session(sessions, slots, row, _with_history(x[rows], features), rows))
    if not found:
        raise ValueError("the data sets have no valid session with slots; see `swarmscope lab show` for the reasons")
    return found


def _check_known(table: TableColumns, name: str, known: NDArray[np.bool_]) -> None:
    """ValueError if a value that each row has is not there."""
    for row in np.flatnonzero(~known).tolist():
        value = table[name][row]
        raise ValueError(f"{name} of the session {table['session_id'][row]} is {value}, which cannot be; export the training again")


def _check_possible(table: TableColumns, name: str, least: float, most: float) -> None:
    """ValueError if a true value is out of its range. NaN (not known) is allowed."""
    values = table[name].astype(np.float64)
    for row in np.flatnonzero((values < least) | (values > most)).tolist():
        session_id = table["session_id"][row]
        raise ValueError(f"{name} of the session {session_id} is {values[row]:g}, which cannot be; export the training again")


def _session(sessions: TableColumns, slots: TableColumns, row: int, x: Floats, rows: NDArray[Any]) -> SessionSlots:
    states = slots["state"][rows].astype(str)
    heights = slots["height"][rows].astype(np.float64)
    return SessionSlots(
        session_id=str(sessions["session_id"][row]),
        limit_mbps=float(sessions["limit_mbps"][row]),
        places={name: str(sessions[column][row]) for name, column in _PLACES.items()},
        x=x,
        stalled=states == "stall",
        stalled_ms=slots["stalled_ms"][rows].astype(np.float64),
        started=states != "startup",
        heights=np.where(states == "startup", np.nan, heights),
        startup_s=float(sessions["startup_ms"][row]) / 1000,
        mos=float(sessions["mos"][row]),
        length=segment_number(float(sessions["segment_ms"][row]) / 1000) if "segment_ms" in sessions else np.nan,
    )


def examples_of(task: ModelTask, sessions: Sequence[SessionSlots], features: Sequence[str]) -> Examples:
    """The examples of one task. Slots and sessions whose truth is not known are left out."""
    if task.per == "slot":
        return _slot_examples(task, sessions, features)
    return _session_examples(task, sessions, features)


def _slot_examples(task: ModelTask, sessions: Sequence[SessionSlots], features: Sequence[str]) -> Examples:
    lengths = [len(each.x) for each in sessions]
    if task == SLOT_STALLED:
        classes: tuple[str, ...] = (NO, YES)
        y = np.concatenate([each.stalled.astype(np.float64) for each in sessions])
    else:
        heights = np.concatenate([each.heights for each in sessions])
        kinds = np.unique(heights[~np.isnan(heights)])
        classes = tuple(str(int(each)) for each in kinds)
        y = np.where(np.isnan(heights), np.nan, np.searchsorted(kinds, heights))
    all_slots = Examples(
        names=slot_names(features),
        x=np.concatenate([each.x for each in sessions]),
        y=y,
        classes=classes,
        sessions=np.repeat(np.array([each.session_id for each in sessions], dtype=np.str_), lengths),
        slots=np.concatenate([np.arange(length) for length in lengths]),
        whole=np.ones(len(y), dtype=bool),
        limits=np.repeat(np.array([each.limit_mbps for each in sessions], dtype=np.float64), lengths),
        lengths=np.repeat(np.array([each.length for each in sessions], dtype=np.float64), lengths),
        places={name: np.repeat(_place(sessions, name), lengths) for name in _PLACES},
    )
    return all_slots.at(~np.isnan(y))


def _with_history(x: Floats, features: Sequence[str]) -> Floats:
    history = SlotHistory(features)
    return np.array([history.add(slot) for slot in x])


def _place(sessions: Iterable[SessionSlots], name: str) -> Texts:
    return np.array([each.places[name] for each in sessions], dtype=np.str_)


@dataclass(frozen=True, slots=True)
class _Row:
    session: int
    slot: int
    x: Floats
    y: float


def _session_examples(task: ModelTask, sessions: Sequence[SessionSlots], features: Sequence[str]) -> Examples:
    of_slot = slot_names(features)
    rows = [row for number, session in enumerate(sessions) for row in _rows(task, number, session)]
    last = {row.session: position for position, row in enumerate(rows)}
    owners = [sessions[row.session] for row in rows]
    names = head_names(of_slot) if task == STARTUP else of_slot
    return Examples(
        names=names,
        x=np.array([row.x for row in rows]) if rows else np.empty((0, len(names))),
        y=np.array([row.y for row in rows]),
        classes=(NO, YES) if task == SESSION_STALLED else (),
        sessions=np.array([each.session_id for each in owners], dtype=np.str_),
        slots=np.array([row.slot for row in rows], dtype=np.int64),
        whole=np.array([last[row.session] == position for position, row in enumerate(rows)], dtype=bool),
        limits=np.array([each.limit_mbps for each in owners], dtype=np.float64),
        lengths=np.array([each.length for each in owners], dtype=np.float64),
        places={name: _place(owners, name) for name in _PLACES},
    )


def _rows(task: ModelTask, number: int, session: SessionSlots) -> list[_Row]:
    head = SessionHead(session.x.shape[1])
    end = len(session.x)
    moments = {*(HEAD_SLOTS if task == STARTUP else PREFIX_SLOTS if task == SESSION_STALLED else ()), end}
    rows = []
    for count, slot in enumerate(session.x, start=1):
        head.add(slot)
        truth = _truth(task, session, count) if count in moments else np.nan
        if not np.isnan(truth):
            rows.append(_Row(number, count - 1, head.values() if task == STARTUP else slot, truth))
    return rows


def _truth(task: ModelTask, session: SessionSlots, count: int) -> float:
    """The truth at the end of the first `count` slots; NaN if it is not known."""
    if task == SESSION_STALLED:
        return float((session.stalled_ms[:count] > 0).any())
    if task == MOS:
        return session.mos
    # Before the first picture, the startup is not over, and its length is a matter of the future.
    known = session.startup_s > 0 and session.started[:count].any()
    return float(np.log(session.startup_s)) if known else np.nan
