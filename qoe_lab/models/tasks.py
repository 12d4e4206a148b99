"""The five tasks: what a model infers from the traffic of a session. docs/lab-models.md explains them."""

from dataclasses import dataclass
from typing import Literal

TaskKind = Literal["classes", "number"]
TaskDecision = Literal["most_probable", "more_than_usual", "best_f1"]
"""Which class is decided on: the most probable one; the one that is more probable than usual, which serves the balanced accuracy;
or the second of two from the probability on that gave the best F1."""
TaskScore = Literal["balanced_accuracy", "average_precision", "accuracy", "mae"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTask:
    """One task. Its examples are slots, or sessions as they are at the end of some of their slots."""

    name: str
    code: str
    title: str
    per: Literal["session", "slot"]
    kind: TaskKind
    score: TaskScore
    """The measure by which the best family is chosen."""
    goal: float | None = None
    """What the best family should reach in `score`."""
    decision: TaskDecision = "most_probable"
    in_logarithm: bool = False
    """The model infers the logarithm, so that bands are relative to the value."""
    after: tuple[str, ...] = ()
    """Features at the end of several slots. The model infers how the logarithm differs from that of the first of them that is
    known: a forest alone would have to learn each time by heart."""
    unit: str = ""


SESSION_STALLED = ModelTask(
    name="session_stalled",
    code="T1",
    title="Has the session stalled?",
    per="session",
    kind="classes",
    score="balanced_accuracy",
    goal=0.90,
    decision="more_than_usual",
)
SLOT_STALLED = ModelTask(
    name="slot_stalled",
    code="T2",
    title="Is playback stalled in this slot?",
    per="slot",
    kind="classes",
    score="average_precision",
    decision="best_f1",
)
HEIGHT = ModelTask(
    name="height", code="T3", title="What is the height of the picture?", per="slot", kind="classes", score="accuracy", goal=0.90
)
STARTUP = ModelTask(
    name="startup",
    code="T4",
    title="How long was the startup?",
    per="session",
    kind="number",
    score="mae",
    goal=0.5,
    in_logarithm=True,
    after=("chunk_1_ms", "elapsed_s"),
    unit="s",
)
MOS = ModelTask(name="mos", code="T5", title="What is the MOS of the session?", per="session", kind="number", score="mae")

LOWEST_MOS, HIGHEST_MOS = 1.0, 5.0

TASKS = (SESSION_STALLED, SLOT_STALLED, HEIGHT, STARTUP, MOS)
NO, YES = "no", "yes"
"""The classes of T1 and T2."""


def higher_is_better(score: TaskScore) -> bool:
    """Whether a larger value of `score` is a better one; not so for errors."""
    return score != "mae"


def needs_calibration(task: ModelTask) -> bool:
    """Whether the score of the task is about decisions that depend on calibrated probabilities."""
    return task.decision == "more_than_usual"
