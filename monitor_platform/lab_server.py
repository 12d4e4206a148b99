"""HTTP client of `swarmscope lab serve`, the server of trainings. It does not trust the server: every answer is checked.

A refusal of the server is passed on to the user. Everything else that is no answer of a lab is a `Problem` of this platform.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson
from yarl import URL

from feedback_wire import routes
from feedback_wire.problem import Problem, is_problem
from feedback_wire.trainings import SessionProgress, TrainingProgress
from serving.tls import Tls

ANSWER_BYTES = 64 * 2**20
"""A training has at most 100,000 sessions, each with some attempts."""

TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=5)
PASSED_ON = (400, 404, 409, 503)
"""Refusals that the user can understand. The others concern this platform, such as a wrong token."""

TrainingAction = Literal["pause", "resume", "cancel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabServer:
    """A server of trainings. All methods raise Problem."""

    url: URL
    token: str = field(repr=False)
    tls: Tls

    async def trainings(self) -> list[TrainingProgress]:
        """All trainings, the newest first."""
        answer = await self._send("GET", routes.TRAININGS)
        try:
            return [TrainingProgress.from_json(each) for each in answer["trainings"]]
        except (KeyError, TypeError, ValueError) as error:
            raise _no_lab(f"its list of trainings cannot be read: {error}") from error

    async def training(self, name: str) -> tuple[TrainingProgress, list[SessionProgress]]:
        """A training, and every attempt to play one of its sessions."""
        # In a thread, because a training may have 100,000 sessions.
        return await asyncio.to_thread(_whole_training, await self._send("GET", routes.training(name)))

    async def begin(self, settings: Mapping[str, Any]) -> TrainingProgress:
        """Begin a training; the lab checks the settings."""
        return _progress(await self._send("POST", routes.TRAININGS, settings))

    async def act(self, name: str, action: TrainingAction) -> TrainingProgress:
        """Pause, resume or cancel a training."""
        return _progress(await self._send("POST", f"{routes.training(name)}/{action}"))

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object of a successful answer."""
        headers = {"Authorization": routes.bearer(self.token)} if self.token else {}
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.request(
                    method, self.url / path.lstrip("/"), json=body, headers=headers, allow_redirects=False, ssl=self.tls.link
                ) as answer,
            ):
                content = await _object_in(answer)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise _no_lab(f"no answer from {self.url}: {error or 'it took too long'}") from error
        if answer.status in (200, 201):
            return content
        if not is_problem(content, status=answer.status, content_type=answer.content_type):
            raise _no_lab(f"{self.url} answers HTTP {answer.status}, and not like a lab; check --lab-url")
        if answer.status in PASSED_ON:
            raise Problem(answer.status, str(content["reason"]), str(content.get("detail", "")))
        raise _no_lab(f"it refuses this platform ({content['reason']}); check --lab-token-file")


async def _object_in(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The JSON object in an answer; empty if there is none."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES:
            raise _no_lab(f"an answer has more than {ANSWER_BYTES} bytes")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def _whole_training(answer: Mapping[str, Any]) -> tuple[TrainingProgress, list[SessionProgress]]:
    try:
        return TrainingProgress.from_json(answer), [SessionProgress.from_json(each) for each in answer["sessions"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _no_lab(f"the training cannot be read: {error}") from error


def _progress(answer: Mapping[str, Any]) -> TrainingProgress:
    try:
        return TrainingProgress.from_json(answer)
    except ValueError as error:
        raise _no_lab(f"its answer cannot be read: {error}") from error


def _no_lab(why: str) -> Problem:
    return Problem(503, "lab_unavailable", f"the lab cannot be used: {why}"[:400])
