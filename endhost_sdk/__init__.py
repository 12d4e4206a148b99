"""What an app embeds to report what its viewers get: `Telemetry` makes a `Session` for every view, and sends what they say.

Importing it starts no thread and opens nothing. It logs to the logger `endhost_sdk`, which is silent unless the app listens.
"""

import logging

from endhost_sdk.session import Session
from endhost_sdk.stats import Stats
from endhost_sdk.telemetry import Telemetry

__all__ = ["Session", "Stats", "Telemetry"]

logging.getLogger(__name__).addHandler(logging.NullHandler())
