"""Notifications: JSON over HTTP with retries. A receiver that does not answer delays only its own notifications.

The queue is bounded, and dropped notifications are counted. Redirects are not followed: only the operator chooses the receivers.
"""

import asyncio
import json
import logging
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import aiohttp

from feedback_wire import routes
from monitor_platform.alerts.rules import BodyShape, Webhook
from serving.tls import Tls

log = logging.getLogger(__name__)

MOST_WAITING = 1_000
ATTEMPTS = 8
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 120.0
TIMEOUT_S = 10.0
# Slack accepts 40,000 characters. Longer texts are cut.
MOST_CHARS = 1_900
DISCORD_CHARS = 2_000
"""With the link. Discord refuses a longer message, and the notification would be lost."""

REMEMBERED = 20
"""Deliveries that are kept of each webhook."""

MOST_ANSWER_BYTES = 500
"""The start of an answer that is kept. Chat services answer with a word or a short JSON object."""

HIDDEN = "•••"
LEAST_SECRET = 6
"""A shorter word of an address, such as `hook`, is not a secret, and would hide parts of other words."""

WebhookOutcome = Literal["trying", "sent", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One notification; `facts` is its generic JSON."""

    facts: Mapping[str, Any]
    link: str
    diagnosed: bool = False
    """Whether it is about the end of the alert's diagnosis, not about the start or the end of the alert."""

    @property
    def text(self) -> str:
        if self.diagnosed:
            return f"Diagnosis: {self.facts['title']}\n{self.facts['diagnosis']['text']}"
        over = self.facts["until"] is not None
        return f"{'Over' if over else str(self.facts['severity']).upper()}: {self.facts['title']}\n{self.facts['text']}"


def body(notification: Notification, shape: BodyShape) -> dict[str, Any]:
    """The body of the request: the generic JSON, or the format of the chat service."""
    text = notification.text[:MOST_CHARS]
    match shape:
        case "json":
            return {**notification.facts, "link": notification.link}
        case "discord":
            # A channel may have the name @everyone; it must not notify the members of the chat.
            return {"content": _with_link(text, notification.link), "allowed_mentions": {"parse": []}}
        case "slack":
            safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return {"text": f"{safe}\n<{notification.link.replace('|', '%7C')}|dashboard>", "unfurl_links": False}


def _with_link(text: str, link: str) -> str:
    """For Discord. The names of a slice can make a link so long that no text would remain; then the link is left out."""
    end = f"\n<{link}>" if len(link) < DISCORD_CHARS // 2 else ""
    return text[: DISCORD_CHARS - len(end)] + end


def sample_notification(dashboard_url: str) -> Notification:
    """A notification that states that it is a test. Its JSON has the form of an alert, and `test` in addition."""
    facts = {
        "test": True,
        "rule": "test",
        "kind": "feedback",
        "severity": "info",
        "measure": "mos",
        "slice": {},
        "from": time.time_ns() // 1_000_000,
        "until": None,
        "value": None,
        "worst": None,
        "limit": None,
        "sessions": 0,
        "explained_by": [],
        "worst_sessions": [],
        "changed_paths": [],
        "diagnosis": None,
        "title": "Test message of Swarmscope",
        "text": "No rule has raised an alert.",
    }
    return Notification(facts=facts, link=f"{dashboard_url}/alerts")


OUTCOMES = ("sent", "failed", "dropped")
"""The outcomes of a notification that are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A notification for one webhook, and the last answer to it. `sent` is the body of the request.

    `answer`: status and begin of the body, or why there was none. Parts of the webhook's address in it are hidden.
    """

    at_ms: int
    title: str
    sent: str
    outcome: WebhookOutcome = "trying"
    attempts: int = 0
    answer: str = ""


@dataclass(slots=True, kw_only=True)
class _Channel:
    """A webhook, its queue, its last deliveries (the newest last), and the outcomes of its notifications."""

    webhook: Webhook
    queue: asyncio.Queue[Notification] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))
    deliveries: deque[Delivery] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(OUTCOMES, 0)))
    task: asyncio.Task[None] | None = None


class WebhookSender:
    """Posts all notifications to each webhook, in order. Each webhook has its own task."""

    def __init__(self, webhooks: tuple[Webhook, ...], tls: Tls | None = None, *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._channels = [_Channel(webhook=webhook) for webhook in webhooks]
        self._former = Counter[str]()
        self._tls = tls
        self._first_pause_s = first_pause_s
        self._begin: Callable[[_Channel], None] = lambda _channel: None

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """The webhooks, in the order of the file."""
        return tuple(channel.webhook for channel in self._channels)

    @property
    def deliveries(self) -> list[deque[Delivery]]:
        """The last deliveries of each webhook, the newest last."""
        return [channel.deliveries for channel in self._channels]

    @property
    def counts_of(self) -> list[Counter[str]]:
        """The outcomes of each webhook's notifications."""
        return [channel.counts for channel in self._channels]

    @property
    def counts(self) -> Counter[str]:
        """The outcomes of all notifications, also of webhooks that were removed."""
        every = (self._former, *self.counts_of)
        return Counter({outcome: sum(each[outcome] for each in every) for outcome in OUTCOMES})

    def use(self, webhooks: tuple[Webhook, ...]) -> None:
        """Send to other webhooks from now on. A webhook that stays keeps what waits for it; what waits for a removed one is
        dropped, and counted."""
        left = list(self._channels)
        self._channels = []
        for webhook in webhooks:
            kept = next((channel for channel in left if channel.webhook == webhook), None)
            if kept is not None:
                left.remove(kept)
            self._channels.append(kept or _Channel(webhook=webhook))
        for channel in self._channels:
            self._begin(channel)
        for removed in left:
            self._end(removed)

    def _end(self, removed: _Channel) -> None:
        unsent = removed.queue.qsize() + sum(each.outcome == "trying" for each in removed.deliveries)
        if removed.task is not None:
            removed.task.cancel()
        if unsent:
            log.error("webhook %s: %d notifications dropped because it was removed", removed.webhook.host, unsent)
        self._former += removed.counts + Counter(dropped=unsent)

    def waiting(self, number: int) -> int:
        """Notifications that wait for the webhook with this number, from 0."""
        return self._channels[number].queue.qsize()

    def send(self, notification: Notification) -> None:
        for number in range(len(self._channels)):
            self.send_to(number, notification)

    def send_to(self, number: int, notification: Notification) -> bool:
        """Whether the notification waits for the webhook with this number; otherwise it was dropped."""
        channel = self._channels[number]
        try:
            channel.queue.put_nowait(notification)
        except asyncio.QueueFull:
            channel.counts["dropped"] += 1
            title, host = notification.facts["title"], channel.webhook.host
            log.error("webhook %s: notification dropped because %d wait: %s", host, MOST_WAITING, title)  # noqa: TRY400
            return False
        return True

    async def run(self) -> None:
        """Post notifications until cancelled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as group,
        ):

            def begin(channel: _Channel) -> None:
                channel.task = channel.task or group.create_task(self._post_all(session, channel))

            self._begin = begin
            for channel in self._channels:
                begin(channel)
            await asyncio.Event().wait()  # the file may have no webhook, and get one later

    async def _post_all(self, session: aiohttp.ClientSession, channel: _Channel) -> None:
        while True:
            notification = await channel.queue.get()
            title = notification.facts["title"]
            sent = json.dumps(body(notification, channel.webhook.shape), ensure_ascii=False)
            channel.deliveries.append(Delivery(at_ms=time.time_ns() // 1_000_000, title=title, sent=sent))
            why = await self._deliver(session, channel, sent)
            outcome: WebhookOutcome = "sent" if why is None else "failed"
            _note(channel, outcome=outcome)
            channel.counts[outcome] += 1
            if why is not None:
                log.error("webhook %s did not accept the notification %r: %s", channel.webhook.host, title, why)

    async def _deliver(self, session: aiohttp.ClientSession, channel: _Channel, sent: str) -> str | None:
        """Post until the webhook accepts or refuses it, at most ATTEMPTS times. Returns None on success, else the reason."""
        why, asked_s = "", 0.0
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(pause_before(attempt, first_s=self._first_pause_s, asked_s=asked_s))
                asked_s = 0.0
            try:
                status, retry_after, answered = await self._post(session, channel.webhook, sent)
            except (aiohttp.ClientError, TimeoutError) as error:
                # Not the error's text, which may contain the address: it is a secret.
                why = type(error).__name__
                _note(channel, attempts=attempt + 1, answer=f"no answer: {why}")
                continue
            _note(channel, attempts=attempt + 1, answer=f"{status} {answered}".strip())
            if status < 300:
                return None
            why = f"it answered {status}"
            if status < 500 and status not in {408, 429}:
                return why
            asked_s = _asked_s(retry_after)
        return f"{why}, {ATTEMPTS} times"

    async def _post(self, session: aiohttp.ClientSession, webhook: Webhook, sent: str) -> tuple[int, str | None, str]:
        """Status, Retry-After and the start of the body of the answer."""
        verified_by = self._tls.link if self._tls is not None else True
        headers = {"Content-Type": routes.JSON}
        posted = session.post(
            webhook.url, data=sent.encode(errors="backslashreplace"), headers=headers, allow_redirects=False, ssl=verified_by
        )
        async with posted as answer:
            begin = b""
            with suppress(aiohttp.ClientError, TimeoutError):  # the status has arrived, and it decides
                begin = await answer.content.read(MOST_ANSWER_BYTES)
            answered = without_secrets(begin.decode(errors="replace"), webhook.url)
            return answer.status, answer.headers.get("Retry-After"), answered


def _note(channel: _Channel, **changed: Any) -> None:  # noqa: ANN401 - fields of a delivery
    """Change the newest delivery, which is the one that is being made."""
    channel.deliveries[-1] = replace(channel.deliveries[-1], **changed)


def without_secrets(text: str, url: str) -> str:
    """`text` without the parts of a webhook's address that may be secrets: a receiver may answer with the address."""
    parts = urlsplit(url)
    words = [parts.username, parts.password, *parts.path.split("/"), *re.split("[&=]", parts.query)]
    secrets = {form for word in words if word for form in (word, unquote(word)) if len(form) >= LEAST_SECRET}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def pause_before(attempt: int, *, first_s: float, asked_s: float) -> float:
    """Seconds to wait before a repeated attempt (the first is 1): twice the previous pause, or `asked_s` of Retry-After if that is
    longer."""
    return max(min(first_s * 2.0 ** (attempt - 1), LONGEST_PAUSE_S), asked_s)


def _asked_s(retry_after: str | None) -> float:
    """The seconds in Retry-After; 0 without one, or if it is a date."""
    if retry_after is None or not retry_after.isascii() or not retry_after.isdigit():
        return 0.0
    return min(float(retry_after), LONGEST_PAUSE_S)
