"""Where a request comes from, as far as a browser says it."""

from urllib.parse import urlsplit


def host_of(origin: str) -> str | None:
    """Host and port of an Origin header, "" for `null`; None if it is none, which Tornado would take for an error of ours."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
