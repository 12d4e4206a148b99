"""A lab file that is wrong gets an error with the place, the fault and the remedy."""

import json

import pytest

from netlab import Shape, TopologyError, read_topology

NODES = {"n1": {}, "n2": {"forwards": True}}


def lab_file(*links: dict[str, object], **more: object) -> str:
    return json.dumps({"nodes": NODES, "links": [{"between": ["n1", "n2"], **link} for link in links], **more})


def test_a_link_has_the_same_shape_in_both_directions_unless_the_file_says_otherwise():
    (link,) = read_topology(lab_file({"rate_kbps": 8000, "delay_ms": 5, "back": {"rate_kbps": 1000}})).links
    assert link.forth == Shape(rate_kbps=8000, delay_ms=5)
    assert link.back == Shape(rate_kbps=1000, delay_ms=5)
    assert link.name == "n1-n2"


def test_the_overlay_in_a_lab_file_is_returned_unchanged():
    seed = {"10.0.1.2": {"neighbors": ["10.0.0.1"]}}
    assert read_topology(lab_file(overlay=seed)).overlay == seed


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "line 1: the file is not JSON"),
        ('{"nodes": {}}', "has no nodes; add some"),
        ('{"nodes": {"n1": {}}, "cables": []}', "the file: 'cables' is unknown; allowed are links, nodes, overlay"),
        ('{"nodes": {"n1": {}, "n1": {}}}', "'n1' is written twice"),
        ('{"nodes": {"../n1": {}}}', "node '../n1': use at most 63 letters"),
        ('{"nodes": {"n1": {"forwards": "yes"}}}', "forwards is 'yes'; write true"),
        ('{"nodes": {"n1": []}}', "node 'n1' is not an object"),
        (lab_file({"between": ["n1", "n9"]}), "link 1: 'n9' is not a node; add it"),
        (lab_file({"between": ["n1", "n1"]}), "joins 'n1' to itself"),
        (lab_file({"between": "n1"}), "between is 'n1'; write two texts"),
        (lab_file({}, {}), "'n1-n2' occurs twice; give the second one another"),
        (lab_file({"rate_kbps": 0}), "link 'n1-n2': rate_kbps is 0; write a number from 8 to 1e+07"),
        (lab_file({"loss": 20}), "loss is 20; write a number from 0 to 1"),
        (lab_file({"loss": True}), "loss is True"),
        (lab_file({"delay_ms": 5, "jitter_ms": 6}), "jitter_ms 6 exceeds delay_ms 5"),
        (lab_file({"back": {"speed": 5}}), "link 'n1-n2': back: 'speed' is unknown"),
        (lab_file({"addresses": ["10.0.0.1", "10.0.0.2"]}), "must be two addresses of one network"),
        (lab_file({"addresses": ["10.0.0.1/24", "10.0.0.300/24"]}), "link 'n1-n2': addresses:"),
        ("[" * 100_000, "nests too deep"),
        ("9" * 5_000, "cannot be read"),
    ],
)
def test_a_wrong_file_gets_an_error_with_the_place_and_the_correction(text: str, error: str):
    with pytest.raises(TopologyError) as raised:
        read_topology(text)
    assert error in str(raised.value)
