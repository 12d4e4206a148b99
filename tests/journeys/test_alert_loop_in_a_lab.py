"""The loop from an alert to a verdict, with a link of a lab that really loses packets, and its limits with real processes."""

import time

import pytest

from netlab import LinkCounters
from swarmscope.demo.demo_network import DemoNetwork
from swarmscope.demo.network_topology import BAD_ISP, BAD_LOSS, CONTENT, uplink, uplink_ends
from tests.harness.deployment import metrics
from tests.harness.logs import write_log
from tests.harness.waiting import eventually
from tests.journeys.test_alert_to_diagnosis import alerts, receiver  # noqa: F401 - a fixture
from tests.measurement.measurement_lab import call, start_agent, start_master
from tests.monitor_platform.alerts.test_alert_service import minutes_ago
from tests.monitor_platform.alerts.test_alert_watch import evening_with_stalls
from tests.netlab.labs import needs, needs_namespaces

pytestmark = [pytest.mark.journey, pytest.mark.soak]

DIAGNOSES = 'swarmscope_monitor_diagnoses_total{{outcome="{}"}}'

RULES_OF_LAB = """
[[rule]]
name = "viewers suffer"
measure = "mos"
by = "isp"
below = 3.8
for_minutes = 1
least_sessions = 2
diagnose = true
destinations = ["DESTINATION"]

[[rule]]
name = "paths lose packets"
kind = "measurement"
measure = "loss_ratio"
by = "request_id"
above = 0.15
for_minutes = 1
window_minutes = 1
least_operations = 1
diagnose = true

[[webhook]]
url = "URL"
"""


def counted(monitor, outcome: str) -> float:
    return metrics(monitor.url)[DIAGNOSES.format(outcome)]


def ended(monitor, rule: str):
    """The diagnoses that alerts of a rule started and that have ended, each with the slice of its alert."""
    found = [each for each in alerts(monitor) if each["rule"] == rule and each["diagnosis"]]
    return [(each["slice"], each["diagnosis"]) for each in found if each["diagnosis"]["state"] != "running"]


def requests_of(master) -> int:
    """How many requests the master knows."""
    return len(call(master.url, "GET", "/v1/measurements")[1]["measurements"])


@needs_namespaces
@needs("tbf")
@needs("drop_filter")
def test_viewers_behind_a_bad_link_raise_an_alert_whose_verdict_names_the_link_and_nothing_is_diagnosed_twice(
    deployment,
    serve,
    tmp_path,
    receiver,  # noqa: F811
):
    hook, received = receiver
    deployment.feedback_server("--roll-seconds", "10")
    coordinator = deployment.coordinator()
    data = ("--data", str(tmp_path / "master"), "--coordinator", coordinator.url)
    master = serve("measurement-master", "--listen", "127.0.0.1:0", "--insecure", "--allow-network", "10.0.0.0/8", *data)
    destination = CONTENT["origin"]
    (tmp_path / "rules.toml").write_text(RULES_OF_LAB.replace("URL", hook).replace("DESTINATION", destination))
    flags = ("--alerts", str(tmp_path / "rules.toml"), "--measurement-master", master.url, "--period", "2")
    monitor = deployment.monitor(*flags)
    with DemoNetwork(tmp_path, coordinator.url, master.url, "any-key", 2.0) as network:
        network.start()
        eventually(lambda: metrics(monitor.url)['swarmscope_monitor_kind_records{kind="measurement"}'] > 50, within_s=120)
        time.sleep(60 - time.time() % 60)  # the first minute of the audience has ended: it is whole in all later ones
        assert alerts(monitor) == [], "without a fault, no rule has an alert"
        routine = requests_of(master)
        before = network.lab.counters(f"{BAD_ISP.lower()}-core", uplink(BAD_ISP))
        network.break_link()

        [(whose, verdict)] = eventually(lambda: ended(monitor, "viewers suffer"), within_s=600)
        network.check()
        assert lost_since(before, network.lab.counters(f"{BAD_ISP.lower()}-core", uplink(BAD_ISP))) == pytest.approx(
            BAD_LOSS, abs=0.04
        )
        assert whose == {"isp": BAD_ISP}, "only the viewers behind the bad link suffer"
        assert verdict["state"] == "done", verdict
        [found] = verdict["verdicts"]
        first, second = uplink_ends(BAD_ISP)
        # Where agents measured little else meanwhile, as on a busy machine, the place also has the neighbours of the link.
        places = (f"after {first} up to {second}", f"from {first} on the way to 10.9.0.2")
        assert found["cause"] == "shared_hop"
        assert found["subject"]["text"] in places, verdict
        assert len(verdict["requests"]) == 4, "PING and TRACEROUTE of AUTO, and of the agents of the ISP"
        eventually(lambda: verdict in [each["diagnosis"] for each in received])

        # What the diagnosis has measured raises an alert of the other rule. Requests of all agents are less lossy.
        eventually(lambda: counted(monitor, "own_measurement") >= 1, within_s=600)
        assert ended(monitor, "paths lose packets") == []
        lossy = [each["slice"]["request_id"] for each in alerts(monitor) if each["rule"] == "paths lose packets"]
        assert lossy
        assert set(lossy) <= set(verdict["requests"])
        assert monitor.stop() == 0

        # After a restart, the same minutes raise the same alerts.
        again = deployment.monitor(*flags)
        eventually(lambda: counted(again, "cool_down") == 1, within_s=120)
        eventually(lambda: counted(again, "own_measurement") >= 1, within_s=600)
        assert (counted(again, "done"), counted(again, "failed")) == (0, 0)
        assert ended(again, "viewers suffer") == [(whose, verdict)]
        assert requests_of(master) == routine + 4, "the refused alerts have measured nothing"
        network.check()


def lost_since(before: LinkCounters, after: LinkCounters) -> float:
    """The share of the packets of one end of a link that were lost at random."""
    return (after.filter_dropped - before.filter_dropped) / (after.sent_packets - before.sent_packets)


RULES_OF_EVENING = """
[[rule]]
name = "stalls"
measure = "continuity"
by = "isp"
below = 0.9
diagnose = true
destinations = ["127.0.0.1"]
"""
ISPS = tuple(f"ISP {number}" for number in range(8))
BUDGET = 6


def test_an_hour_has_six_diagnoses_and_the_others_are_counted(deployment, serve, tmp_path):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    master = start_master(serve, tmp_path, "--coordinator", coordinator.url)
    start_agent(serve, tmp_path, "a1", master.url)
    bad = [each for each in minutes_ago(evening_with_stalls(), 1) if each["isp"] == "HGC"]
    records = [
        each | {"isp": isp, "peer_id": f"{isp} {each['peer_id']}", "session_id": f"{isp} {each['session_id']}"}
        for isp in ISPS
        for each in bad
    ]
    write_log(tmp_path / "mirror" / "fs1", records, begin_s=records[0]["received_ms"] // 1000)
    (tmp_path / "rules.toml").write_text(RULES_OF_EVENING)
    monitor = deployment.monitor("--alerts", str(tmp_path / "rules.toml"), "--measurement-master", master.url)
    eventually(lambda: counted(monitor, "over_budget") == len(ISPS) - BUDGET, within_s=600)
    assert counted(monitor, "done") == BUDGET
    assert len(ended(monitor, "stalls")) == BUDGET
    assert len(alerts(monitor)) == len(ISPS)
    # No agent has a tag of these ISPs, so the master refuses the two requests for them and measures those of AUTO.
    assert requests_of(master) == 2 * BUDGET
