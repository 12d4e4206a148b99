"""A fit stores models that infer, and a report that shows how good they are and what is wrong with them."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from qoe_lab.models.evaluation import TaskResult
from qoe_lab.models.families import Effort
from qoe_lab.models.folds import TooFewSessionsError
from qoe_lab.models.goals import goals
from qoe_lab.models.model_fitting import Fit, fit, fitted_data
from qoe_lab.models.report_page import report_page
from qoe_lab.models.storage import load, store
from qoe_lab.models.tasks import TASKS
from qoe_lab.models.training_examples import SessionSlots, examples_of, session_slots
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, training

EFFORT = Effort(trees=4, rounds=4, folds=3, inner_folds=2, resamples=20, shuffles=1)


@pytest.fixture(scope="module")
def sessions() -> list[SessionSlots]:
    return session_slots(*training("<b>one</b>", sessions=32, seconds=12), SLOT_FEATURES)


@pytest.fixture(scope="module")
def done(sessions: list[SessionSlots]) -> Fit:
    return fit("<i>model</i>", sessions, SLOT_FEATURES, effort=EFFORT)


def test_every_task_is_fitted_judged_and_checked_for_leaks(done: Fit):
    names = {task.name for task in TASKS}
    assert done.results.keys() == done.alarms.keys() == done.model.tasks.keys() == names
    assert done.not_fitted == {}
    assert all(done.model.tasks[name].family == result.chosen for name, result in done.results.items())
    assert all(done.model.tasks[name].calibration is not None for name in ("session_stalled", "slot_stalled", "height"))
    assert all(done.model.tasks[name].half_width > 0 for name in ("startup", "mos"))


def test_the_same_sessions_give_the_same_models_and_scores_also_in_several_processes(done: Fit, sessions: list[SessionSlots]):
    steps: list[str] = []
    again = fit("again", sessions, SLOT_FEATURES, effort=EFFORT, processes=2, progress=steps.append)
    assert {step.split()[0] for step in steps} <= {task.code for task in TASKS}
    assert "T3 random forest" in steps
    assert list(again.results) == list(done.results)
    for name, result in done.results.items():
        assert again.results[name].best.scores == result.best.scores
        assert again.alarms[name] == done.alarms[name]
        one, other = done.model.tasks[name].model.arrays(), again.model.tasks[name].model.arrays()
        assert all((one[part] == other[part]).all() for part in one)


def test_the_hash_of_the_data_is_that_of_the_sessions_and_not_of_their_order(sessions: list[SessionSlots]):
    assert fitted_data(sessions[::-1]) == fitted_data(sessions)
    for other in (replace(sessions[0], x=sessions[0].x + 1), replace(sessions[0], length=2.0)):
        assert fitted_data([other, *sessions[1:]]).sha256 != fitted_data(sessions).sha256


def test_the_stored_model_infers_what_was_fitted(done: Fit, tmp_path):
    store(tmp_path, done.model, {})
    read = load(tmp_path)
    sessions = session_slots(*training("new", sessions=12, seconds=12, seed=9), SLOT_FEATURES)
    for task in TASKS:
        given = examples_of(task, sessions, SLOT_FEATURES)
        assert (read.tasks[task.name].outputs(given.x) == done.model.tasks[task.name].outputs(given.x)).all()


def test_a_task_that_cannot_be_fitted_is_named_with_the_reason():
    sessions = session_slots(*training(sessions=12, seconds=10, limits=(8.0, 9.0)), SLOT_FEATURES)
    done = fit("fast", sessions, SLOT_FEATURES, effort=EFFORT)
    assert done.not_fitted["session_stalled"] == "all examples are of the class 'no'"
    assert "session_stalled" not in done.model.tasks
    page = report_page(done, version="1", made="now")
    assert "T1 is not fitted: all examples are of the class &#x27;no&#x27;." in page
    assert "startup" in done.model.tasks


def test_a_fit_without_enough_sessions_is_refused():
    sessions = session_slots(*training(sessions=4), SLOT_FEATURES)
    with pytest.raises(TooFewSessionsError, match="no task can be fitted: there are 4 sessions, and at least 6 are needed"):
        fit("few", sessions, SLOT_FEATURES, effort=EFFORT)


class Page(HTMLParser):
    """The tags of a page, with an error for one that is not closed in order."""

    VOID = frozenset({"meta", "line", "circle", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_is_one_page_that_needs_nothing_else_and_escapes_names(done: Fit):
    page = report_page(done, version="1.2.3", made="2026-11-29 08:00 UTC")
    tags = Page(page).seen
    assert "<b>one" not in page
    assert "<i>model" not in page
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe")] == []
    assert re.findall(r"(?:https?:)?//|url\(|@import", page) == []
    assert "nan" not in re.findall(r"[a-z]+", re.sub(r"<style>.*?</style>", "", page.lower(), flags=re.DOTALL))


def test_the_report_shows_scores_with_intervals_matrices_calibration_places_alarms_and_goals(done: Fit):
    page = report_page(done, version="1.2.3", made="2026-11-29 08:00 UTC")
    for result in done.results.values():
        score = result.best.scores[result.task.score]
        assert f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" in page
    assert page.count("class='matrix'") == 3
    assert page.count("<h3>Calibration</h3>") == 3
    assert page.count("<h3>Inferred and reported</h3>") == 2
    assert page.count("<h3>Leak alarms</h3>") == 5
    assert page.count("Rows: reported. Columns: inferred.") == 3
    assert "Not computed for each client: all sessions have the client headless." in page
    for goal in goals(done.results):
        assert f"goal: at {'least' if goal.at_least else 'most'} {goal.wanted:g}" in page
    assert page.count("class='missed'") == sum(not goal.met for goal in goals(done.results))


def test_a_raised_alarm_is_at_the_top_of_the_report(done: Fit):
    alarm = replace(done.alarms["height"][0], found="7", raised=True)
    page = report_page(replace(done, alarms={**done.alarms, "height": (alarm,)}), version="1", made="now")
    assert page.index("T3: sessions on both sides of a split: 7; expected: 0.") < page.index("Has the session stalled?")


def test_a_missed_goal_states_the_difference(done: Fit):
    results: dict[str, TaskResult] = dict(done.results)
    heights = results["height"]
    low = {**heights.best.scores, "accuracy": replace(heights.best.scores["accuracy"], value=0.72)}
    families = {**heights.families, heights.chosen: replace(heights.best, scores=low)}
    found = goals({"height": replace(heights, families=families)})
    accuracy = next(each for each in found if each.title == "accuracy")
    assert (accuracy.met, round(accuracy.missed_by, 9)) == (False, 0.18)
    assert json.dumps(accuracy.missed_by)
