"""The goals of the models, and the values that the models reached."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qoe_lab.models.evaluation import TaskResult, score_text
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP, higher_is_better

GAIN_OVER_LIMIT = 0.05
CALIBRATION_ERROR = 0.05
TIMES_BASE_RATE = 3.0
COVERAGE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal. `reached` and `wanted` have the same unit."""

    task: str
    title: str
    reached: float
    wanted: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.reached >= self.wanted if self.at_least else self.reached <= self.wanted

    @property
    def missed_by(self) -> float:
        """How much is missing; 0 if the goal is met."""
        return 0.0 if self.met else abs(self.wanted - self.reached)


def goals(results: Mapping[str, TaskResult]) -> list[Goal]:
    """The goals of the tasks that were judged."""
    return [goal for result in results.values() for goal in _goals(result)]


def _goals(result: TaskResult) -> Iterator[Goal]:
    task = result.task
    if task.goal is not None:
        reached = result.best.scores[task.score].value
        yield _goal(result, score_text(task), reached, task.goal, at_least=higher_is_better(task.score))
    if task == SESSION_STALLED:
        yield _goal(result, "gain over the limit alone", result.gain.value, GAIN_OVER_LIMIT, at_least=True)
    if task == SLOT_STALLED:
        base_rate = float(result.truth.mean())
        reached = result.best.scores[task.score].value / base_rate
        yield _goal(result, "PR-AUC as a multiple of the share of stalled slots", reached, TIMES_BASE_RATE, at_least=True)
    if result.calibration is not None and task in (SESSION_STALLED, SLOT_STALLED, HEIGHT):
        yield _goal(result, "calibration error", result.calibration.after["ece"].value, CALIBRATION_ERROR, at_least=False)
    if result.bands is not None and task in (STARTUP, MOS):
        yield _goal(result, "share of sessions inside the band", result.bands.coverage.value, COVERAGE, at_least=True)


def _goal(result: TaskResult, title: str, reached: float, wanted: float, *, at_least: bool) -> Goal:
    return Goal(task=result.task.code, title=title, reached=reached, wanted=wanted, at_least=at_least)
