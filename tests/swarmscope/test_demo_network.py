"""`swarmscope demo --network`: real viewers and agents on the same links, of which one becomes bad. The verdict names it."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from netlab import read_topology
from swarmscope.demo import network_topology
from swarmscope.demo.network_topology import BAD_ISP, CONTENT, ISPS, uplink, uplink_ends
from swarmscope.demo.playout_buffer import PlayoutBuffer
from swarmscope.demo.settings import Settings
from tests.harness.waiting import eventually
from tests.netlab.labs import needs, needs_namespaces, without_rights

DEADLINE_S = 300


def test_the_lab_has_six_agents_and_the_viewers_of_each_isp_share_the_links_of_its_agents():
    lab = read_topology(json.dumps(network_topology.lab()))
    ends = {link.name: set(link.ends) for link in lab.links}
    assert len(network_topology.agents()) == 6
    for isp in ISPS:
        [edge] = [link for link in ends.values() if network_topology.homes(isp) in link]
        agents = [agent for agent, its in network_topology.agents().items() if its == isp]
        assert all({agent, *(edge - {network_topology.homes(isp)})} in ends.values() for agent in agents)
        assert ends[uplink(isp)] == {f"{isp.lower()}-core", network_topology.EXCHANGE}
    addresses = [str(each.ip) for link in lab.links for each in link.addresses or ()]
    assert len(addresses) == len(set(addresses)) == 2 * len(lab.links)
    assert {*CONTENT.values(), network_topology.LOOKING_GLASS, *map(network_topology.resolver, ISPS)} <= set(addresses)


def test_a_player_stalls_when_its_buffer_is_empty_and_goes_on_when_enough_has_arrived():
    buffer = PlayoutBuffer(starts_with_s=2.0)
    buffer.received(1.0, 10.0)
    assert (buffer.started, buffer.stalled_ms(10.5)) == (False, 0.0)
    buffer.received(1.0, 11.0)
    assert (buffer.started, buffer.ahead_s(11.5)) == (True, 1.5)
    assert buffer.stalled_ms(14.0) == 1000.0
    assert buffer.stalled_ms(14.5) == 500.0
    buffer.received(1.0, 15.0)
    assert buffer.stalled_ms(15.5) == 1000.0
    buffer.received(1.0, 16.0)
    assert buffer.ahead_s(16.0) == 2.0
    assert buffer.stalled_ms(17.0) == 0.0


def test_the_demo_has_one_kind_of_end_hosts():
    with pytest.raises(ValueError, match="exclude each other"):
        Settings(swarm=True, network=True)


def start_demo(folder: Path, *flags: str, prefix: Sequence[str] = ()) -> "subprocess.Popen[str]":
    command = [*prefix, sys.executable, "-m", "swarmscope", "demo", "--network", "--period", "2", *flags]
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def lines_until(demo: "subprocess.Popen[str]", found: str) -> list[str]:
    """The lines of the demo up to one with `found`."""
    lines: list[str] = []
    assert demo.stdout is not None
    deadline = threading.Timer(DEADLINE_S, demo.kill)
    deadline.start()
    try:
        for line in demo.stdout:
            lines.append(line.rstrip())
            if found in line:
                return lines
    finally:
        deadline.cancel()
    assert demo.stderr is not None
    raise AssertionError(f"the demo ended without {found!r}: {lines} {demo.stderr.read()}")


def processes_in(folder: Path) -> list[int]:
    """The processes that have `folder` as their folder of temporary files: all of a demo."""
    wanted = f"TMPDIR={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


@pytest.mark.journey
@needs_namespaces
@needs("tbf")
@needs("drop_filter")
def test_the_verdict_of_a_demo_without_root_names_the_bad_link_and_nothing_stays_behind(tmp_path: Path):
    demo = start_demo(tmp_path, "--fail-after", "1", prefix=without_rights())
    try:
        first, second = (f"{each} ({network_topology.names()[each]})" for each in uplink_ends(BAD_ISP))
        lines = lines_until(demo, f"network: verdict of a diagnosis: after {first} up to {second} (shared_hop")
        assert len(processes_in(tmp_path)) > 15
        assert any(f"between {first} and {second} loses 12% of its packets" in line for line in lines)
        demo.terminate()
        assert demo.wait(120) == 0
    finally:
        demo.kill()
        demo.communicate()
    assert list(tmp_path.iterdir()) == []
    eventually(lambda: not processes_in(tmp_path), within_s=30)


@pytest.mark.soak
@needs_namespaces
@needs("tbf")
@needs("drop_filter")
def test_viewers_suffer_from_the_bad_link_only(tmp_path: Path):
    demo = start_demo(tmp_path, "--fail-after", "60", "--duration", "300")
    output, errors = demo.communicate(timeout=600)
    assert demo.returncode == 0, errors
    [fall] = [line for line in output.splitlines() if "has fallen from" in line]
    before, now = (float(text) for text in re.findall(r"from ([\d.]+) to ([\d.]+)", fall)[0])
    others = [float(text) for text in re.findall(r"(?:HKBN|HGC) ([\d.]+)", fall.partition("others:")[2])]
    assert len(others) == 2
    assert now < before - 0.25
    assert min(others) > now + 0.25
