"""Live channels of Twitch, from its public API (Helix). Nothing here runs unless an operator gives a client id and its secret.

Twitch issues both for a registered application. The secret goes into the body of one request, to get a token, and nowhere else:
it is not in the text of any error, and not in the representation of any value.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from serving.regular_files import read_regular_text

API_URL = "https://api.twitch.tv/helix"
TOKEN_URL = "https://id.twitch.tv/oauth2/token"  # noqa: S105 - an address
ID_VARIABLE, SECRET_VARIABLE = "SWARMSCOPE_TWITCH_CLIENT_ID", "SWARMSCOPE_TWITCH_CLIENT_SECRET"
MOST_CHANNELS = 100
"""Twitch answers with at most this many at once."""
LONGEST_WAIT_S = 60.0
"""Twitch gives new requests each minute; a longer wait would be a wrong clock."""
ATTEMPTS = 3
REQUEST_WITHIN_S = 15.0


class TwitchError(Exception):
    """Twitch cannot be asked, or does not answer as it documents; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwitchCredentials:
    """What Twitch issued for an application."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChannel:
    """A channel that is live now."""

    login: str
    viewers: int
    language: str

    @property
    def url(self) -> str:
        """The page of the channel."""
        return f"https://www.twitch.tv/{self.login}"


def read_credentials(file: Path | None, environment: Mapping[str, str] = os.environ) -> TwitchCredentials:
    """From a file with the lines `client_id=…` and `client_secret=…`, or from the environment. TwitchError if one is missing."""
    if file is None:
        client_id, secret = environment.get(ID_VARIABLE, ""), environment.get(SECRET_VARIABLE, "")
        where = f"set {ID_VARIABLE} and {SECRET_VARIABLE}, or give a file"
    else:
        try:
            lines = dict(line.split("=", 1) for line in read_regular_text(file).splitlines() if "=" in line)
        except (OSError, UnicodeDecodeError) as error:
            raise TwitchError(f"the file with the credentials cannot be read: {error}") from error
        client_id, secret = lines.get("client_id", "").strip(), lines.get("client_secret", "").strip()
        where = f"write the lines client_id=… and client_secret=… into {file}"
    if not client_id or not secret:
        raise TwitchError(f"Twitch needs the client id and the secret of an application: {where}")
    return TwitchCredentials(client_id=client_id, client_secret=secret)


class Twitch:
    """The two requests that the lab needs. A token is kept until Twitch refuses it."""

    def __init__(self, credentials: TwitchCredentials, *, api_url: str = API_URL, token_url: str = TOKEN_URL) -> None:
        self._credentials = credentials
        self._api_url, self._token_url = api_url, token_url
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_WITHIN_S))
        self._token: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.close()

    async def live_channels(self, count: int = 20, *, language: str | None = None) -> list[LiveChannel]:
        """The channels with most viewers. TwitchError if Twitch does not answer."""
        if not 1 <= count <= MOST_CHANNELS:
            raise TwitchError(f"{count} channels are requested; use 1 to {MOST_CHANNELS}")
        parameters = {"type": "live", "first": str(count)} | ({"language": language} if language else {})
        for _ in range(ATTEMPTS):
            answer = await self._ask(parameters)
            if answer is not None:
                return _channels(answer)
        raise TwitchError(f"Twitch refused {ATTEMPTS} requests one after the other; try again later")

    async def _ask(self, parameters: Mapping[str, str]) -> Any | None:  # noqa: ANN401 - JSON
        """The answer; None if the request may be repeated now."""
        token = self._token or await self._new_token()
        headers = {"Client-Id": self._credentials.client_id, "Authorization": f"Bearer {token}"}
        try:
            async with self._http.get(f"{self._api_url}/streams", params=parameters, headers=headers) as answer:
                match answer.status:
                    case HTTPStatus.OK:
                        return await answer.json()
                    case HTTPStatus.UNAUTHORIZED:  # the token has expired
                        self._token = None
                        return None
                    case HTTPStatus.TOO_MANY_REQUESTS:
                        await asyncio.sleep(_wait_s(answer.headers.get("Ratelimit-Reset"), time.time()))
                        return None
                    case status:
                        raise TwitchError(f"Twitch answers with status {status}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise TwitchError(f"{self._api_url} cannot be asked: {type(error).__name__}") from error

    async def _new_token(self) -> str:
        body = {
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
            "grant_type": "client_credentials",
        }
        try:
            async with self._http.post(self._token_url, data=body) as answer:
                if answer.status != HTTPStatus.OK:
                    raise TwitchError(f"Twitch gives no token (status {answer.status}): check the client id and its secret")
                token = str((await answer.json())["access_token"])
        except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
            # Without the cause: its text could repeat the request.
            raise TwitchError(f"{self._token_url} gives no token: {type(error).__name__}") from None
        self._token = token
        return token


def _wait_s(reset: str | None, now_s: float) -> float:
    """Until the second of `Ratelimit-Reset`, in Unix time. TwitchError if that is missing or too far away."""
    try:
        wait_s = float(reset or "") - now_s
    except ValueError:
        raise TwitchError("Twitch refuses requests for some time, without saying for how long; try again later") from None
    if wait_s > LONGEST_WAIT_S:
        raise TwitchError(f"Twitch accepts requests again in {wait_s:.0f} s; check the clock of this machine, or try again then")
    return max(wait_s, 0.0)


def _channels(answer: Any) -> list[LiveChannel]:  # noqa: ANN401 - JSON
    try:
        return [
            LiveChannel(login=str(each["user_login"]), viewers=int(each["viewer_count"]), language=str(each["language"]))
            for each in answer["data"]
            if each["type"] == "live"
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise TwitchError(f"Twitch's answer is not as documented: {type(error).__name__} {error}") from error
