"""The roles of users. A viewer reads everything and keeps own saved views; a manager also makes changes that others see.

The gate refuses the changes of viewers for all paths, so a new interface is protected without code of its own.
"""

from enum import StrEnum

VIEWS = "/api/v1/views"
"""The saved views of the user who sends the request: the only thing that a viewer may change."""

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class UserRole(StrEnum):
    """`VIEWER` reads. `MANAGER` also changes alert rules, silences, acknowledgements and annotations."""

    VIEWER = "viewer"
    MANAGER = "manager"


def may_send(role: UserRole, method: str, path: str) -> bool:
    """Whether a user with `role` may send a request that the gate has authenticated."""
    return role is UserRole.MANAGER or method in _READING or path == VIEWS or path.startswith(f"{VIEWS}/")
