"""Leak alarms: ways in which a good score could come from the lab or from a mistake, and not from the video. They run in every
fit."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from qoe_lab.models.cross_fitting import held_out
from qoe_lab.models.evaluation import TaskResult
from qoe_lab.models.examples import Examples
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.folds import SessionSplit, TooFewSessionsError, grouped_splits, sessions_on_both_sides
from qoe_lab.models.score_measures import auc, balanced_accuracy
from qoe_lab.models.tasks import HEIGHT, SESSION_STALLED, ModelTask

TOLERANCE = 0.05
_ENOUGH = 0.015
"""The standard error of the mean AUC at which no further shuffle is needed."""
_EXAMPLES_PER_SHUFFLE = 240
"""The fewer examples, the more shuffles are needed, and the less each takes."""
_ALONE = 0.995
_TRAINING_ALONE = 0.65


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """The result of one check. `raised` is None if the check could not be made."""

    name: str
    found: str
    expected: str
    raised: bool | None
    meaning: str


def leak_alarms(task: ModelTask, examples: Examples, result: TaskResult, effort: Effort, seed: int) -> list[Alarm]:
    """The alarms of one task."""
    splits = grouped_splits(task, examples, effort.folds, seed)
    alarms = [_shared_sessions(examples, splits), _duplicates(examples, splits), _gain(result)]
    if task.kind == "classes":
        alarms += [_shuffled(task, examples, result, effort, seed), _one_feature(examples)]
    if task == SESSION_STALLED:
        alarms += _training_probe(task, examples, effort, seed)
    return alarms


def _shared_sessions(examples: Examples, splits: list[SessionSplit]) -> Alarm:
    shared = sessions_on_both_sides(examples, splits)
    return Alarm(
        name="sessions on both sides of a split",
        found=str(shared),
        expected="0",
        raised=shared > 0,
        meaning="a model would know a session on which it is judged",
    )


def _duplicates(examples: Examples, splits: list[SessionSplit]) -> Alarm:
    copies = duplicate_rows(examples, splits)
    return Alarm(
        name="equal rows on both sides of a split",
        found=str(copies),
        expected="0",
        raised=copies > 0,
        meaning="examples were copied before the split, so the truth of some is known",
    )


def duplicate_rows(examples: Examples, splits: list[SessionSplit]) -> int:
    """How many judged rows equal a row that their model was fitted to. Rows of slots without traffic, which are alike, do not
    count."""
    silent = (np.nan_to_num(examples.x) == 0).mean(axis=1) > 0.5
    lines = np.array([row.tobytes() for row in examples.x], dtype=object)
    count = 0
    for split in splits:
        known = set(lines[split.fit & ~silent])
        count += sum(line in known for line in lines[split.judge & ~silent])
    return count


def _gain(result: TaskResult) -> Alarm:
    better = -1 if result.task.score == "mae" else 1
    gained = sorted((better * result.gain.low, better * result.gain.high))
    return Alarm(
        name="gain over the limit alone",
        found=f"{better * result.gain.value:+.3f} ({gained[0]:+.3f} to {gained[1]:+.3f})",
        expected="above 0",
        raised=bool(gained[0] <= 0),
        meaning="the model may know no more than the limit of the lab's link",
    )


def _shuffled(task: ModelTask, examples: Examples, result: TaskResult, effort: Effort, seed: int) -> Alarm:
    area = shuffled_auc(task, examples.at(examples.whole), result.chosen, effort, seed)
    return Alarm(
        name="AUC with shuffled truth",
        found=f"{area:.3f}",
        expected=f"0.5 ± {TOLERANCE}",
        raised=None if np.isnan(area) else abs(area - 0.5) > TOLERANCE,
        meaning="the judgement gives good scores to noise",
    )


def shuffled_auc(task: ModelTask, examples: Examples, family: str, effort: Effort, seed: int) -> float:
    """The mean AUC of the family when the truth is shuffled. It is taken within parts, because parts differ in their shares."""
    random = np.random.default_rng(seed)
    # Weak models suffice: what leaks to a strong one leaks to a weak one, too.
    weaker = replace(effort, trees=max(10, effort.trees // 10), rounds=max(10, effort.rounds // 10))
    areas: list[float] = []
    most = max(3, effort.shuffles * _EXAMPLES_PER_SHUFFLE // len(examples))
    while len(areas) < most:
        noise = examples.with_truth(random.permutation(examples.y))
        try:
            splits = grouped_splits(task, noise, effort.folds, seed)
        except TooFewSessionsError:
            return np.nan
        outputs = held_out(BY_NAME[family], task, noise, splits, weaker, seed).outputs
        parts = [auc(noise.y[each.judge], outputs[each.judge], np.ones(int(each.judge.sum()))) for each in splits]
        areas.append(float(np.nanmean(parts)) if not np.isnan(parts).all() else np.nan)
        if len(areas) > 2 and np.nanstd(areas, ddof=1) / np.sqrt(len(areas)) < _ENOUGH:
            break
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else np.nan


def _one_feature(examples: Examples) -> Alarm:
    whole = examples.at(examples.whole)
    name, area = best_single_feature(whole)
    return Alarm(
        name="best feature alone (AUC)",
        found=f"{area:.3f} ({name})",
        expected=f"below {_ALONE}",
        raised=bool(area >= _ALONE),
        meaning="a feature may be the truth under another name",
    )


def best_single_feature(examples: Examples) -> tuple[str, float]:
    """The feature that separates the largest class from the others best when nothing else is known."""
    largest = Counter(examples.y.tolist()).most_common(1)[0][0]
    truth = (examples.y == largest).astype(np.float64)
    weights = np.ones(len(truth))
    best = ("", 0.5)
    for name, column in zip(examples.names, examples.x.T, strict=True):
        score = np.nan_to_num(column, nan=-1.0)
        area = auc(truth, np.column_stack([-score, score]), weights)
        if not np.isnan(area) and max(area, 1 - area) > best[1]:
            best = (name, max(area, 1 - area))
    return best


def _training_probe(task: ModelTask, examples: Examples, effort: Effort, seed: int) -> list[Alarm]:
    whole = examples.at(examples.whole)
    trainings = np.unique(whole.places["training"])
    recognized = "a classifier recognises the training from the traffic"
    alone = "the training alone predicts the truth"
    if len(trainings) < 2:
        return [_not_computed(name, "two trainings or more", "there is one training only") for name in (recognized, alone)]
    probe, chance = training_probe(whole, effort, seed), 1 / len(trainings)
    by_training = _score_of_training(task, whole, effort, seed)
    return [
        Alarm(
            name=recognized,
            found=f"{probe:.3f} balanced accuracy",
            expected=f"{chance:.2f} by chance",
            raised=bool(probe > 0.5 + chance / 2 and by_training > _TRAINING_ALONE),
            meaning="the traffic depends on the training; harmful if the training also predicts the truth",
        ),
        Alarm(
            name=alone,
            found=f"{by_training:.3f} balanced accuracy",
            expected=f"below {_TRAINING_ALONE}",
            raised=bool(by_training > _TRAINING_ALONE),
            meaning="trainings differ in their truth; the model may only recognise the training",
        ),
    ]


def _not_computed(name: str, expected: str, meaning: str) -> Alarm:
    return Alarm(name=name, found="not computed", expected=expected, raised=None, meaning=meaning)


def training_probe(examples: Examples, effort: Effort, seed: int) -> float:
    """The balanced accuracy with which a forest recognises the training of a session from its traffic."""
    names, numbers = np.unique(examples.places["training"], return_inverse=True)
    asked = replace(examples, y=numbers.astype(np.float64), classes=tuple(map(str, names)))
    return _held_out_score("forest", HEIGHT, asked, effort, seed)


def _score_of_training(task: ModelTask, examples: Examples, effort: Effort, seed: int) -> float:
    _, numbers = np.unique(examples.places["training"], return_inverse=True)
    asked = replace(examples, limits=numbers.astype(np.float64))
    return _held_out_score("limit_alone", task, asked, effort, seed)


def _held_out_score(family: str, task: ModelTask, examples: Examples, effort: Effort, seed: int) -> float:
    try:
        splits = grouped_splits(task, examples, effort.folds, seed)
    except TooFewSessionsError:
        return np.nan
    outputs = held_out(BY_NAME[family], task, examples, splits, effort, seed).outputs
    known = ~np.isnan(outputs).any(axis=1)
    return balanced_accuracy(examples.y[known], outputs[known], np.ones(int(known.sum())))
