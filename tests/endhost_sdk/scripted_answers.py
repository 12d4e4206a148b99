"""Answers of coordinators and other servers, for the scripts of `LoopbackCoordinator` and `RecordingTransport`."""

import json

from endhost_sdk.testing import Answer
from feedback_wire import routes
from feedback_wire.problem import Problem

PROBLEM_TYPE = {"Content-Type": routes.PROBLEM}
HTML = b"<!DOCTYPE html><html><body>blocked</body></html>"


def problem(status: int, reason: str, detail: str = "mend it") -> tuple[int, dict[str, str], bytes]:
    """A coordinator's refusal of a whole request."""
    return status, PROBLEM_TYPE, Problem(status, reason, detail).body()


def refused(*reasons: str, detail: str = "bad") -> tuple[int, dict[str, str], bytes]:
    """A coordinator's answer to a batch of which it accepts no message."""
    content = Problem(400, "all_refused", "refused says why").to_json()
    content["refused"] = [{"index": index, "reason": reason, "detail": detail} for index, reason in enumerate(reasons)]
    return 400, PROBLEM_TYPE, json.dumps(content).encode()


def as_answer(scripted: tuple[int, dict[str, str], bytes]) -> Answer:
    status, headers, body = scripted
    return Answer(status=status, content_type=headers.get("Content-Type", ""), body=body)
