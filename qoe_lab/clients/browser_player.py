"""Chromium with hls.js or dash.js, driven by Playwright.

The scripts are given to the browser directly, as if they were in its cache: the link carries the page, the playlists and the
segments. Events come back over the pipe between Playwright and the browser, not over the link.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from playwright.async_api import BrowserContext, Error, Page, async_playwright

from qoe_lab.clients.client_settings import CannotPlayError, ClientSettings
from qoe_lab.clients.habits import Habits, habits_of
from qoe_lab.clients.scratch_folder import ScratchFolder
from qoe_lab.player_events import PlayerEvent

ASSETS = Path(__file__).parent / "assets"
LIBRARIES = {"hls.js": "hls.min.js", "dash.js": "dash.mediaplayer.min.js"}
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PLAYER_PAGE = "/player.html"
WIDTH, HEIGHT = 1280, 720
LAUNCH_WITHIN_S = 60.0
END_WITHIN_S = 10.0

_FLAGS = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-gpu",
    "--disable-sync",
    "--mute-audio",
    "--no-first-run",
    "--no-proxy-server",
)


class BrowserPlayer:
    """One session. `record` gets each event, in order of time."""

    def __init__(self, settings: ClientSettings, record: Callable[[PlayerEvent], None]) -> None:
        self._settings = settings
        self._record = record
        self._failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()

    async def play(self) -> None:
        """Play until the time is over. CannotPlayError if that is not possible."""
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            raise CannotPlayError(
                f"there is no Chromium on this machine ({', '.join(PROGRAMS)}); install it with apt-get install chromium"
            )
        with ScratchFolder() as scratch:
            os.environ["TMPDIR"] = str(scratch.path)  # Playwright's driver puts its files there
            try:
                async with async_playwright() as driver:
                    context = await driver.chromium.launch_persistent_context(
                        scratch.path / "profile",
                        executable_path=program,
                        args=[*_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])],
                        viewport={"width": WIDTH, "height": HEIGHT},
                        timeout=LAUNCH_WITHIN_S * 1000,
                    )
                    try:
                        await self._play(context)
                    finally:
                        await context.close()
            except Error as error:
                raise CannotPlayError(f"Chromium failed: {error.message.splitlines()[0]}") from error

    async def _play(self, context: BrowserContext) -> None:
        await context.expose_binding("labRecord", lambda _, text: self._heard(text))
        await context.add_init_script(self._script())
        page = await context.new_page()
        page.on("crash", lambda _: self._fail("the page crashed"))
        page.on("pageerror", lambda error: self._fail(f"a script failed: {error}"))
        seconds = self._settings.seconds
        try:
            async with asyncio.timeout(seconds):
                await self._open(page)
                raise CannotPlayError(await self._failed)
        except TimeoutError:
            await self._end(page)

    async def _open(self, page: Page) -> None:
        url = urljoin(self._settings.url, PLAYER_PAGE)
        answer = await page.goto(url, wait_until="commit", timeout=0)
        if answer is None or answer.status != 200:
            raise CannotPlayError(f"{url} is answered with status {answer.status if answer is not None else 'none'}")

    async def _end(self, page: Page) -> None:
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await page.evaluate("window.labEnd?.()")
                await self._ended.wait()
        except TimeoutError:
            raise CannotPlayError(f"the page of the player did not load in {self._settings.seconds:g} s") from None

    def _heard(self, text: str) -> None:
        """Record an event of the page. Events after the end are not part of the session."""
        if self._ended.is_set():
            return
        event = PlayerEvent(**json.loads(text))
        if event.event == "error":
            self._fail(event.detail or "an unknown error")
            return
        self._record(event)
        if event.event == "end":
            self._ended.set()

    def _fail(self, detail: str) -> None:
        if not self._failed.done():
            self._failed.set_result(detail)

    def _script(self) -> str:
        """Only for the page of the content server: a browser begins with an empty one."""
        settings = self._settings
        habits = habits_of(settings.session_id)
        begin = f'{{event: "navigation", t_ms: 0, wall_ms: performance.timeOrigin, detail: "{_named(habits)}"}}'
        session = {
            "library": settings.client,
            "url": settings.url,
            "session_id": settings.session_id,
            "content_id": settings.content_id,
            "chosen": habits.chosen,
        }
        library = (ASSETS / LIBRARIES[settings.client]).read_text(encoding="utf-8")
        player = (ASSETS / "player.js").read_text(encoding="utf-8")
        own = f"((session) => {{\n{player}\n}})({json.dumps(session)});"
        return f"""if (location.pathname === "{PLAYER_PAGE}") {{
            labRecord(JSON.stringify({begin}));
            document.addEventListener("DOMContentLoaded", () => {{
{library}
{own}
            }});
        }}"""


def _named(habits: Habits) -> str:
    """The name of the habits if they choose a quality; otherwise `default`, because hls.js and dash.js adapt in their own way."""
    return habits.name if habits.chosen is not None else "default"
