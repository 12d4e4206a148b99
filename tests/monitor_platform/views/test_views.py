"""Views are figures whose data sources hold what a viewer sees."""

import math

import pytest
from bokeh.models import HoverTool

from feedback_analysis.measures.histogram import Histogram
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.timeline import Timeline
from monitor_platform.views.histogram_view import HistogramView
from monitor_platform.views.mark_strip import MARK_LANES, Mark, lanes_of
from monitor_platform.views.palette import MOS_SCALE
from monitor_platform.views.region_shading import Shading
from monitor_platform.views.region_view import district_view, map_view
from monitor_platform.views.timeline_view import PercentileBand, TimelineView, frame

MOS = MEASURES["mos"]


def row(view, region):
    at = [view.region_at(i) for i in range(len(view.source.data["value"]))].index(region)
    return {name: column[at] for name, column in view.source.data.items()}


def test_the_map_has_the_38_areas_and_the_district_view_the_18_districts():
    assert len(map_view().source.data["xs"]) == 38
    assert len(district_view().source.data["xs"]) == 18


def test_a_region_shows_its_name_value_and_peers():
    view = district_view()
    view.show(Shading(measure=MOS, values=[RegionValue("Sha Tin", 3.816, 1204.0)]))
    shown = row(view, "Sha Tin")
    assert (shown["name"], shown["name_zh"], shown["title"]) == ("Sha Tin", "沙田區", "MOS")
    assert (shown["text"], shown["peers_text"], shown["more"]) == ("3.82", "1,204 peers reported", "")


def test_a_region_without_peers_stays_visible_without_a_value():
    view = district_view()
    view.show(Shading(measure=MOS, values=[RegionValue("Sha Tin", 4.0, 30.0)]))
    empty = row(view, "Islands")
    assert math.isnan(empty["value"])
    assert (empty["text"], empty["peers_text"]) == ("–", "0 peers reported")


def test_a_region_with_few_peers_is_hatched():
    view = district_view()
    view.show(Shading(measure=MOS, values=[RegionValue("Sha Tin", 4.0, 24.0), RegionValue("North", 4.0, 25.0)]))
    assert row(view, "Sha Tin")["hatch"] != " "
    assert row(view, "North")["hatch"] == " "


def test_an_update_changes_the_numbers_and_never_the_outlines():
    view = map_view()
    outlines = view.source.data["xs"]
    glyphs = len(view.figure.renderers)
    for value in (2.0, 3.0):
        view.show(Shading(measure=MOS, values=[RegionValue(view.region_at(0), value, 99.0)]))
    assert view.source.data["xs"] is outlines
    assert len(view.figure.renderers) == glyphs
    assert view.source.data["value"][0] == 3.0


def test_the_chosen_region_is_selected_and_an_unknown_one_is_not():
    view = district_view()
    view.show(Shading(measure=MOS, values=[]), chosen="Sha Tin")
    assert [view.region_at(i) for i in view.source.selected.indices] == ["Sha Tin"]
    view.show(Shading(measure=MOS, values=[]), chosen="Atlantis")
    assert view.source.selected.indices == []


def test_tooltips_escape_their_values():
    for view in (map_view(tips=True), district_view(tips=True), HistogramView()):
        for hover in view.figure.select(HoverTool):
            assert "safe" not in hover.tooltips


def test_a_histogram_shows_per_cent_between_edges_in_the_colours_of_their_grades():
    view = HistogramView()
    view.show(MOS, Histogram((1.0, 2.0, 3.0), (0.25, 0.75), 8.0))
    data = view.source.data
    assert data["share"] == [25.0, 75.0]
    assert data["range"] == ["1.00 to 2.00", "2.00 to 3.00"]
    assert data["peers_text"] == ["2 peers", "6 peers"]
    assert data["colour"] == [MOS_SCALE.colour(1.5), MOS_SCALE.colour(2.5)]


def test_a_histogram_without_peers_is_empty():
    view = HistogramView()
    view.show(MOS, Histogram((), (), 0))
    assert view.source.data["share"] == []


@pytest.fixture
def timeline():
    view = TimelineView(panels=3)
    heard = Timeline((1000, 2000, 3000), {"concurrent_peers": (5, 7, 6)})
    values = Timeline((1000, 2000, 3000), {"mos": (3.0, None, 4.0), "upload_kbps": (410.0, 430.0, 395.0)})
    view.show(MEASURES["concurrent_peers"], heard, [MOS, MEASURES["upload_kbps"]], values, Span(0, 3000))
    return view


def test_a_timeline_has_a_panel_for_the_audience_and_one_per_measure_with_the_same_time(timeline):
    panels = [panel for panel in timeline.figure.children if panel.visible]
    assert [panel.title.text for panel in panels] == ["Concurrent peers", "MOS", "Upload rate (kbit/s)"]
    assert {(panel.x_range.start, panel.x_range.end) for panel in panels} == {(0, 3000)}


def test_only_the_lowest_panel_has_the_time_axis(timeline):
    panels = [panel for panel in timeline.figure.children if panel.visible]
    assert [panel.xaxis[0].visible for panel in panels] == [False, False, True]


def test_a_line_has_a_gap_where_there_is_no_value(timeline):
    mos = timeline.figure.children[1].renderers[0].data_source.data
    assert math.isnan(mos["value"][1])
    assert mos["text"] == ["3.00", "–", "4.00"]


def test_the_axis_of_mos_has_a_least_length_counts_begin_at_zero_and_rates_at_round_numbers(timeline):
    frames = [(panel.y_range.start, panel.y_range.end) for panel in timeline.figure.children[:3]]
    assert frames == [(0, 8), (3, 4), (390, 430)]
    narrow = [frame(MOS, values) for values in ([3.6, 3.75], [4.95], [1.0], [1.2, 4.9])]
    assert narrow == [(3, 4.5), (4, 5), (1, 2), (1, 5)]


def test_another_unit_changes_the_formatter_of_an_axis_instead_of_replacing_it(timeline):
    heard = Timeline((1000, 2000), {"concurrent_peers": (5, 7)})
    axis = timeline.panels[1].left[0]
    found = []
    for values in ((400.0, 410.0), (4000.0, 9000.0)):
        rates = Timeline((1000, 2000), {"upload_kbps": values})
        timeline.show(MEASURES["concurrent_peers"], heard, [MEASURES["upload_kbps"]], rates, Span(0, 3000))
        found.append((axis.formatter.id, axis.formatter.args["factor"]))
    assert found == [(found[0][0], 1), (found[0][0], 0.001)]


def test_a_band_is_behind_the_first_measure_and_fits_into_its_panel(timeline):
    heard = Timeline((1000, 2000), {"concurrent_peers": (5, 7)})
    values = Timeline((1000, 2000), {"upload_kbps": (400.0, 410.0), "mos": (3.0, 3.0)})
    band = PercentileBand(at_ms=(1000, 2000, 3000), low=(100.0, None, 300.0), high=(500.0, None, 990.0))
    timeline.show(MEASURES["concurrent_peers"], heard, [MEASURES["upload_kbps"], MOS], values, Span(0, 3000), band=band)
    first, second = timeline.figure.children[1:3]
    drawn = [each.data_source.data for each in first.renderers if "low" in each.data_source.data]
    assert drawn == [{"at": [1000, 3000], "low": [100, 300], "high": [500, 990]}]
    assert (first.y_range.start, first.y_range.end) == (0, 1000)
    assert [each.data_source.data["at"] for each in second.renderers if "low" in each.data_source.data] == [[]]
    texts = first.renderers[0].data_source.data["text"]
    assert texts == ["400\u202fkbit/s (p10 to p90: 100\u202fkbit/s to 500\u202fkbit/s)", "410\u202fkbit/s"]


def glyphs(panel, column):
    [source] = {each.data_source for each in panel.renderers if column in each.data_source.data}
    return source.data


def test_marks_begin_and_end_at_their_times_within_the_shown_time_below_the_panels(timeline):
    heard = Timeline((1000, 2000), {"concurrent_peers": (5, 8)})
    marks = [
        Mark(from_ms=500, to_ms=1500, name="over", text="over", colour="#e69f00"),
        Mark(from_ms=1200, to_ms=None, name="lasts", text="lasts", colour="#d55e00"),
    ]
    timeline.show(MEASURES["concurrent_peers"], heard, [], heard, Span(1000, 2000), marks=marks)
    strip = timeline.figure.children[-1]
    bars = glyphs(strip, "shown_from")
    assert list(zip(bars["shown_from"], bars["shown_to"], bars["text"], strict=True)) == [
        (1000, 1500, "over"),
        (1200, 2000, "lasts"),
    ]
    assert bars["name"] == ["over", "lasts"]
    ends = glyphs(strip, "marker")
    assert list(zip(ends["at"], ends["marker"], strict=True)) == [(1200, "inverted_triangle"), (1500, "dash")]
    assert strip.visible
    timeline.show(MEASURES["concurrent_peers"], heard, [], heard, Span(1000, 2000))
    assert not strip.visible
    assert glyphs(strip, "shown_from")["text"] == []


def test_simultaneous_marks_are_below_one_another_while_there_is_room():
    def mark(begin, end):
        return Mark(from_ms=begin, to_ms=end, name="", text="", colour="")

    assert lanes_of([mark(0, 10), mark(20, 30)]) == [0, 0]
    assert sorted(lanes_of([mark(0, None), mark(0, None), mark(5, 9)])) == [0, 1, 2]
    assert max(lanes_of([mark(0, None)] * 20)) == MARK_LANES - 1


def test_labels_of_simultaneous_marks_do_not_cover_one_another(timeline):
    heard = Timeline((1000, 2000), {"concurrent_peers": (5, 8)})
    alerts = [Mark(from_ms=1200, to_ms=None, name=f"alert {number}", text="", colour="red") for number in range(20)]
    timeline.show(MEASURES["concurrent_peers"], heard, [], heard, Span(1000, 2000), marks=alerts)
    bars = glyphs(timeline.figure.children[-1], "shown_from")
    named = [lane for lane, name in zip(bars["lane"], bars["name"], strict=True) if name]
    assert len(named) == len(set(named)) == MARK_LANES
