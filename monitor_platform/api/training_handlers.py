"""The trainings of the QoE lab for scripts and for the page. The platform passes requests on to the lab, with its own token."""

from collections.abc import Mapping
from heapq import nsmallest
from typing import Any, cast

from tornado.web import RequestHandler

from feedback_wire.trainings import SessionStatus
from monitor_platform.access.login import check_origin
from monitor_platform.api.changes import json_object
from monitor_platform.api.responses import answer_with_json
from monitor_platform.api.script_request import bad_parameter
from monitor_platform.lab_server import LabServer, TrainingAction

TRAININGS = "/api/v1/trainings"
TRAINING = "/api/v1/trainings/([A-Za-z0-9][A-Za-z0-9._-]{0,63})"
TRAINING_ACTION = f"{TRAINING}/(pause|resume|cancel)"


STATUSES = ("", *(str(int(status)) for status in SessionStatus))

MOST_ATTEMPTS = 500
"""Attempts in an answer, the newest first. A page asks again every few seconds, and a training has up to 100,000 sessions."""


class TrainingHandler(RequestHandler):
    """What the handlers below share."""

    def initialize(self, lab: LabServer) -> None:
        self.lab = lab


class TrainingsHandler(TrainingHandler):
    """GET and POST /api/v1/trainings"""

    async def get(self) -> None:
        await answer_with_json(self, self._trainings())

    async def post(self) -> None:
        await answer_with_json(self, self._begin())

    async def _trainings(self) -> dict[str, Any]:
        return {"trainings": [each.to_json() for each in await self.lab.trainings()]}

    async def _begin(self) -> dict[str, Any]:
        settings: Mapping[str, Any] = json_object(self)
        return (await self.lab.begin(settings)).to_json()


class OneTrainingHandler(TrainingHandler):
    """GET /api/v1/trainings/NAME?status=2"""

    async def get(self, name: str) -> None:
        await answer_with_json(self, self._training(name))

    async def _training(self, name: str) -> dict[str, Any]:
        status = self.get_query_argument("status", "")
        if status not in STATUSES:
            raise bad_parameter(f"'status' is {status[:40]!r}; it needs one of {', '.join(STATUSES[1:])}")
        training, sessions = await self.lab.training(name)
        chosen = [each for each in sessions if status in ("", str(int(each.status)))]
        shown = nsmallest(MOST_ATTEMPTS, chosen, key=lambda each: (-(each.changed_ms or 0), each.number))
        return training.to_json() | {"sessions": [each.to_json() for each in shown], "attempts": len(chosen)}


class TrainingActionHandler(TrainingHandler):
    """POST /api/v1/trainings/NAME/pause, /resume and /cancel"""

    async def post(self, name: str, action: str) -> None:
        await answer_with_json(self, self._act(name, action))

    async def _act(self, name: str, action: str) -> dict[str, Any]:
        check_origin(self)
        return (await self.lab.act(name, cast("TrainingAction", action))).to_json()


ROUTES: tuple[tuple[str, type[TrainingHandler]], ...] = (
    (TRAININGS, TrainingsHandler),
    (TRAINING, OneTrainingHandler),
    (TRAINING_ACTION, TrainingActionHandler),
)
