"""Lines, bands and words of the panels of the Network page, and the colours and words of its map."""

from math import inf

import pytest

from feedback_analysis.measurements.path_map import FoundRoute, MeasuredPath, path_map
from feedback_analysis.measurements.traced_route import TracedRoute
from feedback_analysis.measures.selection import Span
from monitor_platform.views.line_panels import LinePanels, PanelLine, RibbonBlock, ShownPanel
from monitor_platform.views.network_view import COLOURINGS, NetworkView, ShownMap, kbps_in_words, ms_in_words

SPAN = Span(0, 100_000)


def shown(*lines, blocks=(), **more):
    panels = LinePanels(2, ribbon=True)
    panels.show(SPAN, [ShownPanel(title="PING", unit="ms", lines=lines, **more)], blocks)
    return panels


def sources(panels, panel=0):
    return panels._panels[panel]


def line(at_ms, values, **more):
    return PanelLine(name="a1", colour="#123456", at_ms=at_ms, values=values, **more)


def test_there_is_no_line_across_a_gap_and_a_lonely_value_is_a_point():
    panel = sources(shown(line([0, 10, 20, 30, 90], [1.0, 2.0, 3.0, 4.0, 5.0])))
    assert panel.lines.data["xs"] == [[0, 10, 20, 30], [90]]
    assert (panel.points.data["x"], panel.points.data["y"]) == ([90], [5.0])


def test_the_band_surrounds_the_line_and_both_are_in_the_words():
    panel = sources(shown(line([0, 10], [2.0, 3.0], low=[1.0, 2.5], high=[4.0, 8.0])))
    assert panel.bands.data["ys"] == [[1.0, 2.5, 8.0, 4.0]]
    assert panel.words.data["text"][1] == "a1: 3.0 ms (p10 to p90: 2.5 ms to 8.0 ms)"
    assert panel.figure.y_range.end >= 8.0


def test_values_that_are_not_known_leave_no_words():
    panel = sources(shown(line([0, 10, 20], [1.0, None, inf])))
    assert panel.words.data["at"] == [0]


def test_a_panel_without_content_is_hidden_and_the_last_one_has_the_time_axis():
    panels = shown(line([0], [1.0]))
    assert [sources(panels, at).figure.visible for at in (0, 1)] == [True, False]
    assert sources(panels)._time_axis.visible
    panels.clear()
    assert not sources(panels).figure.visible


def test_each_block_of_the_ribbon_but_the_first_begins_with_a_mark():
    blocks = [RibbonBlock(from_ms=at, to_ms=at + 50_000, name="Route", text="", colour="#000000") for at in (0, 50_000)]
    panels = shown(line([0], [1.0]), blocks=blocks)
    assert sources(panels).changes.data["x"] == [50_000]
    assert panels._ribbon.source.data["word"] == ["Route", "Route"]


def lossy_map():
    route = (FoundRoute(route=TracedRoute(routers=("r1", None), reached=False), traces=1, last_ms=0),)
    return MeasuredPath(
        agent="a1",
        destination="d.example",
        address="d",
        routes=route,
        packets_lost=3,
        packets_sent=10,
        bottlenecks={"r1": 2},
        bottleneck_kbps=1500.0,
    )


def test_the_map_colours_links_marks_the_bottleneck_and_puts_a_ground_below_what_is_to_blame():
    view = NetworkView()
    found = path_map([lossy_map()], most_nodes=10)
    blamed = {("agent a1", "r1"): "to blame"}
    view.show(ShownMap(found=found, colouring=COLOURINGS["loss"], blamed=blamed, blamed_nodes={}, chosen=frozenset()))
    assert set(view.links.data["colour"]) == {COLOURINGS["loss"].steps[-1][1]}
    assert "loss at most 30.0 % (10 packets)" in view.links.data["text"][0]
    assert "to blame" in view.links.data["text"][0]
    assert len(view.grounds.data["xs"]) == 1
    assert view.marks.data["label"] == ["1.50 Mbit/s"]
    assert view.links.data["dash"][-1] == "dotted"
    view.clear()
    assert view.nodes.data["key"] == []


@pytest.mark.parametrize("name", COLOURINGS)
def test_every_value_has_a_colour(name):
    colouring = COLOURINGS[name]
    assert colouring.steps[-1][0] == inf
    assert [limit for limit, _, _ in colouring.steps] == sorted(limit for limit, _, _ in colouring.steps)


def test_numbers_have_their_units():
    assert [ms_in_words(ms) for ms in (None, 3.25, 250.4)] == ["–", "3.2 ms", "250 ms"]
    assert [kbps_in_words(kbps) for kbps in (860.6, 4200.0, 98_000.0)] == ["861 kbit/s", "4.20 Mbit/s", "98 Mbit/s"]
