"""Measures equal those of scikit-learn, with weights, and judge perfect and useless predictions as they should be."""

import numpy as np
import pytest
from sklearn import metrics

from qoe_lab.models import score_measures as scores
from qoe_lab.models.event_recall import event_recall
from qoe_lab.models.examples import Examples


def predictions(classes: int, seed: int = 1, rows: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, outputs with equal ones among them, and weights with zeros among them."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows).astype(np.float64)
    outputs = random.dirichlet(np.ones(classes), rows)
    outputs[np.arange(rows), truth.astype(int)] += 0.3
    outputs = np.round(outputs / outputs.sum(axis=1, keepdims=True), 2) + 1e-6
    return truth, outputs / outputs.sum(axis=1, keepdims=True), random.integers(0, 3, rows).astype(np.float64)


@pytest.mark.parametrize("classes", [2, 4])
def test_measures_of_decisions_equal_those_of_scikit_learn(classes: int):
    truth, outputs, weights = predictions(classes)
    decided = outputs.argmax(axis=1)
    assert np.isclose(scores.accuracy(truth, outputs, weights), metrics.accuracy_score(truth, decided, sample_weight=weights))
    theirs = metrics.balanced_accuracy_score(truth, decided, sample_weight=weights)
    assert np.isclose(scores.balanced_accuracy(truth, outputs, weights), theirs)
    theirs = metrics.f1_score(truth, decided, average="macro", sample_weight=weights)
    assert np.isclose(scores.macro_f1(truth, outputs, weights), theirs)
    theirs = metrics.confusion_matrix(truth, decided, sample_weight=weights)
    assert np.allclose(scores.confusion(truth, decided.astype(float), weights, classes), theirs)


def test_measures_of_probabilities_equal_those_of_scikit_learn():
    truth, outputs, weights = predictions(2)
    theirs = metrics.average_precision_score(truth, outputs[:, 1], sample_weight=weights)
    assert np.isclose(scores.average_precision(truth, outputs, weights), theirs)
    theirs = metrics.roc_auc_score(truth, outputs[:, 1], sample_weight=weights)
    assert np.isclose(scores.auc(truth, outputs, weights), theirs)
    theirs = metrics.brier_score_loss(truth, outputs[:, 1], sample_weight=weights)
    assert np.isclose(scores.brier(truth, outputs, weights), theirs)
    truth, outputs, weights = predictions(4)
    theirs = metrics.roc_auc_score(truth, outputs, multi_class="ovr", sample_weight=weights)
    assert np.isclose(scores.auc(truth, outputs, weights), theirs)


def test_the_calibration_error_is_small_for_true_probabilities_and_large_for_overconfident_ones():
    random = np.random.default_rng(3)
    stated = random.random(20_000)
    truth = (random.random(20_000) < stated).astype(np.float64)
    everyone = np.ones(20_000)
    honest = scores.calibration_error(truth, np.column_stack([1 - stated, stated]), everyone)
    boastful = scores.calibration_error(truth, np.column_stack([stated < 0.5, stated >= 0.5]).astype(np.float64), everyone)
    assert honest < 0.02
    assert boastful > 0.2


def test_a_measure_has_no_value_without_examples():
    nothing = (np.empty(0), np.empty((0, 2)), np.empty(0))
    assert all(np.isnan(measure(*nothing)) for measure in scores.OF_CLASSES.values())
    assert all(np.isnan(measure(np.empty(0), np.empty((0, 1)), np.empty(0))) for measure in scores.OF_NUMBERS.values())


def test_errors_of_inferred_numbers_ignore_examples_with_weight_zero():
    truth, inferred = np.array([1.0, 2.0, 3.0, 4.0]), np.array([[1.0], [2.5], [3.0], [2.0]])
    assert scores.mae(truth, inferred, np.ones(4)) == 0.625
    assert scores.bias(truth, inferred, np.ones(4)) == -0.375
    assert scores.p90_error(truth, inferred, np.ones(4)) == 2.0
    assert scores.mae(truth, inferred, np.array([1.0, 0, 1, 0])) == 0


def test_the_bound_of_the_best_f1_separates_the_classes():
    truth = np.array([0, 0, 1, 0, 1, 1.0])
    probability = np.array([0.1, 0.2, 0.3, 0.35, 0.6, 0.9])
    bound = scores.best_f1_bound(truth, probability)
    assert 0.2 < bound < 0.3
    assert scores.best_f1_bound(np.zeros(6), probability) == 0.5


def slots(stalled: str, decided: str) -> tuple[Examples, np.ndarray, np.ndarray]:
    texts = [[float(each == "x") for each in text] for text in (stalled, decided)]
    rows = len(stalled)
    examples = Examples(
        names=("f",),
        x=np.zeros((rows, 1)),
        y=np.array(texts[0]),
        sessions=np.repeat("s", rows),
        slots=np.arange(rows),
        whole=np.ones(rows, dtype=bool),
        limits=np.ones(rows),
    )
    return examples, np.array(texts[0]), np.array(texts[1])


@pytest.mark.parametrize(
    ("stalled", "decided", "noticed", "justified"),
    [
        ("..xx......xx..", "..xx......xx..", 2, 2),
        ("..xx......xx..", "....x....x....", 2, 2),  # a slot too late, and a slot too early
        ("..xx......xx..", ".....x..x.....", 0, 0),  # two slots too late, and two too early
        ("..xx......xx..", "..............", 0, 0),
        ("..xx.xx.......", "...xxx........", 2, 1),  # one alarm over two stalls
    ],
)
def test_a_stall_is_noticed_within_a_slot(stalled: str, decided: str, noticed: int, justified: int):
    found = event_recall(*slots(stalled, decided))
    assert (found.stalls, found.noticed, found.justified) == (2, noticed, justified)


def test_a_session_without_stalls_has_no_recall():
    assert np.isnan(event_recall(*slots("....", "....")).recall)
