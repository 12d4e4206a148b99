"""Waiting for a condition: poll until it holds, and fail at a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str = "", *, within_s: float = 60.0, every_s: float = 0.05) -> T:
    """Call `condition` until it returns something true, and return that; fail after `within_s`.

    The first pauses are short, so a condition that holds soon costs little; later ones last `every_s`.
    """
    deadline = time.monotonic() + within_s
    pause_s = min(0.005, every_s)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__name__", repr(condition))
            pytest.fail(f"not within {within_s} s: {name}; last value {value!r}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, every_s)
