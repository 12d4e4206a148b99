"""Twitch by Helix, against a server on this machine that answers as Twitch documents it. No test uses the Internet."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from qoe_lab.sources.twitch import (
    ID_VARIABLE,
    SECRET_VARIABLE,
    LiveChannel,
    Twitch,
    TwitchCredentials,
    TwitchError,
    read_credentials,
)

SECRET = "a-secret-that-nobody-may-see"
CREDENTIALS = TwitchCredentials(client_id="an-id", client_secret=SECRET)
STREAM = {
    "id": "40952121085",
    "user_id": "101051819",
    "user_login": "afro",
    "user_name": "Afro",
    "game_id": "32982",
    "game_name": "Grand Theft Auto V",
    "type": "live",
    "title": "Jacob: Digital Den Laptops & Routers",
    "tags": ["English"],
    "viewer_count": 1490,
    "started_at": "2026-11-10T03:18:11Z",
    "language": "en",
    "thumbnail_url": "https://static-cdn.jtvnw.net/previews-ttv/live_user_afro-{width}x{height}.jpg",
    "tag_ids": [],
    "is_mature": False,
}
STREAMS = {"data": [STREAM, {**STREAM, "user_login": "ended", "type": ""}], "pagination": {"cursor": "eyJiIjp7IkN1cnNvciI6"}}


@dataclass
class Helix:
    """The server. `script` has the answers to the first requests for streams; the last one is repeated."""

    script: list[Callable[[], web.Response]] = field(default_factory=lambda: [lambda: web.json_response(STREAMS)])
    token_status: int = 200
    tokens: int = 0
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def token(self, request: web.Request) -> web.Response:
        self.bodies.append(dict(await request.post()))
        self.tokens += 1
        answer = {"access_token": f"token-{self.tokens}", "expires_in": 5011271, "token_type": "bearer"}
        return web.json_response(answer if self.token_status == 200 else {"status": 403}, status=self.token_status)

    async def streams(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        return self.script.pop(0)() if len(self.script) > 1 else self.script[0]()


@asynccontextmanager
async def asking(helix: Helix) -> AsyncIterator[Twitch]:
    app = web.Application()
    app.add_routes([web.post("/oauth2/token", helix.token), web.get("/helix/streams", helix.streams)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with Twitch(CREDENTIALS, api_url=f"{base}/helix", token_url=f"{base}/oauth2/token") as twitch:
            yield twitch
    finally:
        await runner.cleanup()


def run(helix: Helix, work: Callable[[Twitch], Awaitable[Any]]) -> Any:
    async def asked() -> Any:
        async with asking(helix) as twitch:
            return await work(twitch)

    return asyncio.run(asked())


def test_live_channels_are_requested_with_a_token_of_the_application():
    helix = Helix()
    channels = run(helix, lambda twitch: twitch.live_channels(20, language="en"))
    assert channels == [LiveChannel(login="afro", viewers=1490, language="en")]
    assert channels[0].url == "https://www.twitch.tv/afro"
    (request,) = helix.asked
    assert dict(request.query) == {"type": "live", "first": "20", "language": "en"}
    assert (request.headers["Client-Id"], request.headers["Authorization"]) == ("an-id", "Bearer token-1")
    assert helix.bodies == [{"client_id": "an-id", "client_secret": SECRET, "grant_type": "client_credentials"}]


def test_a_token_is_used_again_until_it_is_refused():
    helix = Helix(
        [lambda: web.json_response(STREAMS), lambda: web.json_response({}, status=401), lambda: web.json_response(STREAMS)]
    )

    async def twice(twitch: Twitch) -> list[LiveChannel]:
        await twitch.live_channels()
        return await twitch.live_channels()

    assert len(run(helix, twice)) == 1
    assert [request.headers["Authorization"] for request in helix.asked] == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]


def test_after_a_refusal_for_too_many_requests_the_command_waits():
    reset = int(time.time()) + 2

    def refused() -> web.Response:
        return web.json_response({}, status=429, headers={"Ratelimit-Reset": str(reset)})

    helix = Helix([refused, lambda: web.json_response(STREAMS)])
    assert len(run(helix, lambda twitch: twitch.live_channels())) == 1
    assert time.time() >= reset
    assert len(helix.asked) == 2


@pytest.mark.parametrize(
    ("helix", "complaint"),
    [
        (Helix([lambda: web.json_response({}, status=429, headers={"Ratelimit-Reset": "99999999999"})]), "check the clock"),
        (Helix([lambda: web.json_response({}, status=429)]), "without saying for how long"),
        (Helix([lambda: web.json_response({}, status=503)]), "status 503"),
        (Helix([lambda: web.json_response({}, status=401)]), "refused 3 requests"),
        (Helix([lambda: web.json_response({"data": [{"type": "live"}]})]), "not as documented"),
        (Helix([lambda: web.Response(text="no JSON")]), "cannot be asked"),
        (Helix(token_status=403), "check the client id and its secret"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_unusable_answer_is_an_error_with_its_reason(helix: Helix, complaint: str):
    with pytest.raises(TwitchError, match=complaint):
        run(helix, lambda twitch: twitch.live_channels())


def test_the_secret_is_in_no_text(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    texts = [repr(CREDENTIALS)]
    for helix in (Helix(), Helix(token_status=403)):
        try:
            run(helix, lambda twitch: twitch.live_channels())
        except TwitchError as error:
            texts += [str(error), repr(error.__cause__)]
    assert len(texts) == 3
    assert SECRET not in "".join(texts) + caplog.text


def test_credentials_come_from_a_file_or_the_environment(tmp_path: Path):
    file = tmp_path / "twitch"
    file.write_text(f"client_id=an-id\nclient_secret={SECRET}\n")
    assert read_credentials(file, {}) == CREDENTIALS
    assert read_credentials(None, {ID_VARIABLE: "an-id", SECRET_VARIABLE: SECRET}) == CREDENTIALS


@pytest.mark.parametrize("text", ["", "client_id=an-id\n", "client_id=\nclient_secret=x\n"])
def test_without_credentials_no_request_is_sent(text: str, tmp_path: Path):
    (tmp_path / "twitch").write_text(text)
    with pytest.raises(TwitchError, match="write the lines"):
        read_credentials(tmp_path / "twitch", {})
    with pytest.raises(TwitchError, match="cannot be read"):
        read_credentials(tmp_path / "none", {})


def test_without_credentials_the_command_names_the_variables():
    ended = subprocess.run([sys.executable, "-m", "qoe_lab.sources", "twitch"], env={"PATH": ""}, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ID_VARIABLE in ended.stderr
