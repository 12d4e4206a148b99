"""TLS between clients, the master and agents, and the command line as a whole."""

import json

import trustme

from tests.harness.processes import run_swarmscope
from tests.measurement.measurement_lab import KEYS, SECRETS, start_agent, start_master


def test_clients_and_agents_verify_the_master_and_send_their_keys_over_tls(serve, tmp_path):
    authority, other = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "master.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "keys.toml").write_text(KEYS)
    files = ("--tls-cert", str(tmp_path / "master.pem"), "--tls-key", str(tmp_path / "master.pem"))
    master = start_master(serve, tmp_path, *files, access=("--keys", str(tmp_path / "keys.toml")))
    assert master.url.startswith("https://")
    start_agent(serve, tmp_path, "a1", master.url, "--tls-ca", str(tmp_path / "ca.pem"), "--key", SECRETS["a1"])

    def measure(*arguments, ca="ca.pem", who="noc"):
        env = {"SWARMSCOPE_MEASURE_MASTER": master.url, "SWARMSCOPE_MEASURE_KEY": SECRETS[who]}
        return run_swarmscope("measure", *arguments, "--tls-ca", tmp_path / ca, env=env, cwd=tmp_path)

    done = measure("PING", "127.0.0.1", "--parameter", "count=1", "--json")
    assert done.returncode == 0, done.stderr
    outcome, request = map(json.loads, done.stdout.splitlines())
    assert outcome["agent"] == "a1"
    assert (request["state"], request["statuses"]) == ("done", {"ok": 1})
    assert request["id"] in measure("list").stdout
    shown = measure("show", request["id"])
    assert "rtt_median_ms" in shown.stdout
    assert "a1" in measure("agents").stdout
    refused = measure("agents", who="alice")
    assert refused.returncode == 1
    assert "only managers" in refused.stderr
    unverified = measure("list", ca="other.pem")
    assert unverified.returncode == 1
    assert "no connection to the master" in unverified.stderr
    assert "certificate" in unverified.stderr
    assert SECRETS["noc"] not in unverified.stderr + master.log_text()
