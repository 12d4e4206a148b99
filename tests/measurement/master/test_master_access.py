"""Who may do what at a real master: roles, limits, addresses, budgets, and the kill switch."""

import requests

from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import KEYS, SECRETS, HandmadeAgent, call, start_master, state, submit
from tests.measurement.responders import running_responder

PING = {"technique": "PING", "agents": ["ALL"], "destinations": ["127.0.0.1"]}


def keyed(serve, folder, *flags, listen="127.0.0.1:0"):
    (folder / "keys.toml").write_text(KEYS)
    return start_master(serve, folder, *flags, listen=listen, access=("--keys", str(folder / "keys.toml")))


def test_requesters_wait_between_requests_and_see_only_their_own_also_after_a_restart(serve, tmp_path):
    master = keyed(serve, tmp_path)
    HandmadeAgent(master.url, "a1", who="a1").connect()
    mine = submit(master.url, "alice", **PING)
    headers = {"authorization": f"Bearer {SECRETS['alice']}"}
    again = requests.post(f"{master.url}/v1/measurements", json=PING, headers=headers, timeout=60)
    assert again.status_code == 429
    assert 0 < int(again.headers["retry-after"]) <= 300
    assert again.json()["reason"] == "rate_limited"
    assert call(master.url, "POST", "/v1/measurements", "alice", **PING, dry_run=True)[0] == 200  # it measures nothing
    other = submit(master.url, "bob", **PING)
    for _ in range(2):
        submit(master.url, "noc", **PING)

    # What a requester may not see or do
    path = f"/v1/measurements/{other['id']}"
    assert call(master.url, "GET", path, "alice")[0] == 403
    assert call(master.url, "DELETE", path, "alice")[0] == 403
    assert call(master.url, "GET", path + "/outcomes", "alice")[0] == 403
    assert call(master.url, "GET", "/v1/agents", "alice")[0] == 403
    assert call(master.url, "PUT", "/v1/kill-switch", "alice", on=True)[0] == 403
    assert [each["id"] for each in call(master.url, "GET", "/v1/measurements", "alice")[1]["measurements"]] == [mine["id"]]
    assert len(call(master.url, "GET", "/v1/measurements", "noc")[1]["measurements"]) == 4
    assert call(master.url, "GET", "/v1/agents", "noc")[1]["agents"][0]["name"] == "a1"
    for fields in ({"priority": 1}, {"period_s": 10.0}, {"keep": True, "period_s": 400.0}):
        assert call(master.url, "POST", "/v1/measurements", "alice", **PING, **fields)[1]["reason"] == "not_allowed"

    # Keys
    assert call(master.url, "GET", "/v1/measurements", "wrong")[0] == 401
    assert call(master.url, "GET", "/v1/measurements")[0] == 401
    assert call(master.url, "GET", "/v1/measurements", "a1")[0] == 403
    assert call(master.url, "POST", "/v1/agents", "a2", name="a1", techniques=[])[1]["reason"] == "not_this_agent"
    assert call(master.url, "POST", "/v1/agents", "noc", name="a1", techniques=[])[0] == 403

    port = master.port
    assert master.stop() == 0
    master = keyed(serve, tmp_path, listen=f"127.0.0.1:{port}")
    HandmadeAgent(master.url, "a1", who="a1").connect()
    assert call(master.url, "POST", "/v1/measurements", "alice", **PING)[0] == 429
    assert state(master.url, mine["id"], "alice")["state"] == "lost"
    assert "is lost, because the master restarted" in master.log_text()
    assert not any(secret in master.log_text() for secret in SECRETS.values())


def test_what_must_not_be_measured_is_refused_to_managers_too(serve, tmp_path):
    master = start_master(serve, tmp_path, "--destination-packets", "50")
    HandmadeAgent(master.url, "a1", techniques=("PING", "IGI", "RTP", "SIP_INVITE")).connect()

    def refusal(**fields):
        status, answer = call(master.url, "POST", "/v1/measurements", **{"technique": "PING", "agents": ["ALL"]} | fields)
        return status, answer.get("reason"), answer.get("detail", "")

    for address in ("10.0.0.1", "192.168.1.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "[::1]", "[ff02::1]"):
        assert refusal(destinations=[address])[:2] == (403, "target_refused"), address
    status, reason, detail = refusal(technique="IGI", destinations=["127.0.0.1"])
    assert (status, reason) == (403, "target_refused")
    assert "has not consented" in detail
    with running_responder(token="token-of-this-host", host="127.0.0.1") as responder:
        trains = {"technique": "RTP", "destinations": [f"127.0.0.1:{responder.port}"], "agents": ["ALL"]}
        parameters = {"packets": 10, "token": "token-of-this-host"}
        wrong = refusal(**trains, parameters=parameters | {"token": "another-token"})
        assert wrong[:2] == (403, "target_refused")
        assert "the token is not that of the responder" in wrong[2]
        assert responder.counts["wrong_tokens"] == 1
        submit(master.url, **trains, parameters=parameters)
        assert responder.counts["sessions"] == 1
    assert "no responder listens" in refusal(**trains, parameters=parameters)[2]
    assert "phones ring" in refusal(technique="SIP_INVITE", destinations=["127.0.0.1"])[2]
    assert refusal(destinations=["127.0.0.1"], parameters={"count": 51})[:2] == (400, "invalid_request")
    assert "PING has no parameter 'color'" in refusal(destinations=["127.0.0.1"], parameters={"color": 1})[2]
    assert refusal(destinations=["no such host"])[:2] == (400, "invalid_request")
    assert refusal(destinations=["nothing.invalid"])[:2] == (400, "unresolved")
    assert "AUTO stands alone" in refusal(destinations=["127.0.0.1"], agents=["AUTO", "a1"])[2]
    assert "is not connected" in refusal(destinations=["127.0.0.1"], agents=["a9"])[2]
    assert "has the tags" in refusal(destinations=["127.0.0.1"], agents=["country=XX"])[2]


def test_a_destinations_budget_is_shared_by_all_requests(serve, tmp_path):
    master = start_master(serve, tmp_path, "--destination-packets", "25")
    agent = HandmadeAgent(master.url, "a1").connect()
    first = submit(master.url, **PING, parameters={"count": 20})
    agent.deliver(agent.next_start())
    second = submit(master.url, **PING, parameters={"count": 20})
    assert second["statuses"] == {"rate_limited": 1}
    assert state(master.url, first["id"])["statuses"] == {"ok": 1}


def test_the_kill_switch_stops_every_agent_and_stays_on_after_a_restart(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agent = HandmadeAgent(master.url, "a1").connect()
    live = submit(master.url, **PING)
    agent.next_start()
    assert call(master.url, "PUT", "/v1/kill-switch", on=True)[1] == {"on": True}
    eventually(lambda: agent.commands[-1]["type"] == "stop_all")
    assert state(master.url, live["id"])["state"] == "stopped"
    assert call(master.url, "POST", "/v1/measurements", **PING)[1]["reason"] == "all_stopped"
    port = master.port
    master.stop()
    master = start_master(serve, tmp_path, listen=f"127.0.0.1:{port}")
    assert call(master.url, "POST", "/v1/measurements", **PING)[1]["reason"] == "all_stopped"
    assert call(master.url, "PUT", "/v1/kill-switch", on=False)[1] == {"on": False}
    HandmadeAgent(master.url, "a1").connect()
    submit(master.url, **PING)


def test_without_a_destination_the_client_itself_is_measured(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agent = HandmadeAgent(master.url, "a1").connect()
    accepted = submit(master.url, technique="PING")
    assert [each["address"] for each in accepted["destinations"]] == ["127.0.0.1"]
    assert agent.next_start()["operation"]["destination"]["address"] == "127.0.0.1"


def test_an_old_epoch_is_refused_and_a_repeated_outcome_counts_once(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agent = HandmadeAgent(master.url, "a1").connect()
    live = submit(master.url, **PING)
    start = agent.next_start()
    old = agent.epoch
    agent.register()
    assert agent.deliver(start)[1] == {"accepted": 1, "refused": {}}  # the spool, before the stream
    agent.connect()
    assert agent.deliver(start)[1] == {"accepted": 0, "refused": {"late": 1}}
    new, agent.epoch = agent.epoch, old
    for answer in (agent.deliver(start), agent.keep_alive()):
        assert answer[0] == 409
        assert answer[1]["reason"] == "old_epoch"
    agent.epoch = new
    assert agent.keep_alive()[0] == 200
    found = state(master.url, live["id"])
    assert (found["state"], found["statuses"]) == ("done", {"ok": 1})
    metrics = requests.get(f"{master.url}/metrics", timeout=60).text
    assert 'outcomes_refused_total{reason="late"} 1.0' in metrics
    assert 'refused_total{reason="old_epoch"} 2.0' in metrics


def test_a_body_that_nests_too_deep_or_is_not_utf_8_is_refused_on_every_route(serve, tmp_path):
    master = start_master(serve, tmp_path)
    deep = b'{"name":' * 20_000 + b"1" + b"}" * 20_000
    for method, path in (("POST", "/v1/measurements"), ("POST", "/v1/agents"), ("PUT", "/v1/kill-switch")):
        refused = requests.request(method, master.url + path, data=deep, timeout=60)
        assert refused.status_code == 400, (path, refused.text)
        refused = requests.request(method, master.url + path, data=b'{"name":"\xff","technique":"\xff","\xff":1}', timeout=60)
        assert refused.status_code == 400, (path, refused.text)
    assert "Traceback" not in master.log_text()
