"""Ingest keys: which are accepted, how much each may send, what is shown of them, and that each leaves room for the others."""

import json
import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.ingest_keys import BURST_S, FREE_TIMES, IngestKey, IngestKeys, KeyTerms, read_terms
from feedback_wire.problem import Problem
from tests.harness.waiting import eventually

FILE = """
[keys.tv-app]
secret = "tv-secret"
batch_bytes = 2000

[keys.web]
secret = "web-secret"
messages_per_second = 2

[keys.stolen]
secret = "old-secret"
revoked = true
"""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def keyed(coordinators, receiver, key_file):
    return coordinators(receiver, flags=("--keys", str(key_file), "--key", "plain", "--token", "t"))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def status(coordinator, secret: str, *messages: dict) -> int:
    return coordinator.post(json.dumps(messages).encode(), **bearer(secret))[0]


def test_every_key_that_is_not_revoked_is_accepted_and_counted_by_name(keyed, message):
    assert [status(keyed, secret, message()) for secret in ("tv-secret", "web-secret", "plain")] == [202] * 3
    assert [status(keyed, secret, message()) for secret in ("old-secret", "tv-app", "tv-secre", "tv-secrets", "")] == [401] * 5
    metrics = keyed.metrics()
    assert {key: metrics[f'key_messages_total{{key="{key}"}}'] for key in ("tv-app", "web", "key-1")} == dict.fromkeys(
        ("tv-app", "web", "key-1"), 1
    )
    _, _, text = keyed.request("GET", "/metrics", **bearer("metrics"))
    text_and_log = text.decode() + keyed.log_text()
    assert not any(secret in text_and_log for secret in ("tv-secret", "web-secret", "old-secret", 'plain"'))


def test_a_key_that_sends_too_fast_gets_a_retry_time_and_other_keys_are_not_delayed(keyed, message):
    assert status(keyed, "web-secret", *(message() for _ in range(7))) == 202  # a burst of 4, and 3 in advance
    body = json.dumps(message()).encode()
    code, headers, answer = keyed.request("POST", "/v1/feedback", body, **bearer("web-secret"))
    assert (code, json.loads(answer)["reason"]) == (429, "rate_limited")
    assert 1 <= int(headers["retry-after"]) <= 3
    assert status(keyed, "tv-secret", message()) == 202
    time.sleep(int(headers["retry-after"]) + 1)  # Retry-After, and the coordinator's clock ticks once a second
    assert status(keyed, "web-secret", message()) == 202
    metrics = keyed.metrics()
    assert metrics['key_requests_rate_limited_total{key="web"}'] == 1
    assert metrics['requests_refused_total{reason="rate_limited"}'] == 1


def test_a_key_with_small_batches_gets_413_for_larger_ones_with_and_without_content_length(keyed, message):
    body = json.dumps(message(channel="x" * 250)).encode()
    assert len(body) < 2000 < 8 * len(body)
    assert status(keyed, "tv-secret", *[json.loads(body)] * 8) == 413
    assert status(keyed, "plain", *[json.loads(body)] * 8) == 202
    with keyed.connect() as connection:
        connection.sendall(
            b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tv-secret\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(3):
            connection.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        assert b" 413 " in connection.recv(100)


def test_keys_are_revoked_and_added_without_a_restart_even_on_open_connections(keyed, key_file, message):
    body = json.dumps(message()).encode()
    request = f"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer tv-secret\r\nContent-Length: {len(body)}\r\n\r\n"
    with keyed.connect() as connection:
        for _ in range(2):  # the second time the head is cached
            connection.sendall(request.encode() + body)
            assert b" 202 " in connection.recv(1000)
        key_file.write_text('[keys.tv-app]\nsecret = "tv-secret"\nrevoked = true\n\n[keys.next]\nsecret = "next-secret"\n')
        keyed.reload()
        eventually(lambda: status(keyed, "next-secret", message()) == 202, "the new key is accepted")
        connection.sendall(request.encode() + body)
        assert b" 401 " in connection.recv(1000)
    assert status(keyed, "web-secret", message()) == 401
    assert status(keyed, "plain", message()) == 202


def test_an_unusable_key_file_leaves_the_former_keys_in_force(keyed, key_file, message):
    key_file.write_text('[keys.tv-app]\nsecret = "tv-secret" rubbish')
    keyed.reload()
    eventually(lambda: "the former keys stay in force" in keyed.log_text(), "the mistake is logged")
    key_file.write_text(f"keys = {'[' * 10_000}")
    keyed.reload()
    eventually(lambda: "maximum recursion depth exceeded" in keyed.log_text(), "the mistake is logged")
    assert "Traceback" not in keyed.log_text()
    assert "tv-secret" not in keyed.log_text()
    assert status(keyed, "tv-secret", message()) == 202


def test_all_workers_refuse_a_revoked_key(coordinators, receiver, key_file, message):
    coordinator = coordinators(receiver, flags=("--keys", str(key_file), "--token", "t", "--workers", "2"))
    assert {status(coordinator, "tv-secret", message()) for _ in range(10)} == {202}
    key_file.write_text(FILE.replace("tv-secret", "changed"))
    coordinator.reload()
    eventually(lambda: {status(coordinator, "tv-secret", message()) for _ in range(10)} == {401}, "no worker accepts it")
    assert coordinator.stop() == 0


def test_a_key_that_fills_the_in_flight_limit_leaves_room_for_other_keys(coordinators, receiver, key_file, message):
    coordinator = coordinators(
        receiver, flags=("--keys", str(key_file), "--key", "hog", "--token", "t", "--in-flight-max-bytes", "40000")
    )
    receiver.released.clear()
    body = json.dumps([message(channel="x" * 200) for _ in range(20)]).encode()
    head = f"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hog\r\nContent-Length: {len(body)}\r\n\r\n"
    with coordinator.connect() as hog, coordinator.connect() as half:
        half.sendall(head.encode() + body[:6000])

        def holds_its_share() -> bool:
            hog.sendall(head.encode() + body)  # repeatedly: requests that wait for their check take room for a moment
            return coordinator.metrics()['key_held_bytes{key="key-1"}'] >= 30_000

        eventually(holds_its_share, "the greedy key holds its share")
        assert coordinator.post(body, **bearer("hog"))[0] == 503
        with coordinator.connect() as other:
            other.sendall(head.replace("hog", "web-secret").encode() + body)
            eventually(lambda: coordinator.metrics()['key_held_bytes{key="web"}'] > 0, "the other key's batch is accepted")
            receiver.released.set()
            assert b" 202 " in other.recv(1000)
    eventually(lambda: coordinator.metrics()["held_bytes"] == 0, "nothing is held in the end")
    metrics = coordinator.metrics()
    assert not any(value for name, value in metrics.items() if name.startswith("key_held_bytes"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("keys = 1", "a table"),
        ("", "a table"),
        ("[keys]\n", "a table"),
        ("[key.a]\nsecret = 's'", "a table"),
        ("[keys.a]\n", "give it a table"),
        ("[keys.a]\nsecret = 1", "visible ASCII"),
        ("[keys.a]\nsecret = 'two words'", "visible ASCII"),
        ("[keys.a]\nsecret = ''", "visible ASCII"),
        ("[keys.'a b']\nsecret = 's'", "A-Z"),
        ("[keys.anyone]\nsecret = 's'", "not 'anyone'"),
        ("[keys.a]\nsecret = 's'\nrate = 1", "'rate' is unknown"),
        ("[keys.a]\nsecret = 's'\nmessages_per_second = 0", "above 0"),
        ("[keys.a]\nsecret = 's'\nmessages_per_second = nan", "above 0"),
        ("[keys.a]\nsecret = 's'\nmessages_per_second = true", "above 0"),
        ("[keys.a]\nsecret = 's'\nbatch_bytes = 1e3", "batch_bytes must be"),
        ("[keys.a]\nsecret = 's'\nrevoked = 1", "true or false"),
        ("[keys.a]\nsecret = 's'\n[keys.b]\nsecret = 's'", "keys a and b have the same secret"),
        ("secret", "not TOML"),
    ],
)
def test_a_bad_key_file_is_refused_with_advice(tmp_path: Path, text: str, words: str):
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_terms((), path)


def test_a_missing_key_file_is_reported_as_missing(tmp_path: Path):
    with pytest.raises(ValueError, match=r"does not exist; docs/coordinator\.md"):
        read_terms((), tmp_path / "none.toml")


@given(st.binary(max_size=60))
def test_no_header_but_a_valid_key_gives_access(header: bytes):
    keys = IngestKeys([KeyTerms(name="one", secret="s")])
    if header != b"Bearer s":
        with pytest.raises(Problem):
            keys.find(header)
    assert keys.find(b"Bearer s").name == "one"


@given(st.floats(0.1, 1e4), st.lists(st.tuples(st.integers(1, 100), st.floats(0.5, 2)), max_size=50))
def test_over_any_time_a_key_sends_at_most_its_rate_a_burst_and_one_batch(rate: float, requests: list[tuple[int, float]]):
    key = IngestKey("one")
    key.apply(KeyTerms(name="one", secret="s", messages_per_second=rate), 1)
    sent = elapsed = 0.0
    for size, pause in requests:
        if key.allowance > 0:
            key.allowance -= size
            sent += size
        key.refill(pause)
        elapsed += pause
    assert sent <= max(1, rate * BURST_S) + rate * elapsed + 100


@given(st.floats(0.01, 1e4), st.floats(-1e4, 0))
def test_a_key_that_waits_for_retry_after_may_send(rate: float, debt: float):
    key = IngestKey("one")
    key.apply(KeyTerms(name="one", secret="s", messages_per_second=rate), 1)
    key.allowance = debt
    pause = key.pause_s()
    key.refill(pause)
    assert key.allowance > 0 or pause == 3600


@given(st.lists(st.integers(0, 3), max_size=300))
def test_room_is_left_for_a_new_key_however_much_the_others_hold(order: list[int]):
    most, size = 100_000, 500
    held = [0, 0, 0, 0]
    for which in order * 3:
        if held[which] < FREE_TIMES * (most - sum(held)):
            held[which] += size
    assert sum(held) < most
    assert max(held) <= most * FREE_TIMES / (1 + FREE_TIMES) + size


def test_a_reload_keeps_the_counters_and_applies_the_new_rate_immediately():
    keys = IngestKeys([KeyTerms(name="one", secret="s")])
    key = keys.find(b"Bearer s")
    key.messages = 5
    assert key.allowance == math.inf
    keys.load([KeyTerms(name="one", secret="other", messages_per_second=10)])
    assert keys.find(b"Bearer other") is key
    assert key.allowance == 20
    assert keys.counted()["one"].messages == 5
