"""How fast this machine is at this moment, for bounds in processor time that hold on any machine."""

import time

REFERENCE_S = 0.012
"""What the loop below takes on the idle machine on which the bounds are set."""


def slowness() -> float:
    """How many times as long as on the reference machine a computation takes here; at least 1. Load makes it larger, too."""
    return max(1.0, min(_loop_s() for _ in range(3)) / REFERENCE_S)


def _loop_s() -> float:
    began = time.thread_time()
    sum(range(1_000_000))
    return time.thread_time() - began
