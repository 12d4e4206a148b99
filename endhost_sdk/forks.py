"""What begins anew in a forked child.

At the moment of a fork any other thread may hold any of our locks, and in the child that thread does not exist: such a lock is
never released there. So the child waits for none of them; whatever asked for it gets new locks and a new identity instead.
"""

import os
from typing import Protocol
from weakref import WeakSet


class BeginsAnew(Protocol):
    """Something that must not go on in a child as if it were its parent."""

    def begin_anew(self) -> None:
        """Called in the child, before any other code of the app; must not wait for a lock that was there before."""


_living: WeakSet[BeginsAnew] = WeakSet()


def begins_anew_in_children(living: BeginsAnew) -> None:
    """Have `living.begin_anew()` called in every forked child, as long as somebody else still refers to `living`."""
    _living.add(living)


def _begin_anew() -> None:
    for living in list(_living):
        living.begin_anew()


if hasattr(os, "register_at_fork"):  # a platform without fork needs none of this
    os.register_at_fork(after_in_child=_begin_anew)
