"""The settings of a `Telemetry`, checked once. Only these checks raise exceptions in an app."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from feedback_wire import routes

_DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """The plain values among the arguments of `Telemetry`; ValueError for an invalid one."""

    urls: Sequence[str]
    """The request URLs in order of preference; see `feedback_urls`."""
    key: str | None = field(repr=False)
    period_s: float
    flush_s: float
    timeout_s: float
    buffer_messages: int

    def __post_init__(self) -> None:
        _check_seconds("period_s", self.period_s, least=0.01)
        _check_seconds("timeout_s", self.timeout_s, least=0.01)
        _check_seconds("flush_s", self.flush_s, least=0)
        if not isinstance(self.buffer_messages, int) or self.buffer_messages < 1:
            raise ValueError(f"buffer_messages is {self.buffer_messages!r}; it needs a whole number of messages, such as 1000")
        if self.key is not None:
            check_key(self.key)


def feedback_urls(urls: str | Sequence[str]) -> list[str]:
    """The request URLs for coordinators given as `https://host[:port][/prefix]`; ValueError for an invalid URL."""
    given = [urls] if isinstance(urls, str) else list(urls or ())
    if not given:
        raise ValueError("no coordinator: Telemetry needs at least one URL, such as https://coordinator.example")
    return [_feedback_url(url) for url in given]


def _feedback_url(url: str) -> str:
    wrong = f"{url!r} is not a coordinator's URL; use one such as https://coordinator.example or http://127.0.0.1:8080"
    if not isinstance(url, str) or not url.isascii() or any(character <= " " for character in url):
        raise ValueError(wrong)
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(wrong) from error
    if not known:
        raise ValueError(wrong)
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a coordinator's URL must not contain a user, query or fragment; give the ingest key as key=")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{routes.FEEDBACK}"


def check_key(key: object) -> None:
    """ValueError for a key that fits no header (RFC 9110 section 5.5). The error does not contain the key: errors get logged."""
    if not (isinstance(key, str) and key.isascii() and key.isprintable() and key == key.strip()):
        raise ValueError(
            "the ingest key contains characters that are not allowed in an HTTP header; remove line ends and spaces around it"
        )


def _check_seconds(name: str, seconds: object, *, least: float) -> None:
    # A day is longer than any useful value, and all timers of Python support it.
    if not isinstance(seconds, int | float) or not least <= seconds <= _DAY_S:
        raise ValueError(f"{name} is {seconds!r}; it needs a number of seconds from {least:g} to {_DAY_S}")
