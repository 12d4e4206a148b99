"""What is known about a number before a model infers it, so that the model only infers the difference. NumPy only.

The first picture comes soon after the first chunk has arrived. A forest knows only the times that it was fitted to, and would be
wrong by seconds for a long startup, although the packets show it.
"""

from collections.abc import Sequence

import numpy as np

from qoe_lab.models.examples import Floats
from qoe_lab.models.tasks import ModelTask

LEAST_S = 0.01


def known_before(task: ModelTask, names: Sequence[str], x: Floats) -> Floats:
    """The logarithm of the first of `task.after` that is known, in seconds, for each row of `x`; 0 where none is."""
    found = np.full(len(x), np.nan)
    for feature in task.after:
        columns = [place for place, name in enumerate(names) if name.startswith(f"{feature}_at_")]
        if columns:
            latest = np.where(np.isnan(x[:, columns]), -np.inf, x[:, columns]).max(axis=1)
            seconds = latest / 1000 if feature.endswith("_ms") else latest
            known = np.isnan(found) & np.isfinite(seconds)
            found[known] = np.log(np.maximum(seconds[known], LEAST_S))
    logarithms: Floats = np.where(np.isnan(found), 0.0, found)
    return logarithms
