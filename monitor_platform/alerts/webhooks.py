"""Notifications: JSON over HTTP with retries. A receiver that does not answer delays only its own notifications.

The queue is bounded, and dropped notifications are counted. Redirects are not followed: only the operator chooses the receivers.
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
# Discord accepts 2,000 characters, Slack 40,000. Longer texts are cut.
MOST_CHARS = 1_900


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One notification; `facts` is its generic JSON."""

    facts: Mapping[str, Any]
    link: str

    @property
    def text(self) -> str:
        over = self.facts["until"] is not None
        return f"{'Over' if over else str(self.facts['severity']).upper()}: {self.facts['title']}\n{self.facts['text']}"


def body(notification: Notification, shape: Shape) -> dict[str, Any]:
    """The body of the request: the generic JSON, or the format of the chat service."""
    text = notification.text[:MOST_CHARS]
    match shape:
        case "json":
            return {**notification.facts, "link": notification.link}
        case "discord":
            # A channel may have the name @everyone; it must not notify the members of the chat.
            return {"content": f"{text}\n<{notification.link}>", "allowed_mentions": {"parse": []}}
        case "slack":
            safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return {"text": f"{safe}\n<{notification.link.replace('|', '%7C')}|dashboard>", "unfurl_links": False}


class WebhookSender:
    """Posts all notifications to each webhook, in order. Each webhook has its own task."""

    def __init__(self, webhooks: tuple[Webhook, ...], tls: Tls | None = None, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._waiting = [(webhook, asyncio.Queue[Notification](MOST_WAITING)) for webhook in webhooks]
        self._tls = tls
        self._first_pause_s = first_pause_s
        self.counts: Counter[str] = Counter(sent=0, failed=0, dropped=0)

    def send(self, notification: Notification) -> None:
        for webhook, queue in self._waiting:
            try:
                queue.put_nowait(notification)
            except asyncio.QueueFull:
                self.counts["dropped"] += 1
                title = notification.facts["title"]
                log.error("webhook %s: notification dropped because %d wait: %s", webhook.host, MOST_WAITING, title)  # noqa: TRY400

    async def run(self) -> None:
        """Post notifications until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):
            for webhook, queue in self._waiting:
                group.create_task(self._post_all(session, webhook, queue))

    async def _post_all(self, session: aiohttp.ClientSession, webhook: Webhook, queue: asyncio.Queue[Notification]) -> None:
        while True:
            notification = await queue.get()
            why = await self._deliver(session, webhook, notification)
            self.counts["sent" if why is None else "failed"] += 1
            if why is not None:
                log.error("webhook %s did not accept the notification %r: %s", webhook.host, notification.facts["title"], why)

    async def _deliver(self, session: aiohttp.ClientSession, webhook: Webhook, notification: Notification) -> str | None:
        """Post until the webhook accepts or refuses it, at most ATTEMPTS times. Returns None on success, else the reason."""
        why, asked_s = "", 0.0
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(pause_before(attempt, first_s=self._first_pause_s, asked_s=asked_s))
                asked_s = 0.0
            try:
                verified_by = self._tls.link if self._tls is not None else True
                posted = session.post(webhook.url, json=body(notification, webhook.shape), allow_redirects=False, ssl=verified_by)
                async with posted as answer:
                    if answer.status < 300:
                        return None
                    why = f"it answered {answer.status}"
                    if answer.status < 500 and answer.status not in {408, 429}:
                        return why
                    asked_s = _asked_s(answer.headers.get("Retry-After"))
            except (aiohttp.ClientError, TimeoutError) as error:
                # Not the error's text, which may contain the address: it is a secret.
                why = type(error).__name__
        return f"{why}, {ATTEMPTS} times"


def pause_before(attempt: int, *, first_s: float, asked_s: float) -> float:
    """Seconds to wait before a repeated attempt (the first is 1): twice the previous pause, or `asked_s` of Retry-After if that is
    longer."""
    return max(min(first_s * 2.0 ** (attempt - 1), LONGEST_PAUSE_S), asked_s)


def _asked_s(retry_after: str | None) -> float:
    """The seconds in Retry-After; 0 without one, or if it is a date."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit():
        return 0.0
    return min(float(retry_after), LONGEST_PAUSE_S)
