"""The agent's connections to its master. All of them are opened here, from the agent."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import aiohttp
import msgspec

from feedback_wire import routes
from measurement.agent.settings import Settings
from measurement.control_messages import Command, Keepalive, Receipt, Registered, Registration, Report, Reports

CONNECT_S = 5.0
_COMMAND_BYTES = 4 * 1024 * 1024
Answer = TypeVar("Answer")


class MasterGone(Exception):  # noqa: N818 - an event, not a mistake
    """The master cannot be reached, or has ended this agent's epoch. The text states the reason."""


class MasterLink:
    """Use it as `async with`; each epoch has its own link."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.master.rstrip("/")

    async def __aenter__(self) -> "MasterLink":
        headers = {"authorization": routes.bearer(self._settings.key)} if self._settings.key else {}
        secure = self._settings.tls().link if self._url.startswith("https:") else True
        connector = aiohttp.TCPConnector(ssl=secure, limit=8)
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, read_bufsize=_COMMAND_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def register(self, registration: Registration) -> Registered:
        return await self._post("/v1/agents", registration, Registered, CONNECT_S * 2)

    async def keep_alive(self, name: str, keepalive: Keepalive, within_s: float) -> None:
        await self._post(f"/v1/agents/{name}/keepalive", keepalive, dict[str, int], within_s)

    async def deliver(self, name: str, epoch: str, reports: list[Report], within_s: float) -> Receipt:
        """Send outcomes. They are durable at the master when this returns."""
        return await self._post(f"/v1/agents/{name}/outcomes", Reports(epoch=epoch, reports=reports), Receipt, within_s)

    async def commands(self, name: str, epoch: str, silent_s: float) -> AsyncIterator[Command | None]:
        """The commands as they arrive, and None for a sign of life. MasterGone if the stream ends, or is silent for too long."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silent_s)
        try:
            url = f"{self._url}/v1/agents/{name}/commands"
            async with self._session.get(url, params={"epoch": epoch}, timeout=timeout) as answer:
                await _check(answer)
                while line := await answer.content.readline():
                    yield msgspec.json.decode(line, type=Command) if line.strip() else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise MasterGone(f"the stream of commands broke: {error or type(error).__name__}") from error
        raise MasterGone("the master ended the stream of commands")

    async def _post(self, path: str, body: object, kind: type[Answer], within_s: float) -> Answer:
        timeout = aiohttp.ClientTimeout(total=within_s, sock_connect=min(CONNECT_S, within_s))
        headers = {"content-type": routes.JSON}
        async with self._session.post(self._url + path, data=msgspec.json.encode(body), headers=headers, timeout=timeout) as answer:
            await _check(answer)
            try:
                return msgspec.json.decode(await answer.read(), type=kind)
            except (ValueError, RecursionError):
                raise ConnectionError("the answer is not that of a master; a proxy between may have sent it") from None


async def _check(answer: aiohttp.ClientResponse) -> None:
    """MasterGone for a refusal."""
    if answer.status >= 400:
        text = await answer.text(errors="replace")
        raise MasterGone(f"the master refuses it: {_detail(text)}")


def _detail(text: str) -> str:
    try:
        problem: Any = msgspec.json.decode(text)
        return str(problem["detail"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return text[:200]
