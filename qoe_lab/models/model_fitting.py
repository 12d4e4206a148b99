"""Fit all tasks to the sessions of trainings: judge every family, choose the best, look for leaks, and fit the choice to
everything."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.evaluation import ShowStep, TaskResult, evaluate
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.folds import TooFewSessionsError
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.leak_alarms import Alarm, leak_alarms
from qoe_lab.models.tasks import TASKS
from qoe_lab.models.training_examples import SessionSlots, examples_of

SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedData:
    """What a model was fitted to."""

    trainings: tuple[str, ...]
    sessions: int
    slots: int
    limits_mbps: tuple[float, ...]
    clients: tuple[str, ...]
    sha256: str
    """Of the features and the truth of all sessions, whatever file they came from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """A fitted model with how it was judged."""

    model: LabModel
    data: FittedData
    results: Mapping[str, TaskResult]
    """By the name of the task."""
    alarms: Mapping[str, tuple[Alarm, ...]]
    not_fitted: Mapping[str, str]
    """Why a task could not be fitted, by its name."""


def fit(
    name: str,
    sessions: Sequence[SessionSlots],
    features: Sequence[str],
    *,
    effort: Effort,
    progress: ShowStep = lambda _: None,
) -> Fit:
    """Fit every task that the sessions permit. TooFewSessionsError if they permit none."""
    results: dict[str, TaskResult] = {}
    alarms: dict[str, tuple[Alarm, ...]] = {}
    not_fitted: dict[str, str] = {}
    tasks = {}
    for task in TASKS:
        examples = examples_of(task, sessions, features)
        try:
            results[task.name] = evaluate(task, examples, effort, SEED, progress)
        except TooFewSessionsError as error:
            not_fitted[task.name] = str(error)
            continue
        progress(f"{task.code} leak alarms")
        alarms[task.name] = tuple(leak_alarms(task, examples, results[task.name], effort, SEED))
        progress(f"{task.code} model")
        tasks[task.name] = fitted(BY_NAME[results[task.name].chosen], task, examples, effort, SEED, calibrate=True)
    if not tasks:
        raise TooFewSessionsError(f"no task can be fitted: {'; '.join(sorted(set(not_fitted.values())))}")
    model = LabModel(name=name, slot_features=tuple(features), tasks=tasks)
    return Fit(model=model, data=_data(sessions), results=results, alarms=alarms, not_fitted=not_fitted)


def _data(sessions: Sequence[SessionSlots]) -> FittedData:
    digest = hashlib.sha256()
    for each in sorted(sessions, key=lambda session: session.session_id):
        digest.update(each.session_id.encode())
        for part in (each.x, each.stalled_ms, each.heights):
            digest.update(part.tobytes())
        digest.update(f"{each.limit_mbps!r} {each.startup_s!r} {each.mos!r}".encode())
    return FittedData(
        trainings=tuple(sorted({each.places["training"] for each in sessions})),
        sessions=len(sessions),
        slots=sum(len(each.x) for each in sessions),
        limits_mbps=tuple(sorted({each.limit_mbps for each in sessions})),
        clients=tuple(sorted({each.places["client"] for each in sessions})),
        sha256=digest.hexdigest(),
    )
