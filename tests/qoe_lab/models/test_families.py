"""Fitted models as plain arrays give what scikit-learn gives."""

import numpy as np
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression

from qoe_lab.models import families
from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.examples import Examples
from qoe_lab.models.families import BY_NAME, Effort, fitted_model
from qoe_lab.models.known_before import known_before
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP, ModelTask

EFFORT = Effort(trees=12, rounds=12, folds=3, resamples=20)


def examples(classes: int, *, rows: int = 300, features: int = 6, missing: float = 0.1, seed: int = 1) -> Examples:
    """Random features, some of which are not known, and a truth that depends on them."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, features)) * 10.0 ** np.arange(features)
    truth = x[:, 0] + x[:, 1] / 10 + 0.5 * random.standard_normal(rows)
    x[random.random(x.shape) < missing] = np.nan
    if classes:
        truth = np.digitize(truth, np.quantile(truth, np.arange(1, classes) / classes)).astype(np.float64)
    return Examples(
        names=tuple(f"f{number}" for number in range(features)),
        x=x,
        y=truth,
        classes=tuple(map(str, range(classes))),
        sessions=np.array([f"s{row // 5}" for row in range(rows)]),
        slots=np.arange(rows) % 5,
        whole=np.ones(rows, dtype=bool),
        limits=np.repeat(1.0, rows),
    )


@pytest.fixture
def estimators(monkeypatch):
    """The estimators of scikit-learn in the order in which they were fitted."""
    fitted = []
    for kind in (
        RandomForestClassifier,
        RandomForestRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        LogisticRegression,
    ):

        def make(*given, kind=kind, **settings):
            fitted.append(kind(*given, **settings))
            return fitted[-1]

        monkeypatch.setattr(families, kind.__name__, make)
    return fitted


@pytest.mark.parametrize("family", ["forest", "boosting"])
@pytest.mark.parametrize(("task", "classes"), [(SESSION_STALLED, 2), (SLOT_STALLED, 2), (HEIGHT, 5), (MOS, 0)])
def test_plain_trees_give_the_outputs_of_scikit_learn_also_where_features_are_missing(
    estimators, family: str, task: ModelTask, classes: int
):
    fitted_to, asked = examples(classes), examples(classes, rows=2000, missing=0.3, seed=2)
    model = fitted_model(BY_NAME[family], task, fitted_to, EFFORT, 1)
    theirs = estimators[-1].predict_proba(asked.x) if classes else estimators[-1].predict(asked.x)[:, None]
    np.testing.assert_allclose(model.predict(asked.x), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("task", "classes"), [(SLOT_STALLED, 2), (HEIGHT, 4)])
def test_plain_logistic_regression_gives_the_probabilities_of_scikit_learn(estimators, task: ModelTask, classes: int):
    fitted_to = examples(classes, missing=0)
    model = fitted_model(BY_NAME["linear"], task, fitted_to, EFFORT, 1)
    shifted = (fitted_to.x - fitted_to.x.mean(axis=0)) / fitted_to.x.std(axis=0)
    np.testing.assert_allclose(model.predict(fitted_to.x), estimators[-1].predict_proba(shifted), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("family", [each for each in BY_NAME if each != "threshold"])
@pytest.mark.parametrize("present", [(1,), (0, 2), (1, 2, 3)])
def test_a_class_that_was_not_fitted_to_gets_no_probability(family: str, present: tuple[int, ...]):
    given = examples(4)
    some = given.at(np.isin(given.y, present))
    outputs = fitted_model(BY_NAME[family], HEIGHT, some, EFFORT, 1).predict(BY_NAME[family].view(HEIGHT, given).x)
    assert outputs.shape == (len(given), 4)
    np.testing.assert_allclose(outputs.sum(axis=1), 1)
    absent = [number for number in range(4) if number not in present]
    assert outputs[:, absent].max() < 1e-6


@pytest.mark.parametrize("family", ["linear", "forest", "boosting"])
@pytest.mark.parametrize(("task", "classes"), [(SLOT_STALLED, 2), (HEIGHT, 3), (MOS, 0)])
def test_a_feature_that_is_never_known_and_one_that_never_changes_do_no_harm(family: str, task: ModelTask, classes: int):
    given = examples(classes)
    given.x[:, 2], given.x[:, 3] = np.nan, 7.0
    outputs = fitted_model(BY_NAME[family], task, given, EFFORT, 1).predict(given.x)
    assert np.isfinite(outputs).all()


def test_the_limit_alone_sees_no_feature_but_the_limit_and_no_other_family_sees_it():
    given = examples(2)
    for name, family in BY_NAME.items():
        if name == "limit_alone":
            assert family.view(SLOT_STALLED, given).names == ("limit_mbps",)
        elif name != "threshold":
            assert family.view(SLOT_STALLED, given).names == given.names


def test_equal_classes_have_equal_weights_in_the_task_of_sessions():
    given = examples(2)
    some = given.at(np.flatnonzero((given.y == 0) | (np.arange(len(given)) % 10 == 0)))
    weights = families.weights_of(SESSION_STALLED, some)
    assert np.isclose(weights[some.y == 0].sum(), weights[some.y == 1].sum())
    assert np.isclose(weights.sum(), len(some))


def test_what_is_known_before_is_the_first_chunk_and_otherwise_the_time_so_far():
    names = ("chunk_1_ms_at_1", "chunk_1_ms_at_5", "elapsed_s_at_1", "elapsed_s_at_5", "elapsed_s")
    unknown = np.nan
    x = np.array([[unknown, 3000, 1, 5, 99], [800, 800, 1, unknown, 99], [unknown, unknown, 1, 5, 99], [unknown] * 5])
    np.testing.assert_allclose(known_before(STARTUP, names, x), np.log([3.0, 0.8, 5.0, 1.0]))
    assert (known_before(MOS, names, x) == 0).all()


@pytest.mark.parametrize("family", ["forest", "boosting"])
def test_a_long_startup_that_the_packets_show_is_inferred_although_no_session_had_one_as_long(family: str):
    random = np.random.default_rng(1)
    first_chunk_s = np.concatenate([random.uniform(0.3, 3, 60), [18.0]])
    x = np.column_stack([first_chunk_s * 1000, random.random((61, 3))])
    everyone = Examples(
        names=("chunk_1_ms_at_20", "a", "b", "c"),
        x=x,
        y=np.log(first_chunk_s + 0.1),
        sessions=np.arange(61).astype(np.str_),
        slots=np.full(61, 19),
        whole=np.ones(61, dtype=bool),
        limits=np.ones(61),
    )
    model = fitted(BY_NAME[family], STARTUP, everyone.at(np.arange(60)), EFFORT, 1, calibrate=False)
    assert np.exp(model.outputs(x[60:]))[0, 0] == pytest.approx(18.1, rel=0.15)
