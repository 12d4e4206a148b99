"""The topology file: the seed's form, ours, and errors that name line, node and remedy."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.json_line_numbers import line_numbers
from overlay.overlay_file import OverlayFileError, read_overlay_file

SEED = """{
  "10.0.1.2": {
    "neighbors": [
      "10.0.0.1",
      "10.0.3.20"
    ]
  },
  "10.0.0.1": {"neighbors": []},
  "10.0.3.20": {"neighbors": ["10.0.1.2"]}
}"""
MORE = """{
  "a": {"neighbors": ["b"], "role": "source", "uplink_kbps": 5000},
  "b": {"neighbors": ["c"], "max_children": 3},
  "c": {"neighbors": [], "role": "player"},
  "links": [{"between": ["b", "a"], "rate_kbps": 5000, "delay_ms": 20, "loss": 0.01}],
  "streams": {"news": {"source": "a", "rate_kbps": 2000, "metric": "latency", "tree": "steiner", "redundancy": "fec"}}
}"""


def test_the_seeds_file_is_read_unchanged_and_a_link_needs_to_be_listed_by_one_end_only():
    overlay = read_overlay_file(SEED)
    assert set(overlay.nodes) == {"10.0.1.2", "10.0.0.1", "10.0.3.20"}
    assert set(overlay.links) == {("10.0.0.1", "10.0.1.2"), ("10.0.1.2", "10.0.3.20")}
    assert overlay.streams == {}


def test_more_fields_describe_links_streams_roles_and_bounds():
    overlay = read_overlay_file(MORE)
    link = overlay.links["a", "b"]
    assert (link.rate_kbps, link.delay_ms, link.loss) == (5000, 20, 0.01)
    stream = overlay.streams["news"]
    assert overlay.players(stream) == ["c"]
    assert overlay.most_children("a", stream.rate_kbps) == 2  # 5,000 of uplink carry 2,000 twice
    assert overlay.most_children("b", stream.rate_kbps) == 3
    assert overlay.most_children("c", stream.rate_kbps) == 0


def test_a_lab_file_may_hold_the_topology():
    lab = json.dumps({"nodes": {"n1": {}}, "links": [], "overlay": json.loads(MORE)}, indent=1)
    assert read_overlay_file(lab) == read_overlay_file(MORE)
    with pytest.raises(OverlayFileError, match="line 9: node 'a': neighbour 'z' is not a node"):
        read_overlay_file(lab.replace('"b"', '"z"', 1))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("{", "{,", "line 1: the file is not JSON"),
        ('"links": [', '"links": [,', "line 5: the file is not JSON"),
        ('["b"]', '["z"]', """line 2: node 'a': neighbour 'z' is not a node; add {"z": {"neighbors": […]}} or correct the name"""),
        ('["b"]', '["a"]', "line 2: node 'a' is its own neighbour; remove it"),
        ('["b"]', '["b", "b"]', "line 2: node 'a': neighbour 'b' is listed twice; remove one"),
        ('["c"]', '"c"', "line 3: node 'b': neighbors: Invalid enum value 'c'; write a list of node names"),
        ('["c"]', '["c",\n7]', "line 4: node 'b': neighbors: Expected `str`, got `int`; write a list"),
        ("3}", "-1}", "line 3: node 'b': max_children: Expected `int` >= 0; write a whole number from 0 to 10000"),
        ("3}", "true}", "line 3: node 'b': max_children: Expected `int | null`, got `bool`; write a whole number"),
        (
            '"player"',
            '"viewer"',
            "line 4: node 'c': role: Invalid enum value 'viewer'; write bootstrapper, source, relay or player",
        ),
        ('"max_children"', '"children"', "line 3: node 'b': Object contains unknown field `children`; allowed are neighbors"),
        ('"c": {', '"b": {', "line 4: 'b' is written twice; remove one"),
        ('"c": {', '"": {', "line 4: node '': a name has 1 to 64 printable characters"),
        ('["b", "a"]', '["a", "c"]', "line 5: link 1: a and c are not neighbours; add one to the other's list"),
        ('["b", "a"]', '["a", "x"]', "line 5: link 1: 'x' is not a node"),
        ("0.01", "20", "line 5: link 1: loss: Expected `float` <= 1.0; write a number from 0 to 1"),
        ('"source": "a"', '"source": "q"', "line 6: stream 'news': source 'q' is not a node"),
        ('"steiner"', '"best"', "line 6: stream 'news': tree: Invalid enum value 'best'; write shortest or steiner"),
        ('"source": "a", ', "", "line 6: stream 'news': Object missing required field `source`; allowed are source"),
    ],
)
def test_a_wrong_file_gets_an_error_with_the_line_the_node_and_what_to_do(old: str, new: str, error: str):
    assert old in MORE
    with pytest.raises(OverlayFileError) as raised:
        read_overlay_file(MORE.replace(old, new, 1))
    assert error in str(raised.value)


@pytest.mark.parametrize(
    "text", ["[]", "7", "null", "{}", '{"a": 5}', '{"links": [], "streams": {}}', "[" * 100_000, "9" * 5_000, '{"a": []}']
)
def test_json_that_describes_no_overlay_is_refused_with_the_line(text: str):
    with pytest.raises(OverlayFileError, match=r"^line 1: "):
        read_overlay_file(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=50)
@given(values, st.sampled_from([None, 1, 4]))
def test_the_line_of_each_value_is_where_it_begins(value: Any, indent: int | None):
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    lines, found = text.split("\n"), line_numbers(text)
    assert found.repeated == {}

    def check(inner: Any, path: tuple[str | int, ...]) -> None:
        begin = (
            json.dumps(inner, ensure_ascii=False)[:1] if isinstance(inner, dict | list) else json.dumps(inner, ensure_ascii=False)
        )
        key = f"{json.dumps(path[-1], ensure_ascii=False)}: " if path and isinstance(path[-1], str) else ""
        assert key + begin in lines[found.by_path[path] - 1]
        for place, one in inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ():
            check(one, (*path, place))

    check(value, ())
