"""Submits requests to a measurement master over HTTP. It does not trust the master: answers are bounded, redirects are refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from feedback_wire.problem import Problem, is_problem
from feedback_wire.routes import JSON, bearer
from serving.tls import Tls

MEASUREMENTS = "/v1/measurements"
ANSWER_BYTES = 2**20
TIMEOUT_S = 20.0
"""The master looks up the names of destinations before it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterRequests:
    """Use it on the event loop. All methods raise Problem: of the master's refusal, or 502 without a usable answer."""

    url: str
    key: str = field(repr=False)
    """Of a manager or a requester; empty for a master that runs with --insecure."""
    tls: Tls | None = None

    async def submit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Submit a request (docs/measurement-requests.md). The answer has its `id` and the number of `planned` operations."""
        return await self._answer("POST", MEASUREMENTS, request)

    async def state_of(self, request_id: str) -> dict[str, Any]:
        """The state of a request: its `state`, its `statuses` and how many operations are `open`."""
        return await self._answer("GET", f"{MEASUREMENTS}/{quote(request_id, safe='')}")

    async def _answer(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = {"Authorization": bearer(self.key)} if self.key else {}
        verified_by = self.tls.link if self.tls is not None else True
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.request(
                    method, self.url.rstrip("/") + path, json=body, headers=headers, ssl=verified_by, allow_redirects=False
                ) as answer,
            ):
                content = await answer.content.read(ANSWER_BYTES + 1)
                while len(content) <= ANSWER_BYTES and (more := await answer.content.read(ANSWER_BYTES)):
                    content += more
                return _read(content, answer.status, answer.headers.get("Content-Type", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Problem(502, "master_unreachable", f"the measurement master does not answer: {_why(error)}") from error


def _why(error: Exception) -> str:
    """In words; aiohttp's text of a refused connection has parts that say nothing to a user."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: {error.os_error.strerror or error.os_error}"
    return str(error)[:200] or f"no answer within {TIMEOUT_S:g} s"


def _read(content: bytes, status: int, content_type: str) -> dict[str, Any]:
    """The JSON object of an answer; Problem if the master refuses, or if it is no answer of a master."""
    try:
        found = json.loads(content) if len(content) <= ANSWER_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and is_problem(found, status=status, content_type=content_type):
        raise Problem(
            status if status in _PASSED_ON else 502, str(found["reason"]), f"the master refuses: {found.get('detail', '')}"
        )
    if not isinstance(found, dict) or status not in (200, 201):
        detail = f"the answer of the measurement master cannot be used (status {status}, {content_type[:40] or JSON})"
        raise Problem(502, "master_unusable", detail)
    return found


_PASSED_ON = (400, 404, 409, 429, 503)
"""The others are about the platform's key, not about the user."""
