"""Calibration turns the outputs of a model into probabilities: of the slots with 0.3, three in ten are stalled.

A curve per class maps what the model says to what was seen in sessions that it was not fitted to. With many examples, the curve is
the isotonic one; with few, that of Platt, which has two parameters. Both are stored as points between which a line is drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Floats

ISOTONIC_SESSIONS = 200
"""From this number of sessions on, the isotonic curve is used."""
_UNCHANGED = np.array([1.0, 0.0])
"""The slope and the shift of the curve that changes nothing."""
_SMALL = 1e-9
_LOGITS = np.linspace(-8, 8, 161)
_LEAST = 1e-4
"""No probability is below it, or above 1 minus it: no finite number of examples shows more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProbabilityCalibration:
    """The points of each curve: probabilities of the model, ascending, and frequencies, not descending. Of two classes, the second
    has a curve; of more, each."""

    curves: tuple[tuple[Floats, Floats], ...]

    def applied(self, outputs: Floats) -> Floats:
        """The calibrated probabilities, with the sum 1."""
        if outputs.shape[1] == 2:
            second = np.interp(outputs[:, 1], *self.curves[0])
            return np.column_stack([1 - second, second])
        each = [np.interp(outputs[:, number], *curve) for number, curve in enumerate(self.curves)]
        shares = np.column_stack(each)
        total = shares.sum(axis=1, keepdims=True)
        calibrated: Floats = shares / total
        return calibrated

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The curves as arrays, for a file."""
        named: dict[str, NDArray[Any]] = {}
        for number, (stated, seen) in enumerate(self.curves):
            named |= {f"stated_{number}": stated, f"seen_{number}": seen}
        return named

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], classes: int) -> "ProbabilityCalibration":
        """The inverse of `arrays`; ValueError for arrays that are no curves."""
        curves = []
        for number in range(1 if classes == 2 else classes):
            stated, seen = (_points(arrays, f"{name}_{number}") for name in ("stated", "seen"))
            if len(stated) != len(seen) or (np.diff(stated) < 0).any() or (np.diff(seen) < 0).any():
                raise ValueError(f"calibration: curve {number} does not ascend")
            curves.append((stated, seen))
        return cls(curves=tuple(curves))


def _points(arrays: Mapping[str, NDArray[Any]], name: str) -> Floats:
    if name not in arrays:
        raise ValueError(f"calibration: {name} is missing")
    points = arrays[name]
    if points.dtype != np.float64 or points.ndim != 1 or not len(points) or not ((points >= 0) & (points <= 1)).all():
        raise ValueError(f"calibration: {name} must be a list of probabilities")
    return points


def fitted_calibration(truth: Floats, outputs: Floats, sessions: NDArray[Any]) -> ProbabilityCalibration:
    """The curves for `outputs`, which a model gave for sessions that it was not fitted to."""
    isotonic = len(np.unique(sessions)) >= ISOTONIC_SESSIONS
    numbers = range(1, 2) if outputs.shape[1] == 2 else range(outputs.shape[1])
    fit = _isotonic if isotonic else _platt
    return ProbabilityCalibration(curves=tuple(fit(outputs[:, number], (truth == number).astype(np.float64)) for number in numbers))


def _platt(stated: Floats, seen: Floats) -> tuple[Floats, Floats]:
    """The logistic curve over the logit of what the model says, by Newton's method with a slight pull towards no change."""
    logit = _logit(stated)
    design = np.column_stack([logit, np.ones_like(logit)])
    # Platt's targets: no frequency of few examples is 0 or 1.
    hits = seen.sum()
    aims = np.where(seen == 1, (hits + 1) / (hits + 2), 1 / (len(seen) - hits + 2))

    def loss(weights: Floats) -> float:
        odds = design @ weights
        pull = 0.5 * float(np.sum((weights - _UNCHANGED) ** 2))
        return float(np.sum(np.logaddexp(0, odds) - aims * odds)) + pull

    weights = _UNCHANGED.copy()
    for _ in range(50):
        p = 0.5 * (1 + np.tanh(0.5 * (design @ weights)))
        slope = design.T @ (p - aims) + (weights - _UNCHANGED)
        bend = (design * (p * (1 - p))[:, None]).T @ design + np.eye(2)
        step = np.linalg.solve(bend, slope)
        # Newton's step may be too long where the curve is flat.
        while loss(weights - step) > loss(weights) and np.abs(step).max() > _SMALL:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() < _SMALL:
            break
    weights[0] = max(weights[0], 0.0)  # a model that is worse than chance gives a flat curve
    points = 1 / (1 + np.exp(-_LOGITS))
    odds = np.clip(weights[0] * _LOGITS + weights[1], -30, 30)
    return points, np.clip(1 / (1 + np.exp(-odds)), _LEAST, 1 - _LEAST)


def _logit(share: Floats) -> Floats:
    bounded = np.clip(share, 1 / (1 + np.exp(8)), 1 / (1 + np.exp(-8)))
    logit: Floats = np.log(bounded / (1 - bounded))
    return logit


def _isotonic(stated: Floats, seen: Floats) -> tuple[Floats, Floats]:
    """The best curve that does not descend: neighbours that descend are pooled."""
    order = np.argsort(stated, kind="stable")
    pools: list[list[float]] = []  # weight, sum of what the model says, frequency
    for one_stated, one_seen in zip(stated[order], seen[order], strict=True):
        pools.append([1.0, one_stated, one_seen])
        while len(pools) > 1 and pools[-2][2] >= pools[-1][2]:
            weight, total, level = pools.pop()
            before = pools[-1]
            before[2] = (before[0] * before[2] + weight * level) / (before[0] + weight)
            before[1] += total
            before[0] += weight
    weights, totals, levels = (np.array(part) for part in zip(*pools, strict=True))
    # The ends are drawn in as by one further example of each kind: a pool at an end is small and all of one class.
    drawn = (levels * weights + 0.5) / (weights + 1)
    return totals / weights, np.clip(np.maximum.accumulate(drawn), _LEAST, 1 - _LEAST)
