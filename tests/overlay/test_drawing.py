"""The drawings of a topology: text for terminals, and an SVG that no name can break."""

import json
from xml.etree import ElementTree

from overlay.drawing import overlay_svg, overlay_text, tree_text
from overlay.overlay_file import read_overlay_file
from overlay.trees import backups, graph_of, tree

DIAMOND = {
    "s": {"neighbors": ["r1", "r2"], "role": "source"},
    "r1": {"neighbors": ["p1", "r3"], "max_children": 2},
    "r2": {"neighbors": ["p1"], "uplink_kbps": 8000},
    "r3": {"neighbors": []},
    "p1": {"neighbors": [], "role": "player"},
    "links": [{"between": ["r1", "s"], "rate_kbps": 2000, "delay_ms": 20, "loss": 0.01}],
}


def test_the_text_names_nodes_links_branches_receivers_and_backups():
    overlay = read_overlay_file(json.dumps(DIAMOND))
    assert "r1 (relay, at most 2 children)\n    p1  1 ms\n    r3  1 ms\n    s  2,000 kbit/s, 20 ms, 1 % loss" in overlay_text(
        overlay
    )
    assert "r2 (relay, uplink 8,000 kbit/s)" in overlay_text(overlay)
    graph = graph_of(overlay, "hops")
    drawn = tree(graph, "s", ["p1", "r3", "r2"], "shortest")
    assert tree_text(drawn, receivers=["p1", "r3", "r2"], backups=backups(graph, drawn).parents) == (
        "s\n├── r2 *\n│   └── p1 *  (backup: r1)\n└── r1\n    └── r3 *"
    )


def test_the_svg_shows_every_node_and_link_and_is_whole_whatever_the_names_are():
    hostile = '"/><script>alert(1)</script>&'
    overlay = read_overlay_file(json.dumps({**DIAMOND, hostile: {"neighbors": ["s"]}, "alone": {"neighbors": []}}))
    drawn = tree(graph_of(overlay, "hops"), "s", ["p1"], "shortest")
    svg = overlay_svg(overlay, "s", {"news": drawn})
    root = ElementTree.fromstring(svg)
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names.count("g") == len(overlay.nodes)
    assert names.count("line") == len(overlay.links) + 2  # and the two links of the tree
    assert "script" not in names
    assert any(hostile in (element.text or "") for element in root.iter())
