"""Fit all tasks to the sessions of trainings: judge every family, choose the best, look for leaks, and fit the choice to
everything."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qoe_lab.models.evaluation import ShowStep, TaskResult
from qoe_lab.models.families import Effort
from qoe_lab.models.folds import TooFewSessionsError
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.leak_alarms import Alarm
from qoe_lab.models.task_fits import TaskFit, fit_tasks
from qoe_lab.models.training_examples import SessionSlots


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
    processes: int = 1,
    progress: ShowStep = lambda _: None,
) -> Fit:
    """Fit every task that the sessions permit. TooFewSessionsError if they permit none."""
    found = fit_tasks(sessions, features, effort, processes=processes, progress=progress)
    done = {task: each for task, each in found.items() if isinstance(each, TaskFit)}
    not_fitted = {task: each for task, each in found.items() if isinstance(each, str)}
    if not done:
        raise TooFewSessionsError(f"no task can be fitted: {'; '.join(sorted(set(not_fitted.values())))}")
    return Fit(
        model=LabModel(name=name, slot_features=tuple(features), tasks={task: each.fitted for task, each in done.items()}),
        data=fitted_data(sessions),
        results={task: each.result for task, each in done.items()},
        alarms={task: each.alarms for task, each in done.items()},
        not_fitted=not_fitted,
    )


def fitted_data(sessions: Sequence[SessionSlots]) -> FittedData:
    """The same for the same sessions in any order."""
    digest = hashlib.sha256()
    for each in sorted(sessions, key=lambda session: session.session_id):
        digest.update(each.session_id.encode())
        for part in (each.x, each.stalled_ms, each.heights):
            digest.update(part.tobytes())
        digest.update(f"{each.limit_mbps!r} {each.startup_s!r} {each.mos!r} {each.length!r}".encode())
    return FittedData(
        trainings=tuple(sorted({each.places["training"] for each in sessions})),
        sessions=len(sessions),
        slots=sum(len(each.x) for each in sessions),
        limits_mbps=tuple(sorted({each.limit_mbps for each in sessions})),
        clients=tuple(sorted({each.places["client"] for each in sessions})),
        sha256=digest.hexdigest(),
    )
