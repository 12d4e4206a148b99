"""The trainings of the QoE lab for scripts and for the page. The platform passes requests on to the lab, with its own token."""

from collections.abc import Mapping
from heapq import nsmallest
from typing import Any, cast

from tornado.web import RequestHandler

from feedback_wire.trainings import SessionProgress, SessionStatus, TrainingProgress
from monitor_platform.access.login import check_origin
from monitor_platform.api.changes import json_object
from monitor_platform.api.responses import answer_with, answer_with_json
from monitor_platform.api.script_request import bad_parameter
from monitor_platform.api.table_handler import CSV
from monitor_platform.api.training_rows import attempts_csv, trainings_csv
from monitor_platform.lab_server import LabServer, TrainingAction

TRAININGS = "/api/v1/trainings"
TRAINING = "/api/v1/trainings/([A-Za-z0-9][A-Za-z0-9._-]{0,63})"
TRAINING_ACTION = f"{TRAINING}/(pause|resume|cancel)"


STATUSES = ("", *(str(int(status)) for status in SessionStatus))

FORMATS = ("json", "csv")
MOST_ATTEMPTS = 500
"""Attempts in an answer as JSON, the newest first; a CSV has all. A page asks again every few seconds, and a training has up to
100,000 sessions."""


class TrainingHandler(RequestHandler):
    """What the handlers below share."""

    def initialize(self, lab: LabServer) -> None:
        self.lab = lab

    def wants_csv(self) -> bool:
        """Whether the request asks for `format=csv`. Another format is JSON, or refused by `check_format`."""
        return self.get_query_arguments("format") == ["csv"]

    def check_format(self) -> None:
        """Problem (400) for a format that does not exist."""
        if (wanted := self.get_query_arguments("format")) not in ([], ["json"], ["csv"]):
            raise bad_parameter(f"'format' is {wanted[0][:40]!r}; it needs one of {', '.join(FORMATS)}, once")


class TrainingsHandler(TrainingHandler):
    """GET and POST /api/v1/trainings"""

    async def get(self) -> None:
        if self.wants_csv():
            await answer_with(self, CSV, self._csv())
        else:
            await answer_with_json(self, self._trainings())

    async def post(self) -> None:
        await answer_with_json(self, self._begin())

    async def _trainings(self) -> dict[str, Any]:
        self.check_format()
        return {"trainings": [each.to_json() for each in await self.lab.trainings()]}

    async def _csv(self) -> str:
        return trainings_csv(await self.lab.trainings())

    async def _begin(self) -> dict[str, Any]:
        settings: Mapping[str, Any] = json_object(self)
        return (await self.lab.begin(settings)).to_json()


class OneTrainingHandler(TrainingHandler):
    """GET /api/v1/trainings/NAME?status=2&format=csv"""

    async def get(self, name: str) -> None:
        if self.wants_csv():
            await answer_with(self, CSV, self._csv(name))
        else:
            await answer_with_json(self, self._training(name))

    async def _csv(self, name: str) -> str:
        _, chosen = await self._chosen(name)
        return attempts_csv(chosen)

    async def _training(self, name: str) -> dict[str, Any]:
        self.check_format()
        training, chosen = await self._chosen(name)
        shown = nsmallest(MOST_ATTEMPTS, chosen, key=lambda each: (-(each.changed_ms or 0), each.number))
        return training.to_json() | {"sessions": [each.to_json() for each in shown], "attempts": len(chosen)}

    async def _chosen(self, name: str) -> tuple[TrainingProgress, list[SessionProgress]]:
        """The training, and its attempts with the status that the request asks for."""
        status = self.get_query_argument("status", "")
        if status not in STATUSES:
            raise bad_parameter(f"'status' is {status[:40]!r}; it needs one of {', '.join(STATUSES[1:])}")
        training, sessions = await self.lab.training(name)
        return training, [each for each in sessions if status in ("", str(int(each.status)))]


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
