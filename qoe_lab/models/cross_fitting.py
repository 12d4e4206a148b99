"""Fit a model together with its calibration, so that no session calibrates a model that was fitted to it.

The sessions are split into parts. The outputs for each part come from a model that was fitted to the other parts; the calibration
and the band are made of these outputs. The model itself is then fitted to all sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qoe_lab.models.bands import half_width
from qoe_lab.models.calibration import fitted_calibration
from qoe_lab.models.examples import Examples, Floats, Mask
from qoe_lab.models.families import Effort, ModelFamily, fitted_model
from qoe_lab.models.fitted_task import FittedTask
from qoe_lab.models.folds import SessionSplit, TooFewSessionsError, grouped_splits
from qoe_lab.models.score_measures import best_f1_bound
from qoe_lab.models.tasks import ModelTask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeldOut:
    """The outputs of models for examples that they were not fitted to: one row per example, NaN for one that is not judged."""

    outputs: Floats
    calibrated: Floats
    levelled: Floats
    low: Floats
    high: Floats

    def at(self, rows: Mask) -> "HeldOut":
        return HeldOut(
            outputs=self.outputs[rows],
            calibrated=self.calibrated[rows],
            levelled=self.levelled[rows],
            low=self.low[rows],
            high=self.high[rows],
        )


def judged_rows(splits: Sequence[SessionSplit]) -> Mask:
    """The examples that are judged in any of the splits."""
    rows: Mask = np.logical_or.reduce([each.judge for each in splits])
    return rows


def fitted(family: ModelFamily, task: ModelTask, examples: Examples, effort: Effort, seed: int, *, calibrate: bool) -> FittedTask:
    """The family fitted to all the examples; with `calibrate`, also its calibration or band, if the sessions suffice."""
    plain = FittedTask(
        task=task,
        family=family.name,
        names=family.view(task, examples).names,
        classes=examples.classes,
        model=fitted_model(family, task, examples, effort, seed),
    )
    if not calibrate:
        return plain
    try:
        splits = grouped_splits(task, examples, effort.inner_folds, seed + 1)
    except TooFewSessionsError:
        return plain
    rows = judged_rows(splits)
    outputs = held_out(family, task, examples, splits, effort, seed).outputs[rows]
    inside = examples.at(rows)
    if task.kind == "number":
        width = half_width(inside.y, outputs[:, 0])
        return replace(plain, half_width=width if np.isfinite(width) else None)
    calibration = fitted_calibration(inside.y, outputs, inside.sessions)
    return replace(plain, calibration=calibration, usual=_usual(task, inside.y, calibration.applied(outputs)))


def _usual(task: ModelTask, truth: Floats, calibrated: Floats) -> Floats | None:
    """For each class, the probability from which on the model decides for it."""
    if task.decision == "more_than_usual":
        counts = np.bincount(truth.astype(np.int64), minlength=calibrated.shape[1]) + 1.0
        usual: Floats = counts / counts.sum()
        return usual
    if task.decision == "best_f1":
        bound = np.clip(best_f1_bound(truth, calibrated[:, 1]), 0.01, 0.99)
        return np.array([1 - bound, bound])
    return None


def held_out(
    family: ModelFamily,
    task: ModelTask,
    examples: Examples,
    splits: Sequence[SessionSplit],
    effort: Effort,
    seed: int,
    *,
    calibrate: bool = False,
) -> HeldOut:
    """Judge each example with the model of its split; with `calibrate`, calibrated inside the split."""
    empty = np.full((len(examples), max(1, len(examples.classes))), np.nan)
    result = HeldOut(outputs=empty, calibrated=empty.copy(), levelled=empty.copy(), low=empty[:, 0].copy(), high=empty[:, 0].copy())
    for split in splits:
        model = fitted(family, task, examples.at(split.fit), effort, seed, calibrate=calibrate)
        rows = split.judge
        outputs = model.outputs(family.view(task, examples.at(rows)).x)
        result.outputs[rows] = outputs
        result.calibrated[rows], result.levelled[rows] = model.calibrated(outputs), model.levelled(outputs)
        result.low[rows], result.high[rows] = model.bounds(outputs[:, 0])
    return result
