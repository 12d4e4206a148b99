"""Who may come in: a request that brings one of the keys, compared in constant time."""

import hmac

from feedback_wire.problem import Problem
from feedback_wire.routes import bearer_key


def require(*keys: str | None, authorization: str | None, flag: str) -> None:
    """Problem 401 unless `authorization` bears one of `keys`; without any key (--insecure) everybody may."""
    given = [key for key in keys if key]
    presented = bearer_key(authorization or "").encode()
    if given and not any(hmac.compare_digest(presented, key.encode()) for key in given):
        raise Problem(
            401, "unauthorized", f"send the header 'Authorization: Bearer KEY' with the key that the server was given as {flag}"
        )
