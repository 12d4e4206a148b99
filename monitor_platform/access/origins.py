"""Where a request comes from, as far as a browser says it."""

from urllib.parse import urlsplit


def host_of(origin: str) -> str:
    """Host and port of an Origin header; empty if it names none, as `null` does."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
