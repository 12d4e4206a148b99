"""`swarmscope overlay check` on files that are right and wrong."""

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from tests.harness.processes import run_swarmscope
from tests.overlay.test_trees import SCENARIO_1


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run_swarmscope("overlay", "check", *arguments)


def test_a_topology_is_drawn_as_text_and_as_svg(tmp_path: Path):
    file = tmp_path / "topology.json"
    file.write_text(SCENARIO_1, encoding="utf-8")
    players = ["--player", "10.0.4.20", "--player", "10.0.3.20"]
    checked = check(file, "--source", "10.0.0.10", *players, "--svg", tmp_path / "topology.svg")
    assert checked.returncode == 0, checked.stderr
    assert "└── 10.0.0.1\n    ├── 10.0.1.2\n    │   └── 10.0.3.20 *" in checked.stdout
    assert "2 of 2 players" in checked.stdout
    assert "copies of a packet on one link: 1, without multicast 2" in checked.stdout
    assert ElementTree.parse(tmp_path / "topology.svg").getroot().tag.endswith("svg")


def test_a_node_that_cannot_listen_or_connect_ends_with_one_line(tmp_path: Path):
    (tmp_path / "key").write_text("00" * 32, encoding="ascii")
    joining = ["--key", str(tmp_path / "key"), "--bootstrapper", "127.0.0.1:1"]
    foreign = run_swarmscope("overlay", "node", "r", *joining, "--host", "192.0.2.1")
    assert (foreign.returncode, foreign.stderr) == (
        1,
        "swarmscope: cannot listen on 192.0.2.1:0: Cannot assign requested address\n",
    )
    nameless = run_swarmscope("overlay", "node", "r", *joining, "--host", "a..b")
    assert (nameless.returncode, len(nameless.stderr.splitlines())) == (2, 1)
    unreached = run_swarmscope("overlay", "list", "r", *joining)
    assert unreached.returncode == 1
    assert unreached.stderr == "swarmscope overlay list: no connection to the bootstrapper: Connection refused\n"


def test_tls_flags_that_belong_together_are_demanded_together(tmp_path: Path):
    (tmp_path / "key").write_text("00" * 32, encoding="ascii")
    joining = ["--key", str(tmp_path / "key"), "--bootstrapper", "127.0.0.1:7000"]
    refused = run_swarmscope("overlay", "node", "r", *joining, "--tls-ca", str(tmp_path / "key"))
    assert refused.returncode == 2
    assert "--tls-ca, --tls-cert and --tls-key belong together: give all three, or none" in refused.stderr


def test_a_wrong_file_ends_with_one_line_that_names_file_line_and_node_and_an_unreached_player_with_its_name(tmp_path: Path):
    file = tmp_path / "topology.json"
    file.write_text('{\n"a": {"neighbors": ["b"]}}', encoding="utf-8")
    refused = check(file)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert f"{file}: line 2: node 'a': neighbour 'b' is not a node" in line
    nodes = {"a": {"neighbors": []}, "p": {"neighbors": [], "role": "player"}}
    file.write_text(json.dumps({**nodes, "streams": {"news": {"source": "a"}}}), encoding="utf-8")
    unreached = check(file)
    assert unreached.returncode == 1
    assert "not reached: p; add a link" in unreached.stderr
    file.write_text(json.dumps({**nodes, "streams": {"news": {"source": "a", "redundancy": "two_trees"}}}), encoding="utf-8")
    in_no_tree = check(file)
    assert (in_no_tree.returncode, in_no_tree.stderr) == (1, unreached.stderr)
