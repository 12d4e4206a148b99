"""Intervals of 95 % by resampling whole sessions: slots of one session resemble each other, so they are not drawn one by one."""

from dataclasses import dataclass

import numpy as np

from qoe_lab.models.examples import Examples, Floats
from qoe_lab.models.score_measures import ScoreMeasure


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with the ends of its interval, which are NaN if there is none."""

    value: float
    low: float
    high: float


def draws_of_sessions(examples: Examples, resamples: int, seed: int) -> Floats:
    """How often each example counts in each resample: one row per resample."""
    sessions, place = np.unique(examples.sessions, return_inverse=True)
    random = np.random.default_rng(seed)
    drawn = random.multinomial(len(sessions), np.full(len(sessions), 1 / len(sessions)), size=resamples)
    weights: Floats = drawn[:, place].astype(np.float64)
    return weights


def estimate(measure: ScoreMeasure, truth: Floats, outputs: Floats, draws: Floats) -> Estimate:
    """The value of the measure over all examples, and its interval over the resamples."""
    value = measure(truth, outputs, np.ones(len(truth)))
    return _estimate(value, np.array([measure(truth, outputs, weights) for weights in draws]))


def gain(measure: ScoreMeasure, truth: Floats, outputs: Floats, other: Floats, draws: Floats) -> Estimate:
    """By how much `outputs` is above `other` in the measure: both are judged on the same resamples."""
    everyone = np.ones(len(truth))
    value = measure(truth, outputs, everyone) - measure(truth, other, everyone)
    return _estimate(value, np.array([measure(truth, outputs, each) - measure(truth, other, each) for each in draws]))


def _estimate(value: float, resampled: Floats) -> Estimate:
    known = resampled[~np.isnan(resampled)]
    if not len(known):
        return Estimate(value=value, low=np.nan, high=np.nan)
    low, high = np.percentile(known, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))
