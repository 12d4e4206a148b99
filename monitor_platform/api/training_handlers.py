"""The trainings of the QoE lab for scripts and for the page. The platform passes requests on to the lab, with its own token."""

from collections.abc import Mapping
from typing import Any, cast

from tornado.web import RequestHandler

from monitor_platform.access.login import check_origin
from monitor_platform.api.changes import json_object
from monitor_platform.api.responses import answer_with_json
from monitor_platform.lab_server import LabServer, TrainingAction

TRAININGS = "/api/v1/trainings"
TRAINING = "/api/v1/trainings/([A-Za-z0-9][A-Za-z0-9._-]{0,63})"
TRAINING_ACTION = f"{TRAINING}/(pause|resume|cancel)"


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
    """GET /api/v1/trainings/NAME"""

    async def get(self, name: str) -> None:
        await answer_with_json(self, self._training(name))

    async def _training(self, name: str) -> dict[str, Any]:
        training, sessions = await self.lab.training(name)
        return training.to_json() | {"sessions": [each.to_json() for each in sessions]}


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
