"""The routes of the server of trainings. Answers are read from the folders, so trainings of the command line are there too."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from feedback_wire import routes
from feedback_wire.problem import Problem
from feedback_wire.trainings import TrainingProgress, TrainingSettings, TrainingState
from qoe_lab.running.environment import environment
from qoe_lab.running.kernel_offer import kernel_offer, why_no_sessions
from qoe_lab.running.rate_trace import trace_names
from qoe_lab.running.session_processes import check_reachable
from qoe_lab.running.session_queue import SessionQueue
from qoe_lab.running.settings import Settings
from qoe_lab.running.started_trainings import CannotRunError, StartedTrainings
from qoe_lab.running.training_folder import (
    NoTrainingError,
    TrainingExistsError,
    TrainingFolder,
    create_training,
    find_trainings,
    open_training_folder,
)
from serving.tokens import require_token

REQUEST_BYTES = 64 * 1024


@dataclass(slots=True, kw_only=True)
class TrainingsApi:
    """/v1/trainings."""

    settings: Settings
    started: StartedTrainings
    refused: Counter[str] = field(default_factory=Counter)
    """Refused requests, by reason."""
    unreadable: int = 0
    """Folders whose training could not be read at the last look."""
    _changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One start or resumption at a time, so that --most-running holds."""

    def trusted(self, handler: "Callable[[Request], Awaitable[Response]]") -> "Callable[[Request], Awaitable[Response]]":
        """The handler, for clients with the token."""

        async def checked(request: Request) -> Response:
            require_token(self.settings.token, authorization=request.headers.get("authorization"), flag="--token")
            return await handler(request)

        return checked

    async def trainings(self, _request: Request) -> Response:
        """GET /v1/trainings: all trainings, the newest first."""
        return _json({"trainings": [each.to_json() for each in await asyncio.to_thread(self.progress)]})

    def progress(self) -> list[TrainingProgress]:
        """Of every readable training."""
        trainings, unreadable = find_trainings(self.settings.data)
        found = []
        for training in trainings:
            try:
                found.append(training.progress())
            except (OSError, ValueError) as error:
                unreadable.append(str(error))
        self.unreadable = len(unreadable)
        return found

    async def start(self, request: Request) -> Response:
        """POST /v1/trainings: make a training, and run it."""
        try:
            settings = TrainingSettings.from_json(json.loads(await _body(request)))
            for source in settings.sources:
                check_reachable(source)
            if settings.trace not in {None, *trace_names()}:  # a client must not make the server read other files
                raise ValueError(f"trace {settings.trace!r} is unknown; use one of {', '.join(trace_names())}")
        except (ValueError, RecursionError) as error:
            raise Problem(400, "invalid_request", str(error)) from None
        async with self._changing:
            await self._check_room()
            training = await asyncio.to_thread(self._create, settings)
            await self._run(training)
        return await self._progress_answer(training, 201)

    def _create(self, settings: TrainingSettings) -> TrainingFolder:
        try:
            offer = kernel_offer()
            why = why_no_sessions(offer)
            if why is not None:
                raise Problem(503, "cannot_run", why)
            return create_training(self.settings.data / settings.name, settings, environment(settings.congestion_control, offer))
        except TrainingExistsError:
            raise Problem(409, "name_taken", f"there is a training {settings.name!r}; choose another name") from None
        except OSError as error:
            raise Problem(503, "cannot_run", f"the folder of the training cannot be made: {error.strerror}") from None

    async def show(self, request: Request) -> Response:
        """GET /v1/trainings/NAME: one training with its sessions."""
        training = self._named(request)
        queue = await asyncio.to_thread(_queue, training)
        progress = training.progress_of(queue, running=training.is_running())
        return _json(progress.to_json() | {"sessions": [each.to_json() for each in queue.sessions()]})

    async def pause(self, request: Request) -> Response:
        """POST /v1/trainings/NAME/pause."""
        training = self._named(request)
        _require(training, {TrainingState.RUNNING}, "paused")
        training.request_pause()
        return await self._progress_answer(training)

    async def resume(self, request: Request) -> Response:
        """POST /v1/trainings/NAME/resume."""
        training = self._named(request)
        async with self._changing:
            _require(training, {TrainingState.PAUSED}, "resumed")
            await self._check_room()
            await self._run(training)
        return await self._progress_answer(training)

    async def cancel(self, request: Request) -> Response:
        """POST /v1/trainings/NAME/cancel."""
        training = self._named(request)
        _require(training, {TrainingState.RUNNING, TrainingState.PAUSED}, "cancelled")
        training.request_cancel()
        return await self._progress_answer(training)

    async def _run(self, training: TrainingFolder) -> None:
        training.withdraw_pause()
        try:
            await self.started.start(training)
        except CannotRunError as error:
            raise Problem(503, "cannot_run", str(error)) from None

    async def _check_room(self) -> None:
        running = sum(each.state is TrainingState.RUNNING for each in await asyncio.to_thread(self.progress))
        if running >= self.settings.most_running:
            detail = f"{running} trainings run, and --most-running is {self.settings.most_running}; pause one, or wait for its end"
            raise Problem(409, "trainings_running", detail)

    def _named(self, request: Request) -> TrainingFolder:
        name = request.path_params["name"]
        if name in {".", ".."} or "\0" in name:
            raise _no_such(name)
        try:
            return open_training_folder(self.settings.data / name)
        except (NoTrainingError, OSError):
            raise _no_such(name) from None

    @staticmethod
    async def _progress_answer(training: TrainingFolder, status: int = 200) -> Response:
        queue = await asyncio.to_thread(_queue, training)
        return _json(training.progress_of(queue, running=training.is_running()).to_json(), status)


def _queue(training: TrainingFolder) -> SessionQueue:
    try:
        return training.queue()
    except (OSError, ValueError) as error:
        raise Problem(503, "training_damaged", str(error)) from None


def _require(training: TrainingFolder, states: set[TrainingState], what: str) -> None:
    state = training.progress_of(_queue(training), running=training.is_running()).state
    if state not in states:
        raise Problem(409, "wrong_state", f"the training is {state.value}, so it cannot be {what}")


def _no_such(name: str) -> Problem:
    return Problem(404, "no_such_training", f"there is no training {name!r}; GET {routes.TRAININGS} lists all")


def _json(value: Any, status: int = 200) -> Response:  # noqa: ANN401 - any JSON value
    return Response(json.dumps(value, ensure_ascii=False).encode(), status, media_type=routes.JSON)


async def _body(request: Request) -> bytes:
    """The body; Problem 413 if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > REQUEST_BYTES:
            raise Problem(413, "request_too_large", f"a request on this route has at most {REQUEST_BYTES} bytes")
    return bytes(body)
