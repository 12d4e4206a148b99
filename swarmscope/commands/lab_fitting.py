"""`swarmscope lab fit`: models from the data sets of trainings."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
from rich.console import Console
from rich.table import Table

from qoe_lab.models.evaluation import ShowStep, TaskResult, score_text
from qoe_lab.models.families import Effort
from qoe_lab.models.folds import TooFewSessionsError
from qoe_lab.models.goals import goals
from qoe_lab.models.intervals import Estimate
from qoe_lab.models.model_fitting import Fit
from qoe_lab.models.model_fitting import fit as fit_models
from qoe_lab.models.report_page import report_page
from qoe_lab.models.storage import store
from qoe_lab.models.tasks import TASKS
from qoe_lab.models.training_examples import SessionSlots
from qoe_lab.models.training_tables import FEATURES, read_sessions
from swarmscope.commands import exit_on, exit_on_usage_error
from swarmscope.commands.lab_trainings import DATA
from swarmscope.output.escaping import plain

REPORT = "report.html"
QUICK = Effort(trees=20, rounds=20, folds=3, resamples=100, shuffles=3)


def fit(training: str, /, *trainings: str, data: Path = DATA, out: Path | None = None, quick: bool = False) -> int:
    """Fit models to trainings, and write a report. Returns the exit code.

    Parameters
    ----------
    training
        Name of a training, or path of its folder. It must have been exported.
    trainings
        Further trainings. With several, the report also shows how the models do on a training that they were not fitted to.
    data
        Folder with the folders of the trainings.
    out
        Folder for the model and the report. The default is the folder named `model` in the folder of the first training.
    quick
        Fit small models with fewer folds and resamples, for a first look. Scores are lower, and intervals are rough.
    """
    paths = [Path(each) if Path(each).exists() else data / each for each in (training, *trainings)]
    folder = out or paths[0] / "model"
    try:
        sessions = read_sessions(paths)
    except (OSError, ValueError) as error:
        exit_on_usage_error(error)
    name = "+".join(sorted({each.places["training"] for each in sessions}))
    screen = _Screen()
    try:
        done = _fit(name, sessions, quick=quick, progress=screen.show)
    except TooFewSessionsError as error:
        print(f"swarmscope lab fit: {plain(str(error))}", file=sys.stderr)
        return 1
    finally:
        screen.close()
    try:
        stored = _stored(done, folder)
    except OSError as error:
        exit_on(error)
    _print(stored, folder)
    return 0


def _fit(name: str, sessions: list[SessionSlots], *, quick: bool, progress: ShowStep) -> Fit:
    if quick:
        # Further processes would take longer to start than to fit.
        return fit_models(name, sessions, FEATURES, effort=QUICK, progress=progress)
    processes = min(len(TASKS), len(os.sched_getaffinity(0)))
    return fit_models(name, sessions, FEATURES, effort=Effort(), processes=processes, progress=progress)


class _Screen:
    """Shows on a terminal what is being fitted, and a line per task on standard error otherwise."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status = self._console.status("fit")
        self._began_s = time.monotonic()
        self._tasks: set[str] = set()
        if self._console.is_terminal:
            self._status.start()

    def show(self, step: str) -> None:
        """`step` begins with the code of the task."""
        took = f"{time.monotonic() - self._began_s:.0f} s"
        if self._console.is_terminal:
            self._status.update(f"{step} ({took})")
        elif (task := step.split()[0]) not in self._tasks:
            self._tasks.add(task)
            print(f"{task} is being fitted ({took})", file=sys.stderr)

    def close(self) -> None:
        self._status.stop()


def _stored(done: Fit, folder: Path) -> Fit:
    made = datetime.now(UTC)
    model = store(folder, done.model, _card(done, made))
    stored = Fit(model=model, data=done.data, results=done.results, alarms=done.alarms, not_fitted=done.not_fitted)
    page = report_page(stored, version=version("swarmscope"), made=made.strftime("%Y-%m-%d %H:%M UTC"))
    (folder / REPORT).write_text(page, encoding="utf-8")
    return stored


def _card(done: Fit, made: datetime) -> dict[str, Any]:
    versions = {"swarmscope": version("swarmscope"), "numpy": np.__version__, "scipy": scipy.__version__}
    return {
        "fitted": made.isoformat(timespec="seconds"),
        "versions": versions | {"scikit-learn": sklearn.__version__},
        "data": asdict(done.data),
        "not_fitted": dict(done.not_fitted),
        "goals": [{**asdict(goal), "met": bool(goal.met)} for goal in goals(done.results)],
        "tasks": {name: _task_card(result, done) for name, result in done.results.items()},
    }


def _task_card(result: TaskResult, done: Fit) -> dict[str, Any]:
    scores = {
        each.family: {name: _estimate(estimate) for name, estimate in each.scores.items()} for each in result.families.values()
    }
    return {
        "judged_by": result.task.score,
        "scores": scores,
        "corrected": _number(result.corrected),
        "gain_over_limit_alone": _estimate(result.gain),
        "after_calibration": {} if result.calibration is None else _estimates(result.calibration.after),
        "band_coverage": None if result.bands is None else _estimate(result.bands.coverage),
        "places": {
            place.place: place.why_not or {"score": _number(place.score), "limit_alone": _number(place.limit_alone)}
            for place in result.places
        },
        "alarms": [asdict(alarm) for alarm in done.alarms[result.task.name]],
    }


def _estimates(found: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: _estimate(each) for name, each in found.items()}


def _estimate(found: Estimate) -> dict[str, float | None]:
    return {"value": _number(found.value), "low": _number(found.low), "high": _number(found.high)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _print(done: Fit, folder: Path) -> None:
    console = Console(highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for column in ("task", "best family", "score", "95 % interval", "limit alone"):
        table.add_column(column, justify="left" if column in ("task", "best family") else "right")
    for result in done.results.values():
        score = result.best.scores[result.task.score]
        alone = result.families["limit_alone"].scores[result.task.score].value
        table.add_row(
            f"{result.task.code} {score_text(result.task)}",
            result.best.title.lower(),
            f"{score.value:.3f}",
            f"{score.low:.3f} to {score.high:.3f}",
            f"{alone:.3f}",
        )
    console.print(table)
    for goal in goals(done.results):
        if not goal.met:
            bound = "at least" if goal.at_least else "at most"
            console.print(f"missed: {goal.task} {goal.title} is {goal.reached:.3f}; the goal is {bound} {goal.wanted:g}")
    for name, alarms in done.alarms.items():
        for alarm in alarms:
            if alarm.raised:
                code = done.results[name].task.code
                console.print(f"alarm: {code} {alarm.name}: {alarm.found}; expected {alarm.expected} ({alarm.meaning})")
    for name, why in done.not_fitted.items():
        console.print(f"not fitted: {name}, because {why}")
    console.print(f"the model and {REPORT} are in {folder}")
