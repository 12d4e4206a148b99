"""What is left of requests when a master is killed: each operation that was planned ends with one status and one record."""

from collections import Counter

from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import HandmadeAgent, assert_sums, call, outcomes, start_master, state, submit

PATIENT = ("--keepalive-s", "5", "--agent-timer-s", "50", "--master-timer-s", "60", "--reconnect-s", "20")
"""For agents that send no keep-alive."""
TWO_PLACES = {"technique": "PING", "agents": ["ALL"], "destinations": ["127.0.0.1", "127.0.0.2"]}


def test_operations_that_were_open_when_the_master_was_killed_end_with_one_status_each(serve, tmp_path):
    master = start_master(serve, tmp_path, timers=PATIENT)
    agents = [HandmadeAgent(master.url, name).connect() for name in ("a1", "a2")]
    live, kept = submit(master.url, **TWO_PLACES), submit(master.url, **TWO_PLACES, period_s=600.0, keep=True)
    first, second = (agent.next_start() for agent in agents)
    assert agents[0].deliver(first)[1]["accepted"] == 1
    assert state(master.url, live["id"])["open"] == 3
    port = master.port
    master.kill()

    master = start_master(serve, tmp_path, listen=f"127.0.0.1:{port}")
    found = state(master.url, live["id"])
    assert (found["state"], found["planned"], found["open"], found["statuses"]) == ("lost", 4, 3, {"ok": 1})
    # An agent returns with what it measured meanwhile. What was recorded before the kill does not count again.
    agents[1].register()
    assert agents[1].deliver(second)[1] == {"accepted": 1, "refused": {}}
    assert agents[1].deliver(second)[1] == {"accepted": 0, "refused": {"late": 1}}
    agents[0].register()
    assert agents[0].deliver(first)[1] == {"accepted": 0, "refused": {"late": 1}}
    # The others expire when all agents have had the time to return.
    eventually(lambda: all(state(master.url, each["id"])["open"] == 0 for each in (live, kept)))
    # The next round of the kept request begins then, without any agent.
    for request, statuses in ((live, {"expired": 2, "ok": 2}), (kept, {"agent_lost": 4, "expired": 4})):
        found = state(master.url, request["id"])
        assert_sums(found)
        assert (found["planned"], found["statuses"]) == (sum(statuses.values()), statuses)
        records = outcomes(master.url, request["id"])
        assert Counter(each["outcome"]["status"] for each in records) == statuses
        assert len({each["outcome"]["operation_id"] for each in records}) == len(records)
    assert "the master restarted" in next(each["outcome"]["reason"] for each in records if each["outcome"]["status"] == "expired")

    # A second restart finds nothing open. The master writes records just after it has counted them.
    written = (tmp_path / "measurement").glob
    eventually(lambda: sum(each.read_bytes().count(b"\n") for each in written("operations-*.ndjson")) == 12, "all records")
    saved = tmp_path / "measurement" / "requests.json"
    eventually(lambda: live["id"].encode() not in saved.read_bytes(), "the end of the request is saved")
    master.kill()
    master = start_master(serve, tmp_path, listen=f"127.0.0.1:{port}")
    assert call(master.url, "GET", f"/v1/measurements/{live['id']}")[0] == 404
    found = state(master.url, kept["id"])
    assert_sums(found)
    assert (found["state"], found["statuses"]) == ("waiting", {"agent_lost": 4, "expired": 4})
