"""Who may come in: a request that brings the key, compared in constant time."""

import hmac

from feedback_wire.problem import Problem
from feedback_wire.routes import bearer


def require(key: str | None, authorization: str | None, *, flag: str) -> None:
    """Problem 401 unless `authorization` bears `key`; without a key (--insecure) everybody may."""
    if key is None:
        return
    if not hmac.compare_digest((authorization or "").encode(), bearer(key).encode()):
        raise Problem(
            401, "unauthorized", f"send the header 'Authorization: Bearer KEY' with the key that the server was given as {flag}"
        )
