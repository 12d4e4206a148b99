"""A model of the lab: the fitted tasks together, which is what is stored, loaded and applied."""

from collections.abc import Mapping
from dataclasses import dataclass

from qoe_lab.models.fitted_task import FittedTask
from qoe_lab.models.session_features import head_names
from qoe_lab.models.slot_history import slot_names
from qoe_lab.models.tasks import STARTUP, ModelTask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabModel:
    """The fitted tasks by their names. A task that could not be fitted is missing."""

    name: str
    slot_features: tuple[str, ...]
    """The features of a slot, in the order in which they are given to `apply`."""
    tasks: Mapping[str, FittedTask]
    sha256: str = ""
    """Of the stored arrays; empty before the model is stored."""


def names_for(task: ModelTask, slot_features: tuple[str, ...]) -> tuple[str, ...]:
    """The features from which a task is inferred, of models that see all of them."""
    names = slot_names(slot_features)
    return head_names(names) if task == STARTUP else names
