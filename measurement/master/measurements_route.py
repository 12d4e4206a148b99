"""The address to which the master sends its measurements."""

from endhost_sdk.telemetry_settings import feedback_urls
from feedback_wire.routes import FEEDBACK, MEASUREMENTS


def measurements_url(coordinator: str) -> str:
    """The route for measurements of a coordinator, given as `https://host[:port][/prefix]`; ValueError for an invalid URL."""
    [url] = feedback_urls(coordinator)
    return url.removesuffix(FEEDBACK) + MEASUREMENTS
