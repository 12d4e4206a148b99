"""The protocols: how sessions are divided into those that a forest learns from and those that it is tested with."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from sklearn.model_selection import LeaveOneGroupOut, StratifiedKFold, cross_val_predict, train_test_split
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import resample

from qoe_lab.dataset.label_manager_csv import ImportedSessions
from qoe_lab.traffic.label_manager_columns import WRITTEN_AS

FIRST_LIMITS = frozenset({0.75, 1.25, 2.0, 3.0, 5.0})
"""The files do not state the campaign. The limits show it: no limit is in both lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The sessions of a file as arrays. `stalled` and `quality` are the two labels of the label manager's notebook."""

    features: np.ndarray
    limits: np.ndarray
    campaigns: np.ndarray
    stalled: np.ndarray
    quality: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    accuracy: float
    balanced: float
    macro_f1: float
    rarest_recall: float
    """Share of the rarest class's sessions that were recognised."""


def sessions_of(imported: ImportedSessions) -> Sessions:
    features = np.array([[float(row[name]) for name in WRITTEN_AS.values()] for row in imported.rows])
    limits = np.array([float(row["bw"]) for row in imported.rows])
    changes = np.array([float(row["qualityChanges"]) for row in imported.rows])
    return Sessions(
        features=features,
        limits=limits,
        campaigns=np.array([0 if limit in FIRST_LIMITS else 1 for limit in limits]),
        stalled=np.array([float(row["stallCount"]) >= 1 for row in imported.rows]).astype(int),
        quality=np.where(changes <= 1, 0, np.where(changes > 3, 2, 1)),
    )


def forest() -> RandomForestClassifier:
    return RandomForestClassifier(n_estimators=100, random_state=0, n_jobs=-1)


def majority(sessions: Sessions, label: np.ndarray) -> Score:
    return _folds(DummyClassifier(strategy="most_frequent"), sessions.features, label)


def limit_alone(sessions: Sessions, label: np.ndarray) -> Score:
    return _folds(DecisionTreeClassifier(), sessions.limits.reshape(-1, 1), label)


def leaky(sessions: Sessions, label: np.ndarray) -> Score:
    """The protocol of the label manager's notebook: each class is resampled to equal size *before* the split.

    Resampling copies sessions, so that many sessions of the test are also among those that the forest has learned.
    """
    learned, tested = _leaky_division(label)
    predicted = forest().fit(sessions.features[learned], label[learned]).predict(sessions.features[tested])
    return _score(label[tested], predicted, _rarest(label))


def stratified(sessions: Sessions, label: np.ndarray) -> Score:
    return _folds(forest(), sessions.features, label)


def leave_one_limit_out(sessions: Sessions, label: np.ndarray) -> Score:
    return _leave_out(sessions.features, label, sessions.limits)


def leave_one_campaign_out(sessions: Sessions, label: np.ndarray) -> Score:
    return _leave_out(sessions.features, label, sessions.campaigns)


def campaign_probe(sessions: Sessions, _label: np.ndarray) -> Score:
    """How well the features show the campaign instead of the label."""
    return _folds(forest(), sessions.features, sessions.campaigns)


PROTOCOLS: dict[str, Callable[[Sessions, np.ndarray], Score]] = {
    "majority class": majority,
    "limit alone": limit_alone,
    "leaky: resample, then split": leaky,
    "honest: five folds": stratified,
    "honest: leave one limit out": leave_one_limit_out,
    "honest: leave one campaign out": leave_one_campaign_out,
}


def external(sessions: Sessions, label: np.ndarray, others: Sessions, other_label: np.ndarray) -> Score:
    """Learn from one file, and test with the other."""
    predicted = forest().fit(sessions.features, label).predict(others.features)
    return _score(other_label, predicted, _rarest(label))


def copies_in_test(label: np.ndarray) -> float:
    """The share of the leaky protocol's test that the forest has learned."""
    learned, tested = _leaky_division(label)
    return float(np.isin(tested, learned).mean())


def _leaky_division(label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the sessions to learn from and to test with. The notebook draws 5,000 of each class from 11,758 sessions."""
    size = round(len(label) * 5000 / 11_758)
    classes = [resample(np.flatnonzero(label == each), replace=True, n_samples=size, random_state=123) for each in np.unique(label)]
    learned, tested = train_test_split(np.concatenate(classes), test_size=0.3, random_state=0)
    return learned, tested


def _folds(model: object, features: np.ndarray, label: np.ndarray) -> Score:
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return _score(label, cross_val_predict(model, features, label, cv=folds), _rarest(label))


def _leave_out(features: np.ndarray, label: np.ndarray, groups: np.ndarray) -> Score:
    return _score(label, cross_val_predict(forest(), features, label, groups=groups, cv=LeaveOneGroupOut()), _rarest(label))


def _rarest(label: np.ndarray) -> int:
    return int(np.argmin(np.bincount(label)))


def _score(true: np.ndarray, predicted: np.ndarray, rarest: int) -> Score:
    return Score(
        accuracy=float(accuracy_score(true, predicted)),
        balanced=float(balanced_accuracy_score(true, predicted)),
        macro_f1=float(f1_score(true, predicted, average="macro")),
        rarest_recall=float(recall_score(true, predicted, labels=[rarest], average="macro", zero_division=0.0)),
    )
