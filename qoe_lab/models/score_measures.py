"""Measures of predictions. Each takes weights, so that a session that is drawn twice counts twice, and gives NaN where it has no
value.

`truth` has numbers of classes or values; `outputs` has one row per example, with the probabilities of the classes or one number.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Floats, Mask

ScoreMeasure = Callable[[Floats, Floats, Floats], float]
"""A measure of (truth, outputs, weights)."""

BINS = 10
"""The bins of the calibration error; each has as many examples as the others."""


def confusion(truth: Floats, decided: Floats, weights: Floats, classes: int) -> Floats:
    """The matrix of counts: a row per true class, a column per decided class."""
    cells = truth.astype(np.int64) * classes + decided.astype(np.int64)
    return np.bincount(cells, weights, minlength=classes * classes).astype(np.float64).reshape(classes, classes)


def decisions(outputs: Floats) -> Floats:
    """The most probable class of each example."""
    chosen: Floats = outputs.argmax(axis=1).astype(np.float64)
    return chosen


def _matrix(truth: Floats, outputs: Floats, weights: Floats) -> Floats:
    return confusion(truth, decisions(outputs), weights, outputs.shape[1])


def accuracy(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The weighted share of examples whose decision is the truth, 0 to 1. `outputs` has a row per example, a column per class."""
    return _share(float(weights[decisions(outputs) == truth].sum()), float(weights.sum()))


def balanced_accuracy(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The mean recall of the classes that occur."""
    matrix = _matrix(truth, outputs, weights)
    rows = matrix.sum(axis=1)
    return float(np.mean(np.diag(matrix)[rows > 0] / rows[rows > 0])) if (rows > 0).any() else np.nan


def macro_f1(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The mean F1 of the classes that occur or are decided."""
    matrix = _matrix(truth, outputs, weights)
    both = matrix.sum(axis=0) + matrix.sum(axis=1)
    return float(np.mean(2 * np.diag(matrix)[both > 0] / both[both > 0])) if (both > 0).any() else np.nan


def average_precision(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The area under the curve of precision over recall, of the last class."""
    order = np.argsort(-outputs[:, -1], kind="stable")
    positive = (truth == outputs.shape[1] - 1)[order] * weights[order]
    ends = _ends(outputs[order, -1])
    found, passed = np.cumsum(positive)[ends], np.cumsum(weights[order])[ends]
    if not len(found) or found[-1] == 0:
        return np.nan
    precision = np.divide(found, passed, out=np.zeros_like(found), where=passed > 0)
    return float(np.sum(np.diff(found, prepend=0.0) * precision) / found[-1])


def auc(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The mean over the classes of the area under the ROC curve, of each class against the others."""
    areas = [_auc(truth == number, outputs[:, number], weights) for number in _judged(outputs)]
    known = [each for each in areas if not np.isnan(each)]
    return float(np.mean(known)) if known else np.nan


def _judged(outputs: Floats) -> range:
    return range(1, 2) if outputs.shape[1] == 2 else range(outputs.shape[1])


def _auc(positive: NDArray[np.bool_], score: Floats, weights: Floats) -> float:
    order = np.argsort(score, kind="stable")
    up, down = (positive * weights)[order], (~positive * weights)[order]
    ends = _ends(score[order])
    ups = np.diff(np.cumsum(up)[ends], prepend=0.0)
    downs = np.cumsum(down)[ends]
    below = np.concatenate([[0.0], downs[:-1]])[: len(downs)]
    return _share(float(np.sum(ups * (below + downs) / 2)), float(up.sum() * down.sum()))


def brier(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The mean squared error of the probability of the last of two classes; of more classes, the sum over the classes."""
    hits = truth[:, None] == np.arange(outputs.shape[1])
    squares = ((outputs - hits) ** 2)[:, 1] if outputs.shape[1] == 2 else ((outputs - hits) ** 2).sum(axis=1)
    return _share(float(np.sum(weights * squares)), float(weights.sum()))


def calibration_error(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """ECE: how far probability and frequency differ in the mean; of the second of two classes, or of the class decided on."""
    stated, hit = stated_and_hit(truth, outputs)
    bins = np.array_split(np.argsort(stated, kind="stable"), BINS)
    gaps = [abs(float(np.sum(weights[rows] * (stated[rows] - hit[rows])))) for rows in bins]
    return _share(sum(gaps), float(weights.sum()))


def _ends(ordered: Floats) -> Mask:
    """The last of each run of equal probabilities. Examples of a run cannot be recognized apart: a curve has one point for them."""
    ends: Mask = np.diff(ordered, append=np.nan) != 0
    return ends


def best_f1_bound(truth: Floats, probability: Floats) -> float:
    """The probability above which the F1 of class 1 is best; 0.5 if the class does not occur."""
    order = np.argsort(-probability, kind="stable")
    ends = _ends(probability[order])
    found, passed = np.cumsum(truth[order] == 1)[ends], np.arange(1, len(order) + 1)[ends]
    if not len(found) or found[-1] == 0:
        return 0.5
    levels = probability[order][ends]
    best = int(np.argmax(2 * found / (passed + found[-1])))
    below = levels[best + 1] if best + 1 < len(levels) else 0.0
    return float((levels[best] + below) / 2)


def stated_and_hit(truth: Floats, outputs: Floats) -> tuple[Floats, Floats]:
    """For each example: the probability that calibration judges, and whether the class with this probability is the true one."""
    if outputs.shape[1] == 2:
        return outputs[:, 1], (truth == 1).astype(np.float64)
    return outputs.max(axis=1), (truth == decisions(outputs)).astype(np.float64)


def mae(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The mean absolute error."""
    return _share(float(np.sum(weights * np.abs(truth - outputs[:, 0]))), float(weights.sum()))


def p90_error(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The absolute error that nine of ten examples do not exceed."""
    errors = np.abs(truth - outputs[:, 0])
    order = np.argsort(errors)
    passed = np.cumsum(weights[order])
    return float(errors[order][np.searchsorted(passed, 0.9 * passed[-1])]) if len(errors) and passed[-1] > 0 else np.nan


def bias(truth: Floats, outputs: Floats, weights: Floats) -> float:
    """The mean error; above 0 if the model infers too much."""
    return _share(float(np.sum(weights * (outputs[:, 0] - truth))), float(weights.sum()))


def share_of(held: Floats, _outputs: Floats, weights: Floats) -> float:
    """The share of the examples of which `held` is 1."""
    return _share(float(np.sum(weights * held)), float(weights.sum()))


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else np.nan


OF_CLASSES: Mapping[str, ScoreMeasure] = {
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "accuracy": accuracy,
    "average_precision": average_precision,
    "auc": auc,
    "brier": brier,
    "ece": calibration_error,
}
OF_NUMBERS: Mapping[str, ScoreMeasure] = {"mae": mae, "p90_error": p90_error, "bias": bias}
