"""The window of the map: it shows the audience, and ignores a single viewer far from all others."""

import h3
import pytest

from feedback_analysis.geo import maps
from feedback_analysis.geo.atlas import atlas_for
from feedback_analysis.geo.divisions import Cells
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import MEASURES
from monitor_platform.views.region_shading import Shading
from monitor_platform.views.region_view import RegionView, window_on
from monitor_platform.views.window import WORLD, around_all

PARIS, LYON, LILLE, SYDNEY, HONOLULU = (2.35, 48.86), (4.84, 45.76), (3.06, 50.63), (151.2, -33.87), (-157.9, 21.3)


def values(*placed):
    return [RegionValue(h3.latlng_to_cell(lat, lon, 4), 4.0, float(peers)) for (lon, lat), peers in placed]


def window(*placed):
    found, cells = values(*placed), Cells(4, maps.countries())
    return window_on(cells, cells.drawn([each.region for each in found]), found)


def test_all_of_an_audience_is_in_the_window_with_a_margin():
    france = window((PARIS, 50), (LYON, 30), (LILLE, 20))
    assert -5 < france.west < 2.3
    assert 4.9 < france.east < 12
    assert 40 < france.south < 45.7
    assert 50.7 < france.north < 55


def test_one_viewer_far_from_all_others_does_not_move_the_window():
    assert window((PARIS, 60), (LYON, 30), (SYDNEY, 1)).north - window((PARIS, 60), (LYON, 30)).south < 20


def test_two_of_three_viewers_are_not_outliers():
    assert window((PARIS, 1), (SYDNEY, 2)).south < -33


def test_an_audience_on_both_sides_of_the_pacific_gets_the_whole_world():
    assert window((SYDNEY, 50), (HONOLULU, 50)) == WORLD


def test_without_an_audience_the_window_is_the_whole_world():
    assert window() == WORLD


def test_a_few_more_peers_do_not_move_the_window():
    assert window((PARIS, 50), (LYON, 30)) == window((PARIS, 52), (LYON, 31))


@pytest.mark.parametrize(
    ("window", "ratio"),
    [(WORLD, 1.027), (around_all(maps.districts()), 1.081), (window((PARIS, 9)), 1.52)],
    ids=["world", "hk", "paris"],
)
def test_a_degree_of_longitude_is_shorter_further_from_the_equator(window, ratio):
    assert window.stretch == pytest.approx(ratio, abs=0.01)


def test_the_world_map_draws_only_areas_with_an_audience():
    view = RegionView(Cells(4, maps.countries()))
    assert view.source.data["name"] == []
    view.show(Shading(measure=MEASURES["mos"], values=values((PARIS, 50), (LYON, 30))))
    assert sorted(view.source.data["peers_text"]) == ["30 peers reported", "50 peers reported"]
    view.show(Shading(measure=MEASURES["mos"], values=values(((133.9, -23.7), 7))))
    assert view.source.data["peers_text"] == ["7 peers reported"]
    assert view.source.data["name"][0].startswith("Australia")


def test_unchanged_areas_are_not_sent_again():
    view = RegionView(Cells(4, maps.countries()))
    view.show(Shading(measure=MEASURES["mos"], values=values((PARIS, 50), (LYON, 30))))
    outlines = view.source.data["xs"]
    view.show(Shading(measure=MEASURES["mos"], values=values((LYON, 60), (PARIS, 50))))
    assert view.source.data["xs"] is outlines


def test_the_chosen_area_is_selected_at_any_position_in_the_list():
    view, found = RegionView(Cells(4, maps.countries())), values((PARIS, 50), (LYON, 30), (SYDNEY, 20))
    view.show(Shading(measure=MEASURES["mos"], values=found), chosen=found[1].region)
    assert [view.region_at(i) for i in view.source.selected.indices] == [found[1].region]


def test_the_window_of_a_country_is_where_most_of_it_is():
    countries = atlas_for(districts="countries").districts
    france = [RegionValue("France", 4.0, 99.0)]
    assert window_on(countries, countries.drawn(["France"]), france).west > -40
