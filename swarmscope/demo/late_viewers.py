"""Marks on the dashboard that simulated viewers report late, because a slow machine looks like an audience that leaves."""

import json
import urllib.request
from contextlib import suppress
from http.client import HTTPException

from feedback_wire import routes
from swarmscope.demo.pipeline_status import ANSWERS_WITHIN_S

TEXT = "simulated viewers report late: this machine is too slow"


def mark_late_viewers(monitor_url: str) -> None:
    """Add an annotation to the timelines. A platform that is too busy to answer has none; the terminal shows the warning."""
    body = json.dumps({"text": TEXT}).encode()
    request = urllib.request.Request(monitor_url + routes.ANNOTATIONS, body, {"Content-Type": routes.JSON})  # noqa: S310 - our own server
    with suppress(OSError, HTTPException):
        urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S).close()  # noqa: S310
