"""The SDK that an app embeds to report the quality that its viewers get. `Telemetry` creates a `Session` per playback and
sends its messages.

The import starts no thread and opens no file or connection. The SDK logs to the logger `endhost_sdk`, which the app can enable.
"""

import logging

from endhost_sdk.session import Session
from endhost_sdk.stats import Stats
from endhost_sdk.telemetry import Telemetry

__all__ = ["Session", "Stats", "Telemetry"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
