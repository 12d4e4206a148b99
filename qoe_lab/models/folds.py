"""Which examples a model is fitted to, and on which it is judged. No session is on both sides of a split."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from qoe_lab.models.examples import Examples, Mask
from qoe_lab.models.tasks import ModelTask

LEAST_SESSIONS = 6
"""With fewer sessions, a split shows nothing."""


class TooFewSessionsError(ValueError):
    """The examples do not suffice for a split; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SessionSplit:
    """The rows to fit to and the rows to judge on. `left_out` names what the split leaves out."""

    fit: Mask
    judge: Mask
    left_out: str


def grouped_splits(task: ModelTask, examples: Examples, folds: int, seed: int) -> list[SessionSplit]:
    """Split the sessions into `folds` parts, each with about the same shares of the classes. Fewer if the rarest class
    needs it."""
    sessions = np.unique(examples.sessions)
    if len(sessions) < LEAST_SESSIONS:
        raise TooFewSessionsError(f"there are {len(sessions)} sessions, and at least {LEAST_SESSIONS} are needed")
    strata = _strata(task, examples, len(sessions) // folds)
    sessions_of = [len(np.unique(examples.sessions[strata == each])) for each in np.unique(strata)]
    if task.kind == "classes":
        if len(sessions_of) < 2:
            only = examples.classes[int(strata[0])]
            raise TooFewSessionsError(f"all examples are of the class {only!r}")
        # A class of a single session cannot be both fitted to and judged on. The others decide the number of parts.
        able = [count for count in sessions_of if count > 1]
        if len(able) < 2:
            raise TooFewSessionsError("only one class occurs in more than one session")
        folds = max(2, min(folds, min(able)))
    folds = min(folds, len(sessions))
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A rare class is missing in some parts, which is known here.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = list(splitter.split(examples.x, strata, examples.sessions))
    return [
        SessionSplit(fit=_mask(examples, fit), judge=_mask(examples, judge) & examples.whole, left_out=f"part {number}")
        for number, (fit, judge) in enumerate(parts, start=1)
    ]


def leave_one_out(examples: Examples, place: str) -> list[SessionSplit]:
    """Leave each training, limit, client, source or content out in turn. TooFewSessionsError if there is only one of them."""
    values = examples.limits.astype(np.str_) if place == "limit" else examples.places[place]
    kinds = np.unique(values)
    if len(kinds) < 2:
        raise TooFewSessionsError(f"all sessions have the {place} {kinds[0] if len(kinds) else 'unknown'}")
    return [SessionSplit(fit=values != each, judge=(values == each) & examples.whole, left_out=str(each)) for each in kinds]


def sessions_on_both_sides(examples: Examples, splits: list[SessionSplit]) -> int:
    """How many sessions a model of these splits was fitted to and judged on: 0."""
    return sum(len(np.intersect1d(examples.sessions[each.fit], examples.sessions[each.judge])) for each in splits)


def _strata(task: ModelTask, examples: Examples, most: int) -> NDArray[Any]:
    """The class of each example; of numbers, the quarter in which it is, or less finely if there are few sessions."""
    if task.kind == "classes":
        return examples.y.astype(np.int64)
    ranks = np.argsort(np.argsort(examples.y, kind="stable"), kind="stable")
    return ranks * max(1, min(4, most)) // max(1, len(ranks))


def _mask(examples: Examples, rows: NDArray[Any]) -> Mask:
    mask = np.zeros(len(examples), dtype=bool)
    mask[rows] = True
    return mask
