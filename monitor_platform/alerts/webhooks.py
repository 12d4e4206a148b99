"""Whom to tell, and how: JSON over HTTP with retries. A receiver that is away delays its own messages and nothing else.

What waits is bounded; what is given up is counted. Redirects are not followed: where to is the operator's choice alone.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from monitor_platform.alerts.rules import Shape, Webhook
from serving.tls import Tls

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
ATTEMPTS = 8
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 120.0
TIMEOUT_S = 10.0
# Discord takes 2,000 characters, Slack 40,000; what is longer is cut.
MOST_CHARS = 1_900


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing to tell; `facts` is the generic form."""

    facts: Mapping[str, Any]
    link: str

    @property
    def text(self) -> str:
        over = self.facts["until"] is not None
        return f"{'Over' if over else str(self.facts['severity']).upper()}: {self.facts['title']}\n{self.facts['text']}"


def body(news: News, shape: Shape) -> dict[str, Any]:
    """What is posted: the generic form, or what the chat service takes."""
    text = news.text[:MOST_CHARS]
    match shape:
        case "json":
            return {**news.facts, "link": news.link}
        case "discord":
            # A channel may be called @everyone: nobody is to be woken by a name.
            return {"content": f"{text}\n<{news.link}>", "allowed_mentions": {"parse": []}}
        case "slack":
            safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return {"text": f"{safe}\n<{news.link.replace('|', '%7C')}|dashboard>", "unfurl_links": False}


class Messenger:
    """Tells each webhook everything, in order, each in its own task."""

    def __init__(self, webhooks: tuple[Webhook, ...], tls: Tls | None = None, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._waiting = [(webhook, asyncio.Queue[News](MOST_WAITING)) for webhook in webhooks]
        self._tls = tls
        self._first_pause_s = first_pause_s
        self.counts: Counter[str] = Counter(sent=0, failed=0, dropped=0)

    def tell(self, news: News) -> None:
        for webhook, queue in self._waiting:
            try:
                queue.put_nowait(news)
            except asyncio.QueueFull:
                self.counts["dropped"] += 1
                log.error("webhook %s: %d wait already, dropped: %s", webhook.host, MOST_WAITING, news.facts["title"])  # noqa: TRY400

    async def run(self) -> None:
        """Post what is told until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            for webhook, queue in self._waiting:
                group.create_task(self._follow(session, webhook, queue))

    async def _follow(self, session: aiohttp.ClientSession, webhook: Webhook, queue: asyncio.Queue[News]) -> None:
        while True:
            news = await queue.get()
            why = await self._deliver(session, webhook, news)
            self.counts["sent" if why is None else "failed"] += 1
            if why is not None:
                log.error("webhook %s was not told of %r: %s", webhook.host, news.facts["title"], why)

    async def _deliver(self, session: aiohttp.ClientSession, webhook: Webhook, news: News) -> str | None:
        """None if it was told, else why not."""
        why, pause_s = "", self._first_pause_s
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            try:
                verified_by = self._tls.link if self._tls is not None else True
                posted = session.post(webhook.url, json=body(news, webhook.shape), allow_redirects=False, ssl=verified_by)
                async with posted as answer:
                    if answer.status < 300:
                        return None
                    why = f"it answered {answer.status}"
                    if answer.status < 500 and answer.status not in {408, 429}:
                        return why
                    pause_s = _asked_s(answer.headers.get("Retry-After"), pause_s)
            except (aiohttp.ClientError, TimeoutError) as error:
                # The error's text may hold the address, which is a secret.
                why = type(error).__name__
        return f"{why}, {ATTEMPTS} times"


def _asked_s(retry_after: str | None, otherwise_s: float) -> float:
    """Seconds that the receiver asks for; a date is not worth parsing here."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit():
        return otherwise_s
    return min(float(retry_after), LONGEST_PAUSE_S)
