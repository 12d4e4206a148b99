"""A map's colours: they adapt to reliable values, or show the change, and have no colour for noise."""

import pytest

from feedback_analysis.geo.location import UNLOCATED
from feedback_analysis.geo.maps import districts
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import MEASURES
from monitor_platform.views.palette import DIFFERENCE_COLOURS, MOS_SCALE, NO_DATA, UNCHANGED, legend_of
from monitor_platform.views.region_shading import BORDER, Shading, columns_of, scale_of

MOS, STALLS = MEASURES["mos"], MEASURES["stalls_per_hour"]


def shading(*values: tuple[str, float | None, float], measure=MOS, **more) -> Shading:
    return Shading(measure=measure, values=[RegionValue(*value) for value in values], **more)


def row(shown: Shading, region: str) -> dict:
    at = [each.id for each in districts()].index(region)
    return {name: column[at] for name, column in columns_of(shown, districts()).items()}


def test_the_range_adapts_to_the_regions_with_enough_peers():
    scale = scale_of(shading(("North", 3.6, 30.0), ("Islands", 3.9, 40.0), ("Eastern", 1.2, 3.0)), districts())
    assert (scale.low, scale.high) == (3.6, pytest.approx(3.9))
    assert [text for _, text in legend_of(scale).marks] == ["3.6", "3.7", "3.8", "3.9"]


def test_peers_without_a_location_do_not_change_the_colours():
    scale = scale_of(shading(("North", 3.6, 30.0), ("Islands", 3.9, 40.0), (UNLOCATED, 1.0, 99.0)), districts())
    assert scale.low == 3.6


def test_equal_values_do_not_get_the_whole_range_of_colours():
    scale = scale_of(shading(("North", 3.80, 30.0), ("Islands", 3.81, 40.0)), districts())
    assert scale.high - scale.low >= 0.1


def test_a_switch_keeps_the_fixed_range_of_a_measure_that_has_one():
    values = (("North", 0.97, 30.0), ("Islands", 0.99, 40.0))
    assert scale_of(shading(*values, fixed=True), districts()) is MOS_SCALE
    continuity = scale_of(shading(*values, measure=MEASURES["continuity"], fixed=True), districts())
    assert (continuity.low, continuity.high) == (0, 1)
    rate = {"measure": MEASURES["upload_kbps"]}  # has no fixed range
    assert scale_of(shading(*values, **rate, fixed=True), districts()) == scale_of(shading(*values, **rate), districts())


CHANGED = Shading(
    measure=STALLS,
    values=[RegionValue("North", 9.0, 60.0, 1.0), RegionValue("Islands", 5.0, 60.0, 1.0), RegionValue("Eastern", 5.0, 1.0)],
    there=[RegionValue("North", 4.0, 50.0, 1.0), RegionValue("Islands", 4.0, 50.0, 1.0), RegionValue("Eastern", 1.0, 50.0, 1.0)],
    against="the time before",
    by_change=True,
)


def test_a_change_has_a_colour_only_if_it_is_more_than_noise():
    worse, noise, unknown, absent = (row(CHANGED, name)["fill"] for name in ("North", "Islands", "Eastern", "Sha Tin"))
    assert worse in DIFFERENCE_COLOURS[:4]  # more stalls are worse
    assert noise == unknown == UNCHANGED
    assert absent == NO_DATA
    assert row(CHANGED, "North")["border"] == BORDER != row(CHANGED, "Sha Tin")["border"]


def test_the_text_of_a_changed_region_has_both_sides_and_the_noise():
    assert row(CHANGED, "North")["more"] == "the time before: 4.0\u202f/h, 50 peers; change +5.0\u202f/h"
    assert row(CHANGED, "Islands")["more"].endswith("change +1.0\u202f/h, within the noise of ±2.8\u202f/h")


def test_the_range_of_changes_ignores_noise_and_has_signs():
    scale = scale_of(CHANGED, districts())
    assert (scale.low, scale.high) == (-6, 6)
    assert [text for _, text in legend_of(scale).marks] == ["−6", "−4", "−2", "0", "+2", "+4", "+6"]


def test_a_region_with_few_peers_on_the_other_side_is_hatched_only_if_the_change_is_coloured():
    few = shading(("North", 4.0, 30.0), there=[RegionValue("North", 3.0, 3.0)], against="x")
    assert row(few, "North")["hatch"] == " "
    assert row(CHANGED, "Eastern")["hatch"] != " "
