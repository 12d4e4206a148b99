"""A task's fitted model with what makes its outputs usable: calibration of probabilities, and the band of a number. NumPy only."""

from dataclasses import dataclass

import numpy as np

from qoe_lab.models.calibration import ProbabilityCalibration
from qoe_lab.models.examples import Floats
from qoe_lab.models.known_before import known_before
from qoe_lab.models.plain_models import ConstantModel, PlainModel
from qoe_lab.models.tasks import ModelTask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedTask:
    """How one task is inferred from the features `names`, in their order."""

    task: ModelTask
    family: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    model: PlainModel
    calibration: ProbabilityCalibration | None = None
    usual: Floats | None = None
    """For each class, the probability that it must exceed; None if the task decides for the most probable class.

    The sum is 1, so exactly one of two classes exceeds its own.
    """
    half_width: float | None = None
    """Of the band around a number, as the model infers it; None if too few sessions were judged."""

    def outputs(self, x: Floats) -> Floats:
        """The outputs of the model: one row per example; probabilities are not calibrated."""
        outputs = self.model.predict(x)
        if isinstance(self.model, ConstantModel):  # which knows nothing of the traffic
            return outputs
        return outputs + known_before(self.task, self.names, x)[:, None] if self.task.after else outputs

    def calibrated(self, outputs: Floats) -> Floats:
        """The outputs as calibrated probabilities."""
        return self.calibration.applied(outputs) if self.calibration is not None else outputs

    def levelled(self, outputs: Floats) -> Floats:
        """The outputs, divided so that the class to decide for has the largest one."""
        if self.usual is None:
            return outputs
        lifted = self.calibrated(outputs) / self.usual
        levelled: Floats = lifted / lifted.sum(axis=1, keepdims=True)
        return levelled

    def bounds(self, inferred: Floats) -> tuple[Floats, Floats]:
        """The lower and upper end of the band around each inferred number, in units; infinite without a band."""
        width = np.inf if self.half_width is None else self.half_width
        return in_units(self.task, inferred - width), in_units(self.task, inferred + width)


def in_units(task: ModelTask, values: Floats) -> Floats:
    """Numbers as they are shown, of numbers as models infer them. Probabilities are unchanged."""
    return np.exp(values) if task.in_logarithm else values
