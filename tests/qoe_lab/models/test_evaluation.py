"""Models are judged on sessions that they have not seen; what makes a score too good raises an alarm."""

from dataclasses import replace

import numpy as np
import pytest

from qoe_lab.models.bands import half_width
from qoe_lab.models.calibration import fitted_calibration
from qoe_lab.models.cross_fitting import held_out
from qoe_lab.models.evaluation import TaskResult, evaluate
from qoe_lab.models.examples import Examples
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.folds import (
    TooFewSessionsError,
    grouped_splits,
    leave_one_out,
    sessions_on_both_sides,
)
from qoe_lab.models.leak_alarms import (
    best_single_feature,
    duplicate_rows,
    leak_alarms,
    shuffled_auc,
    training_probe,
)
from qoe_lab.models.score_measures import auc
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP, TASKS, ModelTask
from qoe_lab.models.training_examples import examples_of, session_slots
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, joined, training

EFFORT = Effort(trees=8, rounds=6, folds=3, inner_folds=2, resamples=30, shuffles=1)


@pytest.fixture(scope="module")
def sessions():
    """Two trainings with different clients."""
    return session_slots(
        *joined(
            training("one", sessions=48, seconds=14, seed=1), training("two", sessions=24, seconds=14, seed=2, client="hls.js")
        ),
        SLOT_FEATURES,
    )


@pytest.fixture(scope="module")
def examples(sessions) -> dict[str, Examples]:
    return {task.name: examples_of(task, sessions, SLOT_FEATURES) for task in TASKS}


@pytest.fixture(scope="module")
def results(examples) -> dict[str, TaskResult]:
    return {
        task.name: evaluate(task, examples[task.name], EFFORT, 1, lambda _: None) for task in (SESSION_STALLED, HEIGHT, STARTUP)
    }


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.code)
def test_no_session_is_on_both_sides_and_each_is_judged_once(examples, task: ModelTask):
    given = examples[task.name]
    splits = grouped_splits(task, given, 5, 1)
    assert sessions_on_both_sides(given, splits) == 0
    assert (sum(each.judge.astype(int) for each in splits) == given.whole).all()
    assert all((each.fit.sum() > 0) and (each.judge.sum() > 0) for each in splits)


def test_a_place_that_is_left_out_is_in_no_example_that_is_fitted_to(examples):
    given = examples[SLOT_STALLED.name]
    for place in ("training", "client", "content"):
        for split in leave_one_out(given, place):
            assert split.left_out not in given.places[place][split.fit]
            assert set(given.places[place][split.judge]) == {split.left_out}
    assert [each.left_out for each in leave_one_out(given, "limit")] == ["0.4", "0.7", "1.2", "3.0"]
    with pytest.raises(TooFewSessionsError, match="all sessions have the source hls"):
        leave_one_out(given, "source")


def test_models_of_the_traffic_are_better_than_the_baselines_on_what_can_be_learned(results):
    heights = results[HEIGHT.name]
    scores = {name: each.scores["accuracy"].value for name, each in heights.families.items()}
    assert scores[heights.chosen] > scores["limit_alone"] > scores["majority"]
    assert heights.gain.low > 0
    startup = results[STARTUP.name]
    assert startup.best.scores["mae"].value < startup.families["limit_alone"].scores["mae"].value < 1.0
    assert not startup.best.baseline


def test_places_are_judged_or_the_reason_is_stated(results):
    places = {each.place: each for each in results[HEIGHT.name].places}
    assert {part.left_out for part in places["client"].parts} == {"headless", "hls.js"}
    assert 0.5 < places["training"].score <= 1
    assert places["source"].why_not == "all sessions have the source hls"


def test_the_confusion_matrix_counts_each_judged_example_once(results):
    for name in (SESSION_STALLED.name, HEIGHT.name):
        assert results[name].confusion.sum() == len(results[name].judged)
    assert len(results[SESSION_STALLED.name].judged) == 72


def test_the_interval_contains_the_value_and_the_corrected_score_is_finite(results):
    for result in results.values():
        score = result.best.scores[result.task.score]
        assert score.low <= score.value <= score.high
        assert score.low < score.high
        assert np.isfinite(result.corrected)


def test_bands_hold_about_nine_of_ten_sessions_that_they_were_not_fitted_to(results):
    bands = results[STARTUP.name].bands
    assert 0.8 <= bands.coverage.value <= 1
    assert 0 < bands.mean_width < 3


def test_a_band_is_as_wide_as_nine_of_ten_errors_and_infinite_for_too_few():
    truth = np.arange(99.0)
    assert half_width(truth, np.zeros(99)) == 89
    assert np.isinf(half_width(np.arange(8.0), np.zeros(8)))


@pytest.mark.parametrize("sessions_of_each", [1, 50], ids=["isotonic", "Platt"])
def test_calibration_turns_overconfident_probabilities_into_frequencies(sessions_of_each: int):
    random = np.random.default_rng(1)
    true = random.random(8000)
    truth = (random.random(8000) < true).astype(np.float64)
    boastful = true**3 / (true**3 + (1 - true) ** 3)
    outputs = np.column_stack([1 - boastful, boastful])
    groups = np.arange(8000) // sessions_of_each
    calibration = fitted_calibration(truth[:4000], outputs[:4000], groups[:4000])
    after = calibration.applied(outputs[4000:])[:, 1]
    assert np.abs(after - true[4000:]).mean() < 0.03 < np.abs(boastful[4000:] - true[4000:]).mean()


def test_calibration_is_monotonic_and_never_certain():
    truth = np.repeat([0.0, 1.0], 300)
    outputs = np.column_stack([1 - truth, truth])
    for groups in (np.arange(600), np.arange(600) // 50):
        after = fitted_calibration(truth, outputs, groups).applied(np.column_stack([np.linspace(1, 0, 50), np.linspace(0, 1, 50)]))[
            :, 1
        ]
        assert (np.diff(after) >= 0).all()
        assert 0 < after[0] < 0.1 < 0.9 < after[-1] < 1


# --- Leaks


def test_a_fit_without_leaks_raises_no_alarm_but_names_what_it_could_not_check(examples, results):
    alarms = {each.name: each for each in leak_alarms(HEIGHT, examples[HEIGHT.name], results[HEIGHT.name], EFFORT, 1)}
    assert [name for name, each in alarms.items() if each.raised] == []
    assert alarms["sessions on both sides of a split"].found == "0"
    assert alarms["equal rows on both sides of a split"].found == "0"
    one_training = examples[SESSION_STALLED.name]
    one_training = one_training.at(one_training.places["training"] == "one")
    result = results[SESSION_STALLED.name]
    unknown = [each for each in leak_alarms(SESSION_STALLED, one_training, result, EFFORT, 1) if each.raised is None]
    assert {each.meaning for each in unknown} == {"there is one training only"}


def copied(given: Examples) -> Examples:
    """Each example twice, the copy in a session of another name: what oversampling before the split does."""
    twice = given.at(np.tile(np.arange(len(given)), 2))
    names = np.concatenate([given.sessions, np.char.add(given.sessions, "-copy")])
    return replace(twice, sessions=names)


def test_copies_made_before_the_split_inflate_the_score_and_raise_both_alarms(examples):
    given = examples[SLOT_STALLED.name]
    noise = given.with_truth(np.random.default_rng(1).permutation(given.y))
    leaky = copied(noise)
    assert duplicate_rows(given, grouped_splits(SLOT_STALLED, given, 3, 1)) == 0
    assert duplicate_rows(leaky, grouped_splits(SLOT_STALLED, leaky, 3, 1)) > 100

    def score(examples: Examples) -> float:
        splits = grouped_splits(SLOT_STALLED, examples, 3, 1)
        outputs = held_out(BY_NAME["forest"], SLOT_STALLED, examples, splits, EFFORT, 1).outputs
        return auc(examples.y, outputs, np.ones(len(examples)))

    assert abs(score(noise) - 0.5) < 0.1
    assert score(leaky) > 0.8  # of noise


def test_shuffled_truth_gives_chance_whatever_the_family(examples):
    given = examples[SLOT_STALLED.name]
    assert abs(shuffled_auc(SLOT_STALLED, given, "forest", EFFORT, 1) - 0.5) <= 0.05


def test_a_feature_that_is_the_truth_is_found(examples):
    given = examples[SLOT_STALLED.name]
    recognized = replace(given, names=(*given.names, "recognized"), x=np.column_stack([given.x, given.y]))
    assert best_single_feature(recognized) == ("recognized", 1.0)
    assert best_single_feature(given)[1] < 0.995


def test_the_probe_recognises_trainings_only_if_their_traffic_differs(sessions, examples):
    given = examples[SESSION_STALLED.name]
    same = given.at(given.whole)
    assert training_probe(same, EFFORT, 1) < 0.75
    shifted = same.x.copy()
    shifted[same.places["training"] == "two"] *= 1.5
    assert training_probe(replace(same, x=shifted), EFFORT, 1) > 0.9


def test_trainings_that_differ_in_their_truth_raise_an_alarm(examples, results):
    given = examples[SESSION_STALLED.name]
    in_two = given.places["training"] == "two"
    confounded = replace(given, y=np.where(in_two, 1.0, 0.0))
    alarms = leak_alarms(SESSION_STALLED, confounded, results[SESSION_STALLED.name], EFFORT, 1)
    raised = {each.name for each in alarms if each.raised}
    assert "the training alone predicts the truth" in raised


def test_a_model_that_knows_no_more_than_the_limit_raises_an_alarm(examples):
    given = examples[HEIGHT.name]
    by_limit = replace(given, y=(given.limits > 1).astype(np.float64), classes=("low", "high"))
    result = evaluate(HEIGHT, by_limit, EFFORT, 1, lambda _: None)
    assert result.gain.value <= 0
    raised = {each.name for each in leak_alarms(HEIGHT, by_limit, result, EFFORT, 1) if each.raised}
    assert "gain over the limit alone" in raised


# --- Too little data


def test_too_few_sessions_and_a_single_class_are_refused_with_the_reason(examples):
    given = examples[SESSION_STALLED.name]
    few = given.at(np.isin(given.sessions, np.unique(given.sessions)[:5]))
    with pytest.raises(TooFewSessionsError, match="there are 5 sessions, and at least 6 are needed"):
        grouped_splits(SESSION_STALLED, few, 5, 1)
    with pytest.raises(TooFewSessionsError, match="all examples are of the class 'no'"):
        grouped_splits(SESSION_STALLED, given.with_truth(np.zeros(len(given))), 5, 1)
    rare = given.with_truth((given.sessions == given.sessions[0]).astype(np.float64))
    with pytest.raises(TooFewSessionsError, match="only one class occurs in more than one session"):
        grouped_splits(SESSION_STALLED, rare, 5, 1)


def test_twelve_sessions_suffice_for_a_judgement(sessions):
    few = [each for each in sessions if each.places["training"] == "one"][:12]
    for task in (SESSION_STALLED, MOS):
        given = examples_of(task, few, SLOT_FEATURES)
        result = evaluate(task, given, EFFORT, 1, lambda _: None)
        assert len(result.judged) == 12
        assert BY_NAME[result.chosen].baseline is False
