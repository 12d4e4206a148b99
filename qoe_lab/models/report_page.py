"""The report of a fit: one HTML file that needs no server, no network and no script."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

from qoe_lab.models.bands import COVERAGE
from qoe_lab.models.evaluation import TaskResult, measured_outputs, score_text
from qoe_lab.models.goals import Goal, goals
from qoe_lab.models.intervals import Estimate
from qoe_lab.models.leak_alarms import Alarm
from qoe_lab.models.model_fitting import Fit
from qoe_lab.models.report_figures import Bar, comparison, reliability, scatter
from qoe_lab.models.tasks import TASKS

SCORE_TITLES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "average_precision": "PR-AUC",
    "auc": "ROC-AUC",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
    "mae": "mean absolute error",
    "p90_error": "error of 90 % of the sessions",
    "bias": "bias",
}
WARNINGS = (
    "These sessions were played in a lab: one machine, a few contents, players and links. A score in the lab says nothing about "
    "the field, where contents, players, networks and their mixture differ.",
    "The interval of a score covers other sessions of the same trainings, not other trainings. The tables of left-out places show "
    "how the score changes where the model knows less.",
    "The best of three families is chosen by the score that is shown, which flatters it. The corrected score is judged on sessions "
    "that had no part in the choice.",
)


def report_page(fit: Fit, *, version: str, made: str) -> str:
    """The report as HTML. `made` is the time of the fit."""
    title = f"Model {fit.model.name}"
    tasks = "".join(_task(fit, each.name) for each in TASKS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)} · Swarmscope</title><style>{_css()}</style></head><body><main>"
        f"<header><p class='brand'>Swarmscope QoE lab</p><h1>{escape(title)}</h1>{_facts(fit, version, made)}</header>"
        f"{_goal_tiles(goals(fit.results))}{_warnings(fit)}{tasks}{_footer(fit)}</main></body></html>\n"
    )


def _css() -> str:
    return (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


def _facts(fit: Fit, version: str, made: str) -> str:
    data = fit.data
    limits = ", ".join(f"{each:g}" for each in data.limits_mbps)
    facts = (
        f"{data.sessions:,} sessions with {data.slots:,} slots",
        f"trainings: {', '.join(data.trainings)}",
        f"limits: {limits} Mbit/s",
        f"clients: {', '.join(data.clients)}",
        f"fitted {made} by version {version}",
    )
    return f"<ul class='facts'>{''.join(f'<li>{escape(each)}</li>' for each in facts)}</ul>"


def _goal_tiles(found: Sequence[Goal]) -> str:
    tiles = []
    for goal in found:
        state = "met" if goal.met else f"missed by {_number(goal.missed_by)}"
        bound = f"{'at least' if goal.at_least else 'at most'} {goal.wanted:g}"
        tiles.append(
            f"<li class='{'met' if goal.met else 'missed'}'><span class='what'>{goal.task} {escape(goal.title)}</span>"
            f"<strong>{_number(goal.reached)}</strong><span class='state'>{state}</span>"
            f"<span class='goal'>goal: {bound}</span></li>"
        )
    return f"<section><h2>Goals</h2><ul class='tiles'>{''.join(tiles)}</ul></section>"


def _warnings(fit: Fit) -> str:
    raised = [
        f"{task.code}: {alarm.name}: {alarm.found}; expected: {alarm.expected}. Possible reason: {alarm.meaning}."
        for task in TASKS
        for alarm in fit.alarms.get(task.name, ())
        if alarm.raised
    ]
    missing = [f"{task.code} is not fitted: {fit.not_fitted[task.name]}." for task in TASKS if task.name in fit.not_fitted]
    alarms = f"<ul class='raised'>{_items([*raised, *missing])}</ul>" if raised or missing else "<p>No leak alarm is raised.</p>"
    return f"<section class='notes'><h2>Read this first</h2>{alarms}<ul>{_items(WARNINGS)}</ul></section>"


def _items(texts: Iterable[str]) -> str:
    return "".join(f"<li>{escape(each)}</li>" for each in texts)


def _task(fit: Fit, name: str) -> str:
    result = fit.results.get(name)
    if result is None:
        return ""
    head = f"<h2><span class='code'>{result.task.code}</span> {escape(result.task.title)}</h2><p>{_summary(result)}</p>"
    columns = (
        (_comparison_card(result), _scores_card(result)),
        (_matrix_card(result), _scatter_card(result), _places_card(result)),
        (_reliability_card(result),),
    )
    cards = "".join(f"<div class='column'>{''.join(column)}</div>" for column in columns if any(column))
    return f"<section>{head}<div class='cards'>{cards}</div>{_alarms_card(fit.alarms[name])}</section>"


def _summary(result: TaskResult) -> str:
    score = result.best.scores[result.task.score]
    sentences = [
        f"The best family is {result.best.title.lower()}: {score_text(result.task)} {_with_interval(score)}.",
        f"Corrected for the choice: {_number(result.corrected)}.",
        f"Difference to the limit alone: {_with_interval(result.gain, signed=True)}.",
    ]
    if result.events is not None and result.events.stalls:
        events = result.events
        sentences.append(
            f"Of {events.stalls} stalls, {events.noticed} are noticed within a slot ({events.recall:.0%}); "
            f"of {events.alarms} alarms, {events.justified} are about a stall."
        )
    if result.bands is not None:
        covered = _with_interval(result.bands.coverage)
        sentences.append(f"The band holds {covered} of the true values; {COVERAGE:g} is intended.")
    return escape(" ".join(sentences))


def _comparison_card(result: TaskResult) -> str:
    score = result.task.score
    bars = [
        Bar(
            title=_title(result, each.family),
            estimate=each.scores[score],
            kind="chosen" if each.family == result.chosen else "baseline" if each.baseline else "other",
        )
        for each in result.families.values()
    ]
    ends = [end for bar in bars for end in (bar.estimate.value, bar.estimate.high) if not np.isnan(end)]
    high = max([*ends, 0.01]) * 1.02 if score == "mae" else 1.0
    figure = comparison(bars, low=0.0, high=high, text=f"{score_text(result.task)} of each family")
    note = "Lower is better." if score == "mae" else "Higher is better."
    return _card(
        f"Families by {score_text(result.task)}",
        f"{figure}<p class='note'>{note} Lines: 95 % intervals over sessions. Baselines are grey.</p>",
    )


def _title(result: TaskResult, family: str) -> str:
    title = result.families[family].title
    return title.replace("Logistic", "Linear") if result.task.kind == "number" else title


def _matrix_card(result: TaskResult) -> str:
    if result.confusion is None:
        return ""
    classes = result.judged.classes
    head = "".join(f"<th scope='col'>{escape(each)}</th>" for each in classes)
    rows = []
    for name, counts in zip(classes, result.confusion, strict=True):
        total = max(1.0, counts.sum())
        cells = "".join(
            f"<td class='{'right' if column == name else 'wrong'}' style='--share:{count / total:.3f}'>"
            f"<b>{count:,.0f}</b><span>{count / total:.0%}</span></td>"
            for column, count in zip(classes, counts, strict=True)
        )
        rows.append(f"<tr><th scope='row'>{escape(name)}</th>{cells}</tr>")
    what = "sessions" if result.task.per == "session" else "slots"
    table = f"<table class='matrix'><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    note = f"<p class='note'>Rows: reported. Columns: inferred. Numbers of {what}, and shares of the row.</p>"
    return _card("Confusion matrix", f"<div class='scroll'>{table}</div>{note}")


def _reliability_card(result: TaskResult) -> str:
    if result.calibration is None:
        return ""
    answers, calibration = result.best.answers, result.calibration
    figure = reliability(result.truth, answers.outputs, answers.calibrated)
    rows = [
        (title, _number(calibration.before[name].value), _with_interval(calibration.after[name]))
        for name, title in (("brier", "Brier score"), ("ece", "ECE"))
    ]
    table = _table(("", "before", "after"), rows)
    chance = f"A perfectly calibrated model has an ECE of {_number(calibration.ece_of_perfect)} with as many examples."
    legend = "<p class='legend'><span class='before'></span>before <span class='after'></span>after calibration</p>"
    return _card("Calibration", f"{figure}{legend}{table}<p class='note'>{chance}</p>")


def _scatter_card(result: TaskResult) -> str:
    if result.task.kind == "classes":
        return ""
    answers = result.best.answers
    inside = None
    if result.bands is not None:
        inside = ~np.isfinite(answers.high - answers.low) | ((answers.low <= result.truth) & (result.truth <= answers.high))
    figure = scatter(result.truth, measured_outputs(result.task, answers, "mae")[:, 0], inside, result.task.unit)
    width = "" if result.bands is None else f" The mean width of the band is {_number(result.bands.mean_width)} {result.task.unit}."
    note = "Each point is a session that the model was not fitted to. Filled: the reported value is outside the band."
    return _card("Inferred and reported", f"{figure}<p class='note'>{note}{escape(width)}</p>")


def _scores_card(result: TaskResult) -> str:
    rows = [(SCORE_TITLES[name], _with_interval(each)) for name, each in result.best.scores.items()]
    return _card(f"Scores of {result.best.title.lower()}", _table(("score", "value (95 % interval)"), rows))


def _places_card(result: TaskResult) -> str:
    head = ("left out", "sessions", "score", "limit alone")
    able = [place for place in result.places if not place.why_not]
    together = [
        (f"each {place.place}", f"{sum(part.sessions for part in place.parts):,}", _number(place.score), _number(place.limit_alone))
        for place in able
    ]
    parts = [
        (_part_name(place.place, part.left_out), f"{part.sessions:,}", _number(part.score), _number(part.limit_alone))
        for place in able
        for part in place.parts
    ]
    table = _table(head, together) if able else ""
    details = f"<details><summary>Each one that was left out</summary>{_table(head, parts)}</details>" if able else ""
    missing = [f"Not computed for each {place.place}: {place.why_not}." for place in result.places if place.why_not]
    note = f"<p class='note'>Score: {escape(score_text(result.task))}, on sessions that the model was not fitted to.</p>"
    return _card(
        "With one thing left out", f"{table}{details}{note}" + (f"<ul class='note'>{_items(missing)}</ul>" if missing else "")
    )


def _part_name(place: str, left_out: str) -> str:
    return f"{left_out} Mbit/s" if place == "limit" else f"{place} {left_out}"


def _alarms_card(alarms: Sequence[Alarm]) -> str:
    rows = "".join(
        f"<tr class='{'raised' if alarm.raised else ''}'><td>{_state(alarm)}</td><td>{escape(alarm.name)}</td>"
        f"<td>{escape(alarm.found)}</td><td>{escape(alarm.expected)}</td><td>{escape(alarm.meaning)}</td></tr>"
        for alarm in alarms
    )
    head = "".join(f"<th scope='col'>{each}</th>" for each in ("", "check", "found", "expected", "if it is raised"))
    table = f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    return f"<div class='alarms'>{_card('Leak alarms', table)}</div>"


def _state(alarm: Alarm) -> str:
    return "not computed" if alarm.raised is None else "raised" if alarm.raised else "quiet"


def _card(title: str, content: str) -> str:
    return f"<article><h3>{escape(title)}</h3>{content}</article>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    names = "".join(f"<th scope='col'>{escape(each)}</th>" for each in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.3f}"


def _with_interval(found: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value = "–" if np.isnan(found.value) else f"{found.value:{sign}.3f}"
    return value if np.isnan(found.low) else f"{value} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"


def _footer(fit: Fit) -> str:
    facts = (
        f"data: SHA-256 {fit.data.sha256}",
        f"model: SHA-256 {fit.model.sha256}",
        f"features of a slot: {len(fit.model.slot_features)}",
    )
    return f"<footer><ul>{_items(facts)}</ul></footer>"
