"""Conformal bands: an interval around an inferred number that holds the true one in nine of ten sessions.

The half width is the error that the model had in nine of ten sessions that it was not fitted to. Nothing is assumed about how
errors are distributed, but new sessions must come from where these sessions came from: a band of the lab promises nothing about
the field.
"""

import numpy as np

from qoe_lab.models.examples import Floats

COVERAGE = 0.9


def half_width(truth: Floats, inferred: Floats) -> float:
    """The half width of the band from the errors in sessions that the model was not fitted to. Infinite if they are too few."""
    errors = np.sort(np.abs(truth - inferred))
    # One more than the share: the new session is one of n + 1 that could have the largest error.
    rank = int(np.ceil((len(errors) + 1) * COVERAGE))
    return float(errors[rank - 1]) if rank <= len(errors) else np.inf


def covered(truth: Floats, inferred: Floats, width: float) -> float:
    """The share of the sessions whose truth lies in the band."""
    return float(np.mean(np.abs(truth - inferred) <= width)) if len(truth) else np.nan
