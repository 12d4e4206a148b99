"""The fits of all tasks, one after the other or in several processes. The results do not depend on the number of processes.

Threads would not do: much of the time of a small model is spent in Python, of which one thread runs at a time.
"""

import multiprocessing
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.evaluation import ShowStep, TaskResult, evaluate
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.fitted_task import FittedTask
from qoe_lab.models.folds import TooFewSessionsError
from qoe_lab.models.leak_alarms import Alarm, leak_alarms
from qoe_lab.models.tasks import HEIGHT, SESSION_STALLED, TASKS, ModelTask
from qoe_lab.models.training_examples import SessionSlots, examples_of
from serving.worker_processes import end_with_the_parent

SEED = 1
LONGEST_FIRST = (HEIGHT, SESSION_STALLED)
"""The tasks that take most of the time. If they began last, one process would work on them while the others wait."""
STEP_CHECK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TaskFit:
    """One task that was judged, checked for leaks, and fitted to everything."""

    result: TaskResult
    alarms: tuple[Alarm, ...]
    fitted: FittedTask


def fit_tasks(
    sessions: Sequence[SessionSlots], features: Sequence[str], effort: Effort, *, processes: int, progress: ShowStep
) -> dict[str, TaskFit | str]:
    """The fit of each task by its name, or why there is none."""
    if processes == 1:
        return {task.name: _fit(task, sessions, features, effort, progress) for task in TASKS}
    context = multiprocessing.get_context("spawn")
    steps: Any = context.Queue()
    order = [*LONGEST_FIRST, *(task for task in TASKS if task not in LONGEST_FIRST)]
    with ProcessPoolExecutor(processes, context, initializer=_send_steps_to, initargs=(steps,)) as pool:
        fits = {task.name: pool.submit(_fit_and_report, task, sessions, features, effort) for task in order}
        while wait(fits.values(), timeout=STEP_CHECK_S).not_done:
            for step in _arrived(steps):
                progress(step)
        return {task.name: fits[task.name].result() for task in TASKS}


def _fit(
    task: ModelTask, sessions: Sequence[SessionSlots], features: Sequence[str], effort: Effort, progress: ShowStep
) -> TaskFit | str:
    examples = examples_of(task, sessions, features)
    try:
        result = evaluate(task, examples, effort, SEED, progress)
    except TooFewSessionsError as error:
        return str(error)
    progress(f"{task.code} leak alarms")
    alarms = tuple(leak_alarms(task, examples, result, effort, SEED))
    progress(f"{task.code} model")
    model = fitted(BY_NAME[result.chosen], task, examples, effort, SEED, calibrate=True)
    return TaskFit(result=result, alarms=alarms, fitted=model)


_steps: Any = None
"""In a process that fits: the queue to which it reports its steps."""


def _send_steps_to(steps: Any) -> None:  # noqa: ANN401 - a queue between processes
    end_with_the_parent()
    global _steps  # a queue reaches a process of a pool only while that starts
    _steps = steps


def _fit_and_report(task: ModelTask, sessions: Sequence[SessionSlots], features: Sequence[str], effort: Effort) -> TaskFit | str:
    return _fit(task, sessions, features, effort, _steps.put)


def _arrived(steps: Any) -> Iterator[str]:  # noqa: ANN401 - a queue between processes
    while True:
        try:
            yield steps.get_nowait()
        except queue.Empty:
            return
