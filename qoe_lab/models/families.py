"""How models are fitted: six families, from one that knows nothing to boosted trees. Only this module uses scikit-learn.

Each fitted model is taken over into plain arrays at once, so what is judged is what is stored. Weights of classes are computed from
the examples that are fitted to; nothing is resampled.

The first three families are baselines. `limit_alone` sees the limit of the lab's link, which no network shows, and none of the
traffic: a model that is not better has learned the lab and not the video.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import ThreadpoolController

from qoe_lab.models.examples import Examples, Floats
from qoe_lab.models.known_before import known_before
from qoe_lab.models.plain_models import ConstantModel, LinearModel, LinkedTrees, OutputLink, PlainModel, WithLengths
from qoe_lab.models.segment_lengths import OF_LENGTH, LengthColumns
from qoe_lab.models.tasks import HEIGHT, ModelTask
from qoe_lab.models.tree_arrays import Trees
from qoe_lab.traffic.virtual_playback import SEGMENT_S

LENGTH_ROUNDS, LENGTH_LEAF, LENGTH_SLOTS = 50, 3, 3
"""The model of the lengths of segments: rounds of boosting, fewest examples of a leaf; it is fitted to each third slot."""
KNOWN_LENGTHS = 0.9
"""The least share of examples with a known length. With fewer, as for the overlay, which has no segments, no length is inferred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is computed. Tests use less."""

    trees: int = 150
    rounds: int = 100
    """Rounds of boosting."""
    folds: int = 5
    inner_folds: int = 3
    """Parts of the sessions that a model is fitted to, for its calibration."""
    resamples: int = 1000
    """Resamples of an interval."""
    shuffles: int = 10
    """Shuffles of the leak alarm, with 240 examples; more with fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFamily:
    """One way to fit a model. `baseline`: it is compared with, and never chosen."""

    name: str
    title: str
    fit: Callable[[ModelTask, Examples, Effort, int], PlainModel]
    view: Callable[[ModelTask, Examples], Examples] = lambda _task, examples: examples
    """What the family sees of the examples."""
    baseline: bool = False


def weights_of(task: ModelTask, examples: Examples) -> Floats:
    """The weight of each example: equal classes where the task asks for it, and equal sessions in tasks of sessions."""
    weights = np.ones(len(examples))
    if task.per == "session":
        _, place, counts = np.unique(examples.sessions, return_inverse=True, return_counts=True)
        weights /= counts[place]
    if task.decision == "more_than_usual":
        _, place = np.unique(examples.y, return_inverse=True)
        weights /= np.bincount(place, weights)[place]
    return weights * (len(weights) / weights.sum()) if len(weights) else weights


def _majority(task: ModelTask, examples: Examples, _effort: Effort, _seed: int) -> PlainModel:
    weights = weights_of(task, examples)
    if task.kind == "number":
        return ConstantModel(values=np.array([_weighted_median(examples.y, weights)]))
    # Of the classes as they are: with equal weights, no class would be the largest.
    return ConstantModel(values=np.bincount(examples.y.astype(int), minlength=len(examples.classes)) / len(examples))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    passed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(passed, passed[-1] / 2)])


def _steps(leaves: Callable[[ModelTask, Examples], int]) -> Callable[[ModelTask, Examples, Effort, int], PlainModel]:
    """Fit steps over one feature: a tree with this number of leaves."""

    def fit(task: ModelTask, examples: Examples, _effort: Effort, seed: int) -> PlainModel:
        most = max(2, leaves(task, examples))
        if task.kind == "number":
            tree = DecisionTreeRegressor(max_leaf_nodes=most, criterion="absolute_error", random_state=seed)
        else:
            tree = DecisionTreeClassifier(max_leaf_nodes=most, random_state=seed)
        tree.fit(examples.x, examples.y, weights_of(task, examples))
        return _forest_arrays([tree], _class_places(task, examples, tree), task, examples)

    return fit


def _linear(task: ModelTask, examples: Examples, _effort: Effort, seed: int) -> PlainModel:
    known = ~np.isnan(examples.x)
    counts = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, examples.x, 0.0).sum(axis=0) / counts
    deviation = np.sqrt(np.where(known, (examples.x - center) ** 2, 0.0).sum(axis=0) / counts)
    scale = np.where(deviation > 0, deviation, 1.0)
    shifted = np.clip(np.where(known, (examples.x - center) / scale, 0.0), -10, 10)
    weights = weights_of(task, examples)
    if task.kind == "number":
        ridge = Ridge(alpha=10.0).fit(shifted, examples.y, weights)
        return _linear_arrays(center, scale, ridge.coef_[None, :], np.array([ridge.intercept_]), "identity")
    fitted = LogisticRegression(C=0.1, max_iter=500, random_state=seed).fit(shifted, examples.y.astype(int), weights)
    if len(examples.classes) == 2:
        return _linear_arrays(center, scale, fitted.coef_, fitted.intercept_, "sigmoid")
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # the other classes are not in these examples
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    spread = np.zeros((len(examples.classes), coefficients.shape[1]))
    base = np.full(len(examples.classes), _IMPOSSIBLE)
    spread[fitted.classes_], base[fitted.classes_] = coefficients, intercepts
    return _linear_arrays(center, scale, spread, base, "softmax")


BINS = 63
"""The bins into which boosting sorts the values of a feature. With a few thousand examples and hundreds of features, more bins
take three times as long and give no better scores."""

_IMPOSSIBLE = -50.0
"""The intercept of a class that the examples do not have: e^-50 is no probability, and it is finite."""


def _linear_arrays(center: Floats, scale: Floats, coefficients: Floats, intercepts: Floats, link: OutputLink) -> LinearModel:
    weights = np.ascontiguousarray(coefficients.T, dtype=np.float64)
    return LinearModel(center=center, scale=scale, weights=weights, intercepts=intercepts.astype(np.float64), link=link)


def _forest(task: ModelTask, examples: Examples, effort: Effort, seed: int) -> PlainModel:
    settings = {"n_estimators": effort.trees, "random_state": seed}
    if task.kind == "number":
        forest = RandomForestRegressor(max_features=0.1, min_samples_leaf=2, **settings)
    else:
        forest = RandomForestClassifier(max_features="sqrt", min_samples_leaf=2, **settings)
    forest.fit(examples.x, examples.y, weights_of(task, examples))
    return _forest_arrays(forest.estimators_, _class_places(task, examples, forest), task, examples)


def _class_places(task: ModelTask, examples: Examples, fitted: Any) -> list[int]:  # noqa: ANN401 - an estimator of scikit-learn
    """Of each class of the estimator, its place among the classes of the examples. One output has the place 0."""
    return [0] if task.kind == "number" else [int(each) for each in fitted.classes_]


def _forest_arrays(estimators: list[Any], places: list[int], task: ModelTask, examples: Examples) -> LinkedTrees:
    outputs = 1 if task.kind == "number" else len(examples.classes)
    parts = []
    for estimator in estimators:
        tree = estimator.tree_
        value = np.zeros((tree.node_count, outputs))
        value[:, places] = tree.value[:, 0, :]
        inner = tree.children_left >= 0
        missing = np.asarray(tree.missing_go_to_left, dtype=bool)
        parts.append(_TreeParts(tree.feature, tree.threshold, tree.children_left, tree.children_right, missing, value, inner))
    return LinkedTrees(trees=_joined(parts, np.zeros(outputs), 1 / len(parts), single_precision=True), link="identity")


def _boosting(task: ModelTask, examples: Examples, effort: Effort, seed: int, *, leaf: int = 20) -> PlainModel:
    settings = {
        "max_iter": effort.rounds,
        "learning_rate": 0.07,
        "max_leaf_nodes": 15,
        "min_samples_leaf": max(2, min(leaf, len(examples) // 20)),
        "l2_regularization": 1.0,
        "early_stopping": False,
        "max_bins": BINS,
        "random_state": seed,
    }
    # Without weights, with which scikit-learn's boosting takes many times as long: the decision makes up for unequal classes.
    if task.kind == "number":
        regressor = HistGradientBoostingRegressor(loss="absolute_error", **settings).fit(examples.x, examples.y)
        return _boosted_arrays(regressor, [0], 1, "identity")
    classifier = HistGradientBoostingClassifier(max_features=0.3, **settings).fit(examples.x, examples.y.astype(int))
    classes = len(examples.classes)
    if classes == 2:
        return _boosted_arrays(classifier, [0], 1, "sigmoid")
    places = [int(each) for each in classifier.classes_]
    absent = frozenset(range(classes)) - set(places)
    # With two classes, scikit-learn has one output: of the second one, while that of the first is 0.
    return _boosted_arrays(classifier, places[1:] if len(places) == 2 else places, classes, "softmax", absent=absent)


def _boosted_arrays(
    fitted: Any,  # noqa: ANN401 - an estimator of scikit-learn
    places: list[int],
    outputs: int,
    link: OutputLink,
    *,
    absent: frozenset[int] = frozenset(),
) -> LinkedTrees:
    parts = []
    for of_round in fitted._predictors:  # scikit-learn offers the trees nowhere else
        for place, predictor in zip(places, of_round, strict=True):
            nodes = predictor.nodes
            inner = nodes["is_leaf"] == 0
            value = np.zeros((len(nodes), outputs))
            value[:, place] = np.where(inner, 0.0, nodes["value"])
            left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
            missing = nodes["missing_go_to_left"].astype(bool)
            parts.append(_TreeParts(nodes["feature_idx"], nodes["num_threshold"], left, right, missing, value, inner))
    base = np.zeros(outputs)
    base[places] = np.ravel(fitted._baseline_prediction)
    base[sorted(absent)] = _IMPOSSIBLE
    return LinkedTrees(trees=_joined(parts, base, 1.0, single_precision=False), link=link)


@dataclass(frozen=True, slots=True)
class _TreeParts:
    feature: Any
    threshold: Any
    left: Any
    right: Any
    missing_left: Any
    value: Floats
    inner: Any


def _joined(parts: list[_TreeParts], base: Floats, scale: float, *, single_precision: bool) -> Trees:
    begins = np.cumsum([0, *(len(each.value) for each in parts)])
    return Trees(
        feature=np.concatenate([np.where(each.inner, each.feature, -1) for each in parts]).astype(np.int32),
        threshold=np.concatenate([np.where(each.inner, each.threshold, 0.0) for each in parts]).astype(np.float64),
        left=_children(parts, begins, "left"),
        right=_children(parts, begins, "right"),
        missing_left=np.concatenate([each.inner & each.missing_left for each in parts]),
        value=np.concatenate([np.where(each.inner[:, None], 0.0, each.value) for each in parts]),
        roots=begins[:-1].astype(np.int32),
        base=base.astype(np.float64),
        scale=scale,
        single_precision=single_precision,
    )


def _children(parts: list[_TreeParts], begins: Any, side: str) -> Any:  # noqa: ANN401 - arrays
    moved = [np.where(each.inner, getattr(each, side) + begin, -1) for each, begin in zip(parts, begins[:-1], strict=True)]
    return np.concatenate(moved).astype(np.int32)


def _throughput(task: ModelTask, examples: Examples) -> Examples:
    """The rate of the last slots for a slot, and that of all slots, or of the first ones, for a session."""
    if task.per == "slot":
        return examples.of_feature("trend_down_kbps")
    return examples.of_feature("total_down_kbps_at_5" if "total_down_kbps_at_5" in examples.names else "total_down_kbps")


FAMILIES = (
    ModelFamily(name="majority", title="Majority", fit=_majority, baseline=True),
    ModelFamily(
        name="limit_alone",
        title="Limit alone",
        fit=_steps(lambda _, examples: len(np.unique(examples.x))),
        view=lambda _, examples: examples.of_limit(),
        baseline=True,
    ),
    ModelFamily(
        name="threshold",
        title="Throughput threshold",
        fit=_steps(lambda task, examples: len(examples.classes) if task.kind == "classes" else 4),
        view=_throughput,
        baseline=True,
    ),
    ModelFamily(name="linear", title="Logistic regression", fit=_linear),
    ModelFamily(name="forest", title="Random forest", fit=_forest),
    ModelFamily(name="boosting", title="Gradient boosting", fit=_boosting),
)
LENGTH_FAMILY = ModelFamily(name="lengths", title="Length of segments", fit=partial(_boosting, leaf=LENGTH_LEAF))
"""Each content is known from few sessions, so its leaves are small."""
BY_NAME = {each.name: each for each in FAMILIES}


@cache
def _thread_pools() -> ThreadpoolController:
    """The thread pools of NumPy and scikit-learn. To look for them takes longer than to fit a small model."""
    return ThreadpoolController()


def fitted_model(family: ModelFamily, task: ModelTask, examples: Examples, effort: Effort, seed: int) -> PlainModel:
    """The model of `family` for `task`, fitted to all the examples. It expects what `family.view` shows."""
    if task.kind == "classes" and len(np.unique(examples.y)) < 2:
        return BY_NAME["majority"].fit(task, examples, effort, seed)
    if task.after and not family.baseline:
        examples = examples.with_truth(examples.y - known_before(task, examples.names, examples.x))
    columns = None if family.baseline else LengthColumns.of(examples.names)
    if columns is not None and len(examples.lengths) and np.isfinite(examples.lengths).mean() >= KNOWN_LENGTHS:
        return _with_lengths(family, task, examples, columns, effort, seed)
    return _fitted(family, task, examples, effort, seed)


def _with_lengths(
    family: ModelFamily, task: ModelTask, examples: Examples, columns: LengthColumns, effort: Effort, seed: int
) -> PlainModel:
    """The family fitted to the sessions whose length of segments is known, and a model that infers the length of others."""
    known = examples.at(~np.isnan(examples.lengths))
    seen = columns.with_length(known.x, known.lengths.astype(np.int64))
    model = _fitted(family, task, replace(known, names=(*known.names, *OF_LENGTH), x=seen), effort, seed)
    asked = replace(known, x=known.x[:, columns.hints], y=known.lengths, classes=tuple(map(str, SEGMENT_S)))
    if task.per == "slot" and (some := asked.slots % LENGTH_SLOTS == 0).any():
        asked = asked.at(some)
    return WithLengths(columns=columns, lengths=_length_model(asked, effort, seed), model=model)


def _length_model(asked: Examples, effort: Effort, seed: int) -> PlainModel:
    """Infers classes that are lengths. It is fitted as T3, whose examples have equal weights, too."""
    if len(np.unique(asked.y)) < 2:
        return _majority(HEIGHT, asked, effort, seed)
    return _fitted(LENGTH_FAMILY, HEIGHT, asked, replace(effort, rounds=min(effort.rounds, LENGTH_ROUNDS)), seed)


def _fitted(family: ModelFamily, task: ModelTask, examples: Examples, effort: Effort, seed: int) -> PlainModel:
    # scikit-learn's boosting fails for a feature that is never known. One that never changes is never compared.
    unknown = np.isnan(examples.x).all(axis=0)
    examples = replace(examples, x=np.where(unknown, 0.0, examples.x))
    # One thread: on busy cores, threads that wait for one another take many times as long.
    with _thread_pools().limit(limits=1):
        return family.fit(task, family.view(task, examples), effort, seed)
