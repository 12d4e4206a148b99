"""The Origin header of browsers."""

from urllib.parse import urlsplit


def host_of(origin: str) -> str | None:
    """Host and port of an Origin header; "" for `null`; None for an invalid one, for which Tornado would raise an error."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
