"""The master's HTTP interface, for clients."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec

from feedback_wire import routes
from measurement.measurement_request import MeasurementRequest
from serving.listening import is_http_url, reason_of
from serving.tls import Tls
from serving.tokens import check_token

CONNECT_S = 5.0
ANSWER_S = 60.0
SILENT_S = 20.0
"""A followed request sends a sign of life every 5 s."""

Named = TypeVar("Named")

_LINE_BYTES = 4 * 1024 * 1024


class MasterRefusedError(Exception):
    """The master refuses a request. The text is the master's explanation."""

    def __init__(self, detail: str, status: int, retry_after_s: int | None) -> None:
        super().__init__(detail)
        self.status, self.retry_after_s = status, retry_after_s


class MasterUnreachableError(Exception):
    """The master does not answer, or the connection broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterAt:
    """The address of the master, and the key for it."""

    master: str = "http://127.0.0.1:8060"
    key: str = field(default="", repr=False)
    tls_ca: Path | None = None

    def __post_init__(self) -> None:
        if not is_http_url(self.master):
            raise ValueError(f"--master {self.master!r} must be an http or https URL, such as https://master.example:8060")
        check_token("--key", self.key)


class MasterClient:
    """Use it as `async with`. Methods raise MasterRefusedError and MasterUnreachableError."""

    def __init__(self, at: MasterAt) -> None:
        self._at = at
        self._url = at.master.rstrip("/")

    async def __aenter__(self) -> "MasterClient":
        headers = {"authorization": routes.bearer(self._at.key)} if self._at.key else {}
        secure = Tls(ca=self._at.tls_ca).link if self._url.startswith("https:") else True
        connector = aiohttp.TCPConnector(ssl=secure)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, read_bufsize=_LINE_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def submit(self, request: MeasurementRequest) -> dict[str, Any]:
        """The accepted request with its plan, or `{"dry_run": plan}`."""
        return await self._call("POST", "/v1/measurements", msgspec.json.encode(request))

    async def requests(self) -> list[dict[str, Any]]:
        return _named(await self._call("GET", "/v1/measurements"), "measurements", list)

    async def show(self, request_id: str) -> dict[str, Any]:
        return await self._call("GET", f"/v1/measurements/{request_id}")

    async def cancel(self, request_id: str) -> dict[str, Any]:
        return await self._call("DELETE", f"/v1/measurements/{request_id}")

    async def cancel_all(self) -> list[str]:
        return _named(await self._call("DELETE", "/v1/measurements"), "cancelled", list)

    async def agents(self) -> list[dict[str, Any]]:
        return _named(await self._call("GET", "/v1/agents"), "agents", list)

    async def kill_switch(self, *, on: bool) -> bool:
        """Stop all probing, or admit requests again. Returns the new state."""
        return _named(await self._call("PUT", "/v1/kill-switch", msgspec.json.encode({"on": on})), "on", bool)

    async def outcomes(self, request_id: str, *, follow: bool) -> AsyncIterator[dict[str, Any]]:
        """The outcomes so far. With `follow`, all outcomes as they arrive, and then the request itself."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
        url = f"{self._url}/v1/measurements/{request_id}/outcomes"
        try:
            async with self._session.get(url, params={"follow": "1" if follow else "0"}, timeout=timeout) as answer:
                await _check(answer)
                while line := await answer.content.readline():
                    if line.strip():
                        yield _decoded(line)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise MasterUnreachableError(f"the connection to {self._at.master} broke: {error or type(error).__name__}") from None

    async def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S, sock_connect=CONNECT_S)
        try:
            async with self._session.request(method, self._url + path, data=body, timeout=timeout) as answer:
                await _check(answer)
                return _decoded(await answer.read())
        except aiohttp.ClientConnectorError as error:
            why = error if isinstance(error, aiohttp.ClientSSLError) else reason_of(error.os_error)
            raise MasterUnreachableError(
                f"no connection to the master {self._at.master}: {why}; start it, or correct --master"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise MasterUnreachableError(f"{self._at.master} does not answer: {error or type(error).__name__}") from None


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _not_a_master()
    return found


def _named(answer: dict[str, Any], name: str, kind: type[Named]) -> Named:
    found = answer.get(name)
    if not isinstance(found, kind):
        raise _not_a_master()
    return found


def _not_a_master() -> MasterUnreachableError:
    return MasterUnreachableError("the answer is not that of a master; check --master, and the proxies on the way")


async def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status >= 400:
        text = await answer.text(errors="replace")
        try:
            detail = str(msgspec.json.decode(text)["detail"])
        except (ValueError, RecursionError, KeyError, TypeError):
            detail = f"status {answer.status}: {text[:200]}"
        retry_after = answer.headers.get("retry-after", "")
        raise MasterRefusedError(detail, answer.status, int(retry_after) if retry_after.isdigit() else None)
