import gzip
import json
import zlib

import pytest
import zstandard
from prometheus_client.parser import text_string_to_metric_families

from coordinator.http.content_encoding import inflate
from feedback_wire.problem import Problem
from tests.harness.waiting import eventually


def encoded(message: object) -> bytes:
    return json.dumps(message).encode()


def balanced(metrics: dict[str, float]) -> bool:
    refused = sum(value for name, value in metrics.items() if name.startswith("messages_refused_total"))
    kept = sum(metrics[f"messages_{name}_total"] for name in ("forwarded", "spooled", "sampled_out"))
    return metrics["messages_received_total"] == kept + refused + metrics["messages_in_flight"]


def test_a_single_message_an_array_and_ndjson_arrive_with_their_own_bytes(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--name", "hk-1"))
    one = b'{"v":1, "peer_id":"p\\u0041" ,"session_id":"s","seq":0,"event":"join","sent_ms":1,"mine":[1.50]}'
    assert coordinator.post(one) == (202, {"accepted": 1})
    assert coordinator.post(encoded([message(), message()])) == (202, {"accepted": 2})
    assert coordinator.post(b"\n".join(encoded(message()) for _ in range(3)), "application/x-ndjson") == (202, {"accepted": 3})
    prefix = b'{"ip":"127.0.0.0","weight":1.0,"via":"hk-1",'
    assert prefix + one[1:] + b"\n" in receiver.batches.values()
    assert [record["seq"] for record in receiver.records if record["peer_id"] == "peer"] == [0, 1, 2, 3, 4]
    assert all(lines.endswith(b"\n") for lines in receiver.batches.values())


@pytest.mark.parametrize(("encoding", "shrink"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_compressed_feedback_is_accepted(coordinators, receiver, message, encoding, shrink):
    coordinator = coordinators(receiver)
    body = shrink(encoded([message() for _ in range(100)]))
    assert coordinator.post(body, content_encoding=encoding) == (202, {"accepted": 100})
    assert len(receiver.records) == 100


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_body_that_ends_too_early_is_refused_wherever_it_ends(encoding):
    """Its encoder flushes each line, so the lines before the end can be read completely."""
    lines = [b'{"v":1,"x":"%040x"}\n' % number for number in (7**50, 5**60)]
    if encoding == "gzip":
        gzip_packer = zlib.compressobj(wbits=31)
        packed = [gzip_packer.compress(line) + gzip_packer.flush(zlib.Z_SYNC_FLUSH) for line in lines] + [gzip_packer.flush()]
    else:
        packer = zstandard.ZstdCompressor().compressobj()
        flush = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        packed = [packer.compress(line) + packer.flush(flush) for line in lines] + [packer.flush()]
    whole = b"".join(packed)
    assert inflate(whole, encoding) == b"".join(lines)
    for cut in range(1, len(whole)):
        with pytest.raises(Problem) as refused:
            inflate(whole[:cut], encoding)
        assert refused.value.reason == "bad_encoding"


def test_the_valid_messages_of_a_batch_are_kept_and_each_invalid_one_gets_a_reason(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    lines = [encoded(message()), b"rubbish", encoded(message(seq=-1)), encoded(message(ip="1.2.3.4")), encoded(message())]
    status, answer = coordinator.post(b"\n".join(lines), "application/x-ndjson")
    assert (status, answer["accepted"]) == (202, 2)
    assert [(refused["index"], refused["reason"]) for refused in answer["refused"]] == [
        (1, "malformed"),
        (2, "invalid_field"),
        (3, "reserved_name"),
    ]
    assert "$.seq" in answer["refused"][1]["detail"]
    assert len(receiver.records) == 2
    metrics = coordinator.metrics()
    assert metrics['messages_refused_total{reason="malformed"}'] == 1
    assert metrics["messages_accepted_total"] == 2
    assert balanced(metrics)


def test_a_request_without_any_acceptable_message_gets_a_problem(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    status, headers, answer = coordinator.request("POST", "/v1/feedback", b'{"v":2}')
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(answer)["reason"] == "missing_field"
    status, answer = coordinator.post(encoded([1, 2]))
    assert (status, answer["reason"], len(answer["refused"])) == (400, "all_refused", 2)
    assert coordinator.post(b"[]") == (202, {"accepted": 0})
    assert receiver.arrivals == 0
    assert balanced(coordinator.metrics())


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"content_type": "text/html"}, 415, "unsupported_type"),
        ({"content_encoding": "br"}, 415, "unsupported_encoding"),
        ({"content_encoding": "gzip"}, 400, "bad_encoding"),
        ({"content_encoding": "zstd"}, 400, "bad_encoding"),
    ],
)
def test_an_unreadable_request_is_refused_with_its_reason(coordinators, receiver, message, headers, status, reason):
    coordinator = coordinators(receiver)
    answered, problem = coordinator.post(encoded(message()), **({"content_type": "application/json"} | headers))
    assert (answered, problem["status"], problem["reason"]) == (status, status, reason)
    assert coordinator.metrics()[f'requests_refused_total{{reason="{reason}"}}'] == 1


def test_a_large_batch_is_forwarded_in_pieces_that_a_feedback_server_accepts(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    body = encoded([message(channel="x" * 250) for _ in range(9000)])
    assert coordinator.post(gzip.compress(body), content_encoding="gzip") == (202, {"accepted": 9000})
    assert [record["seq"] for record in receiver.records] == list(range(9000))
    assert max(map(len, receiver.batches.values())) <= 1024 * 1024
    assert coordinator.metrics()["held_bytes"] == 0


def test_only_requests_with_a_valid_key_are_accepted(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--key", "one", "--key", "two", "--token", "secret"))
    body = encoded(message())
    for key in ("one", "two"):
        assert coordinator.post(body, authorization=f"Bearer {key}")[0] == 202
    for wrong in ("Bearer three", "one", "Bearer secret", "Bearer one "):
        status, headers, _ = coordinator.request("POST", "/v1/feedback", body, authorization=wrong.strip() + "x")
        assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert coordinator.post(body)[0] == 401
    assert set(receiver.tokens) == {"Bearer secret"}
    assert coordinator.request("GET", "/healthz")[0] == 200
    assert not any(secret in coordinator.log_text() for secret in ("one", "two", "secret"))


def test_a_browser_may_send_a_preflight_request_and_read_the_answer(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    status, headers, _ = coordinator.request("OPTIONS", "/v1/feedback", origin="https://x", access_control_request_method="POST")
    assert (status, headers["access-control-allow-origin"], headers["access-control-allow-methods"]) == (204, "*", "POST")
    assert "authorization" in headers["access-control-allow-headers"]
    for body in (encoded(message()), b"rubbish"):
        assert coordinator.request("POST", "/v1/feedback", body)[1]["access-control-allow-origin"] == "*"


def test_a_sample_keeps_whole_end_hosts_records_their_weight_and_counts_the_others(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--sample", "0.25"))
    body = encoded([message(peer_id=f"peer-{peer}", session_id=f"s-{peer}", seq=seq) for peer in range(400) for seq in range(3)])
    assert coordinator.post(body) == (202, {"accepted": 1200})
    kept = {record["peer_id"] for record in receiver.records}
    assert 60 < len(kept) < 140
    assert len(receiver.records) == 3 * len(kept)
    assert {record["weight"] for record in receiver.records} == {4}
    metrics = coordinator.metrics()
    assert metrics["messages_sampled_out_total"] == 1200 - len(receiver.records)
    assert balanced(metrics)
    for peer in range(20):
        assert coordinator.post(encoded(message(peer_id=f"peer-{peer}"))) == (202, {"accepted": 1})


def test_messages_that_senders_dropped_are_counted(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    for forgotten in ("3", "4", "-1", "x", ""):
        assert coordinator.post(encoded(message()), swarmscope_forgotten=forgotten)[0] == 202
    assert coordinator.metrics()["messages_forgotten_by_senders_total"] == 7


def test_messages_beyond_the_in_flight_limit_are_refused_until_there_is_room(coordinators, receiver, message):
    coordinator = coordinators(receiver, flags=("--in-flight-max-bytes", "20000"))
    receiver.released.clear()
    big = encoded([message(channel="x" * 200) for _ in range(60)])
    request = f"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: {len(big)}\r\n\r\n".encode() + big
    with coordinator.connect() as waiting:
        waiting.sendall(request)
        eventually(lambda: coordinator.metrics()["held_bytes"] > 20_000, "the first batch is held")
        status, headers, answer = coordinator.request("POST", "/v1/feedback", encoded(message()))
        assert (status, json.loads(answer)["reason"]) == (503, "overloaded")
        assert int(headers["retry-after"]) >= 1
        receiver.released.set()
        assert b" 202 " in waiting.recv(100)
    assert coordinator.post(encoded(message()))[0] == 202
    metrics = coordinator.metrics()
    assert metrics["held_bytes"] == 0
    assert balanced(metrics)


def test_metrics_are_valid_prometheus_text(coordinators, receiver, message):
    coordinator = coordinators(receiver)
    coordinator.post(encoded([message(), {}]))
    _, headers, text = coordinator.request("GET", "/metrics")
    assert headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(text.decode())}
    assert all(name.startswith("swarmscope_coordinator_") and family.documentation for name, family in families.items())
    assert families["swarmscope_coordinator_answer_seconds"].type == "histogram"
    assert [sample.value for sample in families["swarmscope_coordinator_messages_received"].samples] == [2]
