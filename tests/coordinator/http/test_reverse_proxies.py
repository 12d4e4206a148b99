"""Senders behind a reverse proxy: their address is read from the header that the proxy writes, or counted as unknown."""

import asyncio
import json
import tracemalloc

import pytest

from coordinator.carriers.http_carrier import HttpCarrier
from coordinator.carriers.outbox import Outbox
from coordinator.http.answers import Answers
from coordinator.http.connection_limits import ConnectionLimits
from coordinator.http.feedback_handler import FeedbackHandler
from coordinator.ingest_keys import IngestKeys
from coordinator.settings import Settings
from coordinator.worker_counters import WorkerCounters
from feedback_wire.kinds import RecordKind
from tests.harness.waiting import eventually

BEHIND = ("--trusted-proxy", "127.0.0.0/8", "--ip", "keep")


def addresses(coordinator, receiver, message, header: str, values: list[str]) -> list[str]:
    """The addresses that are recorded for senders that the proxy names like this."""
    before = len(receiver.records)
    for value in values:
        assert coordinator.post(json.dumps(message()).encode(), **{header: value})[0] == 202
    return [record["ip"] for record in receiver.records[before:]]


@pytest.mark.parametrize(
    ("header", "values", "recorded"),
    [
        (
            "x-forwarded-for",
            ["203.0.113.7:1234", "[2001:db8::7]", '"[2001:db8::7]:80"', "203.0.113.7,", "1.1.1.1, 203.0.113.7", "fe80::7%eth0"],
            ["203.0.113.7", "2001:db8::7", "2001:db8::7", "203.0.113.7", "203.0.113.7", "fe80::7"],
        ),
        ("forwarded", ['for=1.1.1.1, for="[2001:db8::7]:80";proto=https'], ["2001:db8::7"]),
        ("x-real-ip", ["203.0.113.7"], ["203.0.113.7"]),
    ],
)
def test_addresses_behind_a_trusted_proxy_are_read_from_the_header_that_it_writes(
    coordinators, receiver, message, header: str, values: list[str], recorded: list[str]
):
    coordinator = coordinators(receiver, flags=(*BEHIND, "--proxy-header", header))
    assert addresses(coordinator, receiver, message, header, values) == recorded
    others = {"x-forwarded-for", "forwarded", "x-real-ip"} - {header}
    for other in others:  # any sender may have written them
        assert addresses(coordinator, receiver, message, other, ["198.51.100.1"]) == ["127.0.0.1"]
    assert coordinator.metrics()['senders_unknown_total{reason="absent"}'] == 2


def test_an_unreadable_address_is_recorded_as_none_counted_and_logged_once(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=BEHIND)
    values = ["rubbish", "203.0.113.7, 203.0.113", "unknown", "_hidden", ","]
    assert addresses(coordinator, receiver, message, "x-forwarded-for", values) == ["", "", "", "", "127.0.0.1"]
    metrics = coordinator.metrics()
    counts = {reason: metrics[f'senders_unknown_total{{reason="{reason}"}}'] for reason in ("unreadable", "hidden", "absent")}
    assert counts == {"unreadable": 2, "hidden": 2, "absent": 1}
    eventually(lambda: "x-forwarded-for of trusted proxies" in coordinator.log_text(), "a warning is logged")
    assert "203.0.113" not in coordinator.log_text()
    assert coordinator.log_text().count("of trusted proxies") == 1


def test_forwarding_headers_are_ignored_unless_the_peer_is_a_trusted_proxy(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--trusted-proxy", "10.0.0.0/8", "--ip", "keep"))
    assert addresses(coordinator, receiver, message, "x-forwarded-for", ["203.0.113.7", "rubbish"]) == ["127.0.0.1"] * 2
    assert not [name for name in coordinator.metrics() if name.startswith("senders_unknown")]


def test_zone_ids_take_no_memory():
    async def promise() -> int:
        settings = Settings(feedback_server=("http://127.0.0.1:9",), insecure=True, trusted_proxy=("127.0.0.0/8",))
        links = {url.geturl(): HttpCarrier(url, "", lambda: settings.tls().link) for url in settings.servers}
        outbox = Outbox(links, None, "round-robin", WorkerCounters())
        handler = FeedbackHandler(
            settings,
            IngestKeys(()),
            {RecordKind.FEEDBACK: outbox},
            None,
            WorkerCounters(),
            Answers(),
            connection_limits=ConnectionLimits(serving=100, refusing=100),
        )
        tracemalloc.start()
        for number in range(2_000):
            handler.prefixes.of("127.0.0.1", f"fe80::1%{number}" + "z" * 10_000)
            handler.prefixes.of("127.0.0.1", f"fe80::1%z{number}")
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await outbox.close()
        return taken

    assert asyncio.run(promise()) < 2_000_000


def test_a_header_that_no_proxy_writes_is_refused_at_startup():
    with pytest.raises(ValueError, match="--trusted-proxy"):
        Settings(feedback_server=("http://127.0.0.1:9",), insecure=True, proxy_header="forwarded")
