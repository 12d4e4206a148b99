"""Tokens: secrets that a client sends as `Authorization: Bearer TOKEN` (RFC 6750) and a server compares in constant time."""

import hmac
import re

from feedback_wire.problem import Problem

_TOKEN = re.compile(r"[!-~]+")


def is_token(text: object) -> bool:
    """Whether an Authorization header can hold `text`: visible ASCII characters, no spaces, at least one character."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def check_token(flag: str, token: str | None) -> None:
    """ValueError, without the token in it, if `flag` is set to something that no client can send."""
    if token and not is_token(token):
        raise ValueError(f"{flag} must be made of visible ASCII characters without spaces and line feeds")


def bearer_token(authorization: str) -> str:
    """The token in an Authorization header, "" if it holds none; RFC 9110 (11.1) allows any case for `Bearer`."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def require_token(*accepted: str | None, authorization: str | None, flag: str) -> None:
    """Problem (401) unless `authorization` holds one of the `accepted` tokens, or no accepted token is set.

    `flag` names the option that sets the token; the refusal quotes it.
    """
    known = [token.encode() for token in accepted if token]
    presented = bearer_token(authorization or "").encode()
    if known and not any(hmac.compare_digest(presented, token) for token in known):
        raise Problem(
            401, "unauthorized", f"send the header 'Authorization: Bearer TOKEN' with the token that the server's {flag} sets"
        )
