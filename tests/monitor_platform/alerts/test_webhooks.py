"""Webhooks are called over real HTTP, repeatedly if necessary, and dropped calls are counted."""

import asyncio
import json
import logging

import pytest
from aiohttp import web

from monitor_platform.alerts.rules import Webhook
from monitor_platform.alerts.webhooks import (
    ATTEMPTS,
    HIDDEN,
    LONGEST_PAUSE_S,
    MOST_WAITING,
    Notification,
    WebhookSender,
    body,
    pause_before,
    sample_notification,
    without_secrets,
)

FACTS = {
    "severity": "critical",
    "until": None,
    "title": "stalls: isp <b>HGC</b> & @everyone",
    "text": "worst minute 0.6",
    "slice": {},
}
NEWS = Notification(facts=FACTS, link="https://monitor.example.org/?isp=HGC")


async def deliver(answers, shape="json", notification=NEWS, *, until, deliveries=None):
    """Run a sender with a receiver that gives `answers` in turn, then 204, until `until` (counts, received) is true.

    `answers` may also be a function that gives the status of an answer to a body.
    `deliveries`: a list that gets what the sender remembers.
    """
    received, left = [], [] if callable(answers) else list(answers)

    async def receive(request):
        received.append(await request.json())
        status = answers(received[-1]) if callable(answers) else left.pop(0) if left else 204
        return web.Response(status=status, text=None if status == 204 else f"not at {request.path}")

    app = web.Application()
    app.router.add_post("/hook/s3cret", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    sender = WebhookSender((Webhook(url=f"http://127.0.0.1:{port}/hook/s3cret", shape=shape),), first_pause_s=0.001)
    running = asyncio.create_task(sender.run())
    sender.send(notification)
    async with asyncio.timeout(20):
        while not until(sender.counts, received):  # noqa: ASYNC110 - two things may come true
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await runner.cleanup()
    if deliveries is not None:
        deliveries.extend(sender.deliveries[0])
    return sender.counts, received


def test_a_busy_receiver_is_called_again():
    counts, received = asyncio.run(deliver([500, 429, 503], until=lambda counts, _: counts["sent"]))
    assert (counts["sent"], counts["failed"], len(received)) == (1, 0, 4)
    assert all(each == {**FACTS, "link": NEWS.link} for each in received)


def test_a_permanently_refused_call_is_dropped_and_logged_without_the_address(caplog):
    with caplog.at_level(logging.ERROR):
        counts, received = asyncio.run(deliver([404], until=lambda counts, _: counts["failed"]))
    assert (counts["failed"], len(received)) == (1, 1)
    assert "404" in caplog.text
    assert "s3cret" not in caplog.text


def test_what_was_sent_and_answered_is_kept_without_the_secret_parts_of_the_address():
    deliveries = []
    asyncio.run(
        deliver([503, 404], notification=sample_notification("https://m"), until=lambda c, _: c["failed"], deliveries=deliveries)
    )
    [delivery] = deliveries
    assert (delivery.outcome, delivery.attempts, delivery.answer) == ("failed", 2, f"404 not at /hook/{HIDDEN}")
    assert json.loads(delivery.sent)["test"] is True
    accepted = []
    asyncio.run(deliver([], until=lambda counts, _: counts["sent"], deliveries=accepted))
    assert [(each.outcome, each.attempts, each.answer) for each in accepted] == [("sent", 1, "204")]
    assert without_secrets("k=a%20b5678 a b5678 hook", "https://h/hook?key=a%20b5678") == f"k={HIDDEN} {HIDDEN} hook"


def test_the_number_of_tries_is_limited(caplog):
    counts, received = asyncio.run(deliver([500] * 50, until=lambda counts, _: counts["failed"]))
    assert (counts["failed"], len(received)) == (1, ATTEMPTS)


def test_the_pauses_double_and_retry_after_prolongs_one_of_them():
    """A receiver that once asks for no pause (Retry-After: 0) is not called seven times at once."""
    assert [pause_before(attempt, first_s=2.0, asked_s=0.0) for attempt in range(1, 5)] == [2.0, 4.0, 8.0, 16.0]
    assert pause_before(2, first_s=2.0, asked_s=30.0) == 30.0
    assert pause_before(ATTEMPTS, first_s=1000.0, asked_s=0.0) == LONGEST_PAUSE_S


def test_a_redirect_is_not_followed():
    counts, received = asyncio.run(deliver([307], until=lambda counts, _: counts["failed"]))
    assert (counts["failed"], len(received)) == (1, 1)


def test_an_absent_receiver_costs_bounded_memory():
    sender = WebhookSender((Webhook(url="http://127.0.0.1:1/"),))
    for _ in range(MOST_WAITING + 5):
        sender.send(NEWS)
    assert sender.counts["dropped"] == 5


def test_webhooks_of_a_reloaded_file_are_used_at_once_and_keep_or_count_what_waited():
    async def reload():
        received = []

        async def receive(request):
            received.append(request.path)
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/{name}", receive)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        stays, added = (Webhook(url=f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/{n}") for n in ("stays", "added"))
        sender = WebhookSender((Webhook(url="http://127.0.0.1:1/gone"), stays), first_pause_s=1000)
        sender.send(NEWS)
        sender.use((added, stays))
        assert (sender.waiting(0), sender.waiting(1), sender.counts["dropped"]) == (0, 1, 1)
        running = asyncio.create_task(sender.run())
        async with asyncio.timeout(60):
            while sender.counts["sent"] < 1:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.005)
            later = Webhook(url=added.url.replace("added", "later"))
            sender.use((stays, later))
            sender.send(NEWS)
            while sender.counts["sent"] < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await runner.cleanup()
        assert sorted(received) == ["/later", "/stays", "/stays"]
        assert (sender.webhooks, [each["sent"] for each in sender.counts_of]) == ((stays, later), [2, 1])

    asyncio.run(reload())


def test_chat_services_get_their_own_format_and_names_ping_no_user():
    discord = body(NEWS, "discord")
    assert discord["allowed_mentions"] == {"parse": []}
    assert discord["content"].startswith("CRITICAL: stalls")
    assert len(body(Notification(facts=FACTS | {"text": "x" * 9_000}, link="l"), "discord")["content"]) <= 2_000
    slack = body(NEWS, "slack")
    assert "&lt;b&gt;HGC&lt;/b&gt; &amp; @everyone" in slack["text"]
    assert "<https://monitor.example.org/?isp=HGC|dashboard>" in slack["text"]


@pytest.mark.parametrize(("until", "word"), [(None, "CRITICAL"), (5, "Over")])
def test_the_first_word_states_whether_an_alert_begins_or_ends(until, word):
    assert Notification(facts=FACTS | {"until": until}, link="").text.startswith(word)
