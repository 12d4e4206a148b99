"""How good each family is at a task, judged only on sessions that the model was not fitted to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qoe_lab.models.cross_fitting import HeldOut, held_out, judged_rows
from qoe_lab.models.event_recall import EventRecall, event_recall
from qoe_lab.models.examples import Examples, Floats, Mask
from qoe_lab.models.families import BY_NAME, FAMILIES, Effort, ModelFamily
from qoe_lab.models.fitted_task import in_units
from qoe_lab.models.folds import SessionSplit, TooFewSessionsError, grouped_splits, leave_one_out
from qoe_lab.models.intervals import Estimate, draws_of_sessions, estimate, gain
from qoe_lab.models.score_measures import OF_CLASSES, OF_NUMBERS, ScoreMeasure, calibration_error, confusion, decisions, share_of
from qoe_lab.models.tasks import SLOT_STALLED, ModelTask, higher_is_better, needs_calibration

PLACES = ("training", "limit", "client", "source", "content")
"""The properties whose values are left out in turn: sessions with an unknown value are harder than more of a known one."""

ShowStep = Callable[[str], None]

_OF_PROBABILITIES = ("average_precision", "auc", "brier", "ece")
"""Measures of probabilities as the model gives them. The others are about what is decided."""
_RESAMPLES_OF_CHOICE = 200
_PERFECT_DRAWS = 100


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FamilyResult:
    """One family on all sessions, each judged by a model that was not fitted to it."""

    family: str
    title: str
    baseline: bool
    answers: HeldOut
    scores: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutPlace:
    """The chosen family on one place that it was not fitted to, beside the limit alone."""

    left_out: str
    sessions: int
    score: float
    limit_alone: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceResult:
    """Every place left out in turn. `why_not`: why this could not be done."""

    place: str
    parts: tuple[LeftOutPlace, ...] = ()
    score: float = np.nan
    """Of all parts together."""
    limit_alone: float = np.nan
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationResult:
    """The chosen family before and after calibration, which is fitted to sessions that are neither judged nor fitted to."""

    before: Mapping[str, Estimate]
    after: Mapping[str, Estimate]
    ece_of_perfect: float
    """The mean ECE of a perfectly calibrated model with as many examples: what chance alone gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandResult:
    """The bands of the chosen family, on sessions to which neither the model nor the bands were fitted."""

    coverage: Estimate
    mean_width: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskResult:
    """All results of one task."""

    task: ModelTask
    judged: Examples
    truth: Floats
    """The truth of the judged examples; numbers in units."""
    families: Mapping[str, FamilyResult]
    chosen: str
    corrected: float
    """The score of the choice, on sessions that had no part in the choice."""
    gain: Estimate
    """By how much the chosen family is above the limit alone."""
    places: tuple[PlaceResult, ...]
    calibration: CalibrationResult | None
    bands: BandResult | None
    confusion: Floats | None
    events: EventRecall | None
    splits: int

    @property
    def best(self) -> FamilyResult:
        return self.families[self.chosen]


def measures_of(task: ModelTask) -> Mapping[str, ScoreMeasure]:
    """The measures by which a task is judged, by name."""
    return OF_CLASSES if task.kind == "classes" else OF_NUMBERS


def measured_outputs(task: ModelTask, answers: HeldOut, measure: str) -> Floats:
    """The outputs that `measure` judges: numbers in units, probabilities, or levelled ones for measures of decisions."""
    if task.kind == "number":
        return in_units(task, answers.outputs)
    return answers.outputs if measure in _OF_PROBABILITIES else answers.levelled


def evaluate(task: ModelTask, examples: Examples, effort: Effort, seed: int, progress: ShowStep) -> TaskResult:
    """Judge all families. TooFewSessionsError if nothing can be judged."""
    splits = grouped_splits(task, examples, effort.folds, seed)
    rows = judged_rows(splits)
    judged = examples.at(rows)
    truth = in_units(task, judged.y) if task.kind == "number" else judged.y
    draws = draws_of_sessions(judged, effort.resamples, seed)
    families: dict[str, FamilyResult] = {}
    for family in FAMILIES:
        progress(f"{task.code} {family.title.lower()}")
        answers = held_out(
            family, task, examples, splits, effort, seed, calibrate=needs_calibration(task) and not family.baseline
        ).at(rows)
        families[family.name] = _family_result(task, family, answers, truth, draws, only=task.score)
    chosen = best_family(task, families)
    if not needs_calibration(task):
        progress(f"{task.code} calibration")
        answers = held_out(BY_NAME[chosen], task, examples, splits, effort, seed, calibrate=True).at(rows)
        families[chosen] = replace(families[chosen], answers=answers)
    families[chosen] = _family_result(task, BY_NAME[chosen], families[chosen].answers, truth, draws)
    best, alone = (measured_outputs(task, families[each].answers, task.score) for each in (chosen, "limit_alone"))
    progress(f"{task.code} places left out")
    return TaskResult(
        task=task,
        judged=judged,
        truth=truth,
        families=families,
        chosen=chosen,
        corrected=_corrected(task, truth, families, draws),
        gain=gain(measures_of(task)[task.score], truth, best, alone, draws),
        places=tuple(_left_out(BY_NAME[chosen], task, examples, place, effort, seed) for place in PLACES),
        calibration=_calibration_result(truth, families[chosen].answers, draws, seed) if task.kind == "classes" else None,
        bands=_band_result(truth, families[chosen].answers, draws) if task.kind == "number" else None,
        confusion=_confusion(judged, families[chosen].answers.levelled) if task.kind == "classes" else None,
        events=event_recall(judged, truth, decisions(families[chosen].answers.levelled)) if task == SLOT_STALLED else None,
        splits=len(splits),
    )


def _family_result(
    task: ModelTask, family: ModelFamily, answers: HeldOut, truth: Floats, draws: Floats, only: str | None = None
) -> FamilyResult:
    """The scores with intervals; if `only` is given, only this one has an interval, because intervals take long."""
    scores = {
        name: estimate(measure, truth, measured_outputs(task, answers, name), draws if only in (None, name) else draws[:0])
        for name, measure in measures_of(task).items()
    }
    return FamilyResult(family=family.name, title=family.title, baseline=family.baseline, answers=answers, scores=scores)


def best_family(task: ModelTask, families: Mapping[str, FamilyResult]) -> str:
    """The best family that is no baseline; of equal ones, the simplest."""
    sign = 1 if higher_is_better(task.score) else -1
    able = [each for each in families.values() if not each.baseline]
    return max(able, key=lambda each: sign * each.scores[task.score].value).family


def _confusion(judged: Examples, levelled: Floats) -> Floats:
    return confusion(judged.y, decisions(levelled), np.ones(len(judged)), len(judged.classes))


def _corrected(task: ModelTask, truth: Floats, families: Mapping[str, FamilyResult], draws: Floats) -> float:
    """The mean score of the family that is best in a resample, on the sessions that this resample does not have."""
    measure, sign = measures_of(task)[task.score], 1 if higher_is_better(task.score) else -1
    able = [measured_outputs(task, each.answers, task.score) for each in families.values() if not each.baseline]
    found = []
    for weights in draws[:_RESAMPLES_OF_CHOICE]:
        inside = [sign * measure(truth, outputs, weights) for outputs in able]
        if not np.isnan(inside).all():
            found.append(measure(truth, able[int(np.nanargmax(inside))], (weights == 0).astype(np.float64)))
    known = [each for each in found if not np.isnan(each)]
    return float(np.mean(known)) if known else np.nan


def _left_out(family: ModelFamily, task: ModelTask, examples: Examples, place: str, effort: Effort, seed: int) -> PlaceResult:
    try:
        splits = leave_one_out(examples, place)
    except TooFewSessionsError as error:
        return PlaceResult(place=place, why_not=str(error))
    truth = in_units(task, examples.y) if task.kind == "number" else examples.y
    chosen, alone = (
        measured_outputs(
            task,
            held_out(each, task, examples, splits, effort, seed, calibrate=needs_calibration(task) and not each.baseline),
            task.score,
        )
        for each in (family, BY_NAME["limit_alone"])
    )

    def score(outputs: Floats, rows: Mask) -> float:
        return measures_of(task)[task.score](truth[rows], outputs[rows], np.ones(int(rows.sum())))

    def part(split: SessionSplit) -> LeftOutPlace:
        return LeftOutPlace(
            left_out=split.left_out,
            sessions=len(np.unique(examples.sessions[split.judge])),
            score=score(chosen, split.judge),
            limit_alone=score(alone, split.judge),
        )

    rows = judged_rows(splits)
    return PlaceResult(place=place, parts=tuple(map(part, splits)), score=score(chosen, rows), limit_alone=score(alone, rows))


def _calibration_result(truth: Floats, answers: HeldOut, draws: Floats, seed: int) -> CalibrationResult:
    random = np.random.default_rng(seed)
    perfect = []
    for _ in range(_PERFECT_DRAWS):
        drawn = (random.random((len(truth), 1)) > np.cumsum(answers.calibrated, axis=1)[:, :-1]).sum(axis=1)
        perfect.append(calibration_error(drawn.astype(np.float64), answers.calibrated, np.ones(len(drawn))))
    before, after = (
        {name: estimate(OF_CLASSES[name], truth, outputs, draws) for name in ("brier", "ece")}
        for outputs in (answers.outputs, answers.calibrated)
    )
    return CalibrationResult(before=before, after=after, ece_of_perfect=float(np.mean(perfect)))


def _band_result(truth: Floats, answers: HeldOut, draws: Floats) -> BandResult | None:
    known = np.isfinite(answers.high - answers.low)
    if not known.any():
        return None
    inside = ((answers.low <= truth) & (truth <= answers.high))[known].astype(np.float64)
    coverage = estimate(share_of, inside, inside[:, None], draws[:, known])
    return BandResult(coverage=coverage, mean_width=float(np.mean((answers.high - answers.low)[known])))


def score_text(task: ModelTask) -> str:
    """The measure by which the task is judged, in words."""
    return {
        "balanced_accuracy": "balanced accuracy",
        "average_precision": "PR-AUC",
        "accuracy": "accuracy",
        "mae": f"mean absolute error{f' in {task.unit}' if task.unit else ''}",
    }[task.score]
