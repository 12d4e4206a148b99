"""Clients, masters and agents that disappear (Emodis, section 6): real processes, and a proxy that cuts a link without a sign."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.chaos_proxy import ChaosProxy, Toxics
from tests.harness.ports import free_port
from tests.harness.processes import start_swarmscope
from tests.harness.waiting import eventually
from tests.measurement.measurement_lab import (
    TIMERS,
    assert_sums,
    call,
    is_running,
    outcomes,
    probes_of,
    start_agent,
    start_master,
    state,
    submit,
)

LISTEN = "0A"
"""In /proc/net/tcp."""

FLAGS = dict(zip(TIMERS[::2], map(float, TIMERS[1::2]), strict=True))

LONG = {"technique": "PING", "parameters": {"count": 1000, "interval_ms": 200}, "time_limit_s": 300.0}
"""An operation that runs until something ends it."""

OUTPUT_UNREAD = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def agents_of(url):
    return {each["name"]: each for each in call(url, "GET", "/v1/agents")[1]["agents"] if each["connected"]}


def running(agent):
    """The probe process of an agent that measures."""
    return eventually(lambda: probes_of(agent), "a probe process")[0]


def listening_sockets(pid):
    """The inodes of the TCP sockets on which a process listens."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    listening = {row[9] for row in rows if row[3] == LISTEN}
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return {inode for inode in listening if f"socket:[{inode}]" in links}


def test_when_an_agent_is_killed_waiting_agents_continue_and_its_probe_process_ends(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agents = {name: start_agent(serve, tmp_path, name, master.url) for name in ("a1", "a2")}
    live = submit(master.url, agents=["ALL"], destinations=["127.0.0.1"], **LONG)
    first = eventually(lambda: next((name for name in agents if probes_of(agents[name])), None), "an agent that measures")
    probe, other = running(agents[first]), next(name for name in agents if name != first)
    assert not probes_of(agents[other])  # no two agents measure one destination
    agents[first].kill()
    eventually(lambda: not is_running(probe), "the end of the probe process")
    assert state(master.url, live["id"])["statuses"].get("agent_lost", 0) <= 1
    eventually(lambda: probes_of(agents[other]), "the turn of the agent that waited")
    found = state(master.url, live["id"])
    assert found["statuses"] == {"agent_lost": 1}
    assert_sums(found)
    (lost,) = outcomes(master.url, live["id"])
    assert lost["agent"] == first
    assert lost["outcome"]["reason"] == "the agent disconnected before it delivered an outcome"

    # The kill switch ends what the other one does.
    probe = running(agents[other])
    assert call(master.url, "PUT", "/v1/kill-switch", on=True)[1] == {"on": True}
    eventually(lambda: not is_running(probe), "the end of all probing")
    found = state(master.url, live["id"])
    assert (found["state"], found["statuses"]) == ("stopped", {"agent_lost": 1, "cancelled": 1})
    assert_sums(found)


def test_a_link_that_is_cut_without_a_sign_never_lets_two_agents_measure_one_destination(serve, tmp_path):
    """Half open: the agent lives on and stops at its own timer; the master frees the destination at its longer one."""
    master = start_master(serve, tmp_path)
    with ChaosProxy(master.url) as link:
        agents = {"a1": start_agent(serve, tmp_path, "a1", link.url), "a2": start_agent(serve, tmp_path, "a2", master.url)}
        cut = submit(master.url, agents=["a1"], destinations=["127.0.0.1"], **LONG)
        probe = running(agents["a1"])
        waiting = submit(master.url, agents=["a2"], destinations=["127.0.0.1"], **LONG)
        link.toxics = Toxics(half_open=True)
        second = eventually(lambda: probes_of(agents["a2"]), "the turn of the other agent", every_s=0.01)
        assert second
        assert not is_running(probe)
        assert link.did["half_open"] > 0
        assert state(master.url, cut["id"])["statuses"] == {"agent_lost": 1}
        assert state(master.url, waiting["id"])["open"] == 1
        assert agents["a1"].process.poll() is None
        link.toxics = Toxics()
        eventually(lambda: set(agents_of(master.url)) == {"a1", "a2"}, "the return of the agent")
        for request in (cut, waiting):
            assert_sums(state(master.url, request["id"]))
    assert "no keep-alive was answered" in agents["a1"].log_text() or "broke" in agents["a1"].log_text()


def test_agents_stop_without_a_master_and_return_when_it_is_back(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agents = [start_agent(serve, tmp_path, name, master.url) for name in ("a1", "a2")]
    done = submit(master.url, technique="PING", agents=["a2"], destinations=["127.0.0.2"], parameters={"count": 1})
    eventually(lambda: state(master.url, done["id"])["state"] == "done")
    kept = submit(
        master.url, technique="PING", agents=["ALL"], destinations=["127.0.0.3"], period_s=2.0, keep=True, parameters={"count": 1}
    )
    lost = submit(master.url, agents=["a1"], destinations=["127.0.0.1"], **LONG)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": False}
    client = start_swarmscope("measure", "follow", lost["id"], "--master", master.url, **pipes)
    probe = running(agents[0])
    port = master.port
    master.kill()
    eventually(lambda: not is_running(probe), "the end of all probing")
    _, errors = client.communicate(timeout=60)
    assert client.returncode == 1
    assert b"broke" in errors or b"ended the connection" in errors
    recorded = (tmp_path / "measurement" / "operations-0000000001.ndjson").read_text()
    assert json.loads(recorded.splitlines()[0])["state"]["request_id"] == done["id"]

    master = start_master(serve, tmp_path, listen=f"127.0.0.1:{port}")
    eventually(lambda: set(agents_of(master.url)) == {"a1", "a2"}, "the return of the agents")
    assert state(master.url, lost["id"])["state"] == "lost"
    eventually(lambda: state(master.url, kept["id"])["statuses"].get("ok"), "the next round of the kept request")
    assert_sums(state(master.url, kept["id"]))
    assert (tmp_path / "measurement" / "operations-0000000001.ndjson").read_text().startswith(recorded)


def test_the_request_of_a_client_that_is_killed_ends_and_its_agents_stop(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agent = start_agent(serve, tmp_path, "a1", master.url)
    client = start_swarmscope(
        *("measure", "PING", "127.0.0.1", "--master", master.url, "--agents", "ALL", "--schedule", "PM_RAN"),
        *("--period-s", "1", "--parameter", "count=1000", "--time-limit-s", "300"),
        **OUTPUT_UNREAD,
    )
    probe = running(agent)
    (live,) = call(master.url, "GET", "/v1/measurements")[1]["measurements"]
    client.send_signal(signal.SIGKILL)
    client.wait()
    eventually(lambda: not is_running(probe), "client-stop")
    found = eventually(lambda: (now := state(master.url, live["id"]))["state"] == "client_gone" and now)
    assert found["statuses"] == {"cancelled": 1}
    assert_sums(found)
    assert agents_of(master.url)["a1"]["connected"]  # only the request is gone

    assert len(listening_sockets(master.process.pid)) == 1
    assert listening_sockets(agent.process.pid) == set()


def test_the_masters_timers_are_the_agents_timers(serve, tmp_path):
    master = start_master(serve, tmp_path)
    _, answer = call(master.url, "POST", "/v1/agents", name="a1", techniques=[])
    assert answer["keepalive_s"] == FLAGS["--keepalive-s"]
    assert answer["agent_timer_s"] == FLAGS["--agent-timer-s"]
    assert answer["reconnect_s"] == FLAGS["--reconnect-s"]


# How long it takes. The tests above have no limits of time, because the machine that runs all tests is busy.

FREED_WITHIN_S = FLAGS["--master-timer-s"] + 1
BACK_WITHIN_S = FLAGS["--reconnect-s"] * 1.25 + 2


def waited_s(url, request_id, since_s):
    """Seconds until the first operation of a request was recorded; both times are of this machine's clock."""
    [first, *_] = eventually(lambda: outcomes(url, request_id), "the end of an operation")
    return first["recorded_ms"] / 1000 - since_s


@pytest.mark.soak
def test_agents_that_wait_for_a_killed_agent_continue_within_the_masters_timer_and_a_second(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agents = {name: start_agent(serve, tmp_path, name, master.url) for name in ("a1", "a2")}
    lost = submit(master.url, agents=["a1"], destinations=["127.0.0.1"], **LONG)
    running(agents["a1"])
    submit(master.url, agents=["a2"], destinations=["127.0.0.1"], **LONG)
    killed_s = time.time()
    agents["a1"].kill()
    assert waited_s(master.url, lost["id"], killed_s) < FREED_WITHIN_S
    eventually(lambda: probes_of(agents["a2"]), "the turn of the agent that waited", within_s=2)


@pytest.mark.soak
def test_after_a_cut_link_the_destination_is_free_and_the_agent_is_back_in_time(serve, tmp_path):
    master = start_master(serve, tmp_path)
    with ChaosProxy(master.url) as link:
        agent = start_agent(serve, tmp_path, "a1", link.url)
        lost = submit(master.url, agents=["a1"], destinations=["127.0.0.1"], **LONG)
        running(agent)
        cut_s = time.time()
        link.toxics = Toxics(half_open=True)
        assert waited_s(master.url, lost["id"], cut_s) < FREED_WITHIN_S
        eventually(lambda: "no connection to the master" in agent.log_text(), "the agent notices")
        link.toxics = Toxics()
        eventually(lambda: "a1" in agents_of(master.url), "the return of the agent", within_s=BACK_WITHIN_S)


@pytest.mark.soak
def test_an_agent_that_cannot_connect_logs_the_address_of_the_master_and_the_reason(tmp_path):
    url = f"http://127.0.0.1:{free_port()}"
    agent = start_swarmscope("measurement-agent", "--master", url, "--spool", tmp_path / "spool", stderr=subprocess.PIPE)
    line = agent.stderr.readline()
    agent.terminate()
    assert agent.wait() == 0
    assert line.endswith(f"no connection to the master {url}: Connection refused\n")


def test_agents_stop_within_two_seconds_after_their_client_is_killed(serve, tmp_path):
    master = start_master(serve, tmp_path)
    agent = start_agent(serve, tmp_path, "a1", master.url)
    flags = ("--schedule", "PM_RAN", "--period-s", "1", "--parameter", "count=1000", "--time-limit-s", "300")
    command = ("measure", "PING", "127.0.0.1", "--master", master.url, "--agents", "ALL", *flags)
    client = start_swarmscope(*command, **OUTPUT_UNREAD)
    probe = running(agent)
    client.kill()
    client.wait()
    eventually(lambda: not is_running(probe), "client-stop", within_s=2)
