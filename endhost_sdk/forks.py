"""Resets objects in a forked child process.

At the time of a fork, other threads can hold locks of the SDK. These threads do not exist in the child, so their locks are never
released there. The child therefore waits for none of them: each registered object gets new locks and a new identity.
"""

import os
from typing import Protocol
from weakref import WeakSet


class ResetsAfterFork(Protocol):
    """An object whose state must not be inherited by a forked child."""

    def reset_after_fork(self) -> None:
        """Called in the child before other code of the app runs. It must not wait for an existing lock."""


_instances: WeakSet[ResetsAfterFork] = WeakSet()


def resets_after_fork(instance: ResetsAfterFork) -> None:
    """Call `instance.reset_after_fork()` in each forked child, as long as other references to `instance` exist."""
    _instances.add(instance)


def _reset_all() -> None:
    for instance in list(_instances):
        instance.reset_after_fork()


if hasattr(os, "register_at_fork"):  # not available on platforms without fork
    os.register_at_fork(after_in_child=_reset_all)
