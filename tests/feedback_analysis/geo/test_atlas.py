"""The choice of the map: Hong Kong's, the world's in cells and countries, or a custom one."""

import itertools
from pathlib import Path

import h3
import pytest

from feedback_analysis.geo import maps
from feedback_analysis.geo.atlas import WORLD_RESOLUTION, Atlas, atlas_for
from feedback_analysis.geo.divisions import MOST_DRAWN, Cells, cell_name, is_cell
from feedback_analysis.geo.geo_record import GeoRecord
from feedback_analysis.geo.location import OUTSIDE, UNLOCATED
from feedback_analysis.geo.locator import Locator

DATABASES = Path(__file__).with_name("databases")
CITY = DATABASES / "GeoLite2-City-Test.mmdb"


@pytest.fixture
def world():
    with Locator(city=CITY, atlas=atlas_for(city=CITY)) as locator:
        yield locator


def test_without_a_custom_database_the_map_is_hong_kongs():
    atlas = atlas_for()
    assert atlas == Atlas()
    assert (len(atlas.areas.drawn(())), len(atlas.districts.drawn(()))) == (38, 18)


def test_with_a_custom_database_the_map_is_the_worlds_in_cells_and_countries(world):
    sweden = world.locate("89.160.20.112")
    assert (sweden.country, sweden.district) == ("SE", "Sweden")
    assert h3.get_resolution(sweden.area) == WORLD_RESOLUTION
    lat, lon = h3.cell_to_latlng(sweden.area)
    assert abs(lat - 58.4) < 2
    assert abs(lon - 15.6) < 3


def test_a_country_without_a_city_counts_as_a_country_and_has_no_area(world):
    bhutan = world.locate("67.43.156.0")
    assert (bhutan.district, bhutan.area) == ("Bhutan", UNLOCATED)


def test_a_country_without_an_outline_still_has_its_name(world):
    assert world.locate("2a02:ffc0::1").district == "Gibraltar"
    assert "Gibraltar" not in {region.name for region in maps.countries()}


def test_a_peer_without_a_country_is_not_located(world):
    assert world.locate("192.0.2.1").district == UNLOCATED
    assert atlas_for(districts="countries").districts.part_of(GeoRecord(abroad=True)) == OUTSIDE


def test_the_hong_kong_map_can_be_used_with_another_database():
    atlas = atlas_for(city=CITY, districts="hong-kong")
    assert atlas == Atlas()


@pytest.mark.parametrize("resolution", range(10))
def test_cells_have_the_requested_size(resolution):
    cell = atlas_for(resolution=resolution).areas.part_of(GeoRecord(country="HK", city="Sha Tin", point=(114.2, 22.4)))
    assert h3.get_resolution(cell) == resolution


@pytest.mark.parametrize("resolution", [-1, 10])
def test_an_area_resolution_outside_0_to_15_is_refused(resolution):
    with pytest.raises(ValueError, match=rf"--area-resolution is {resolution}; it needs a whole number from 0"):
        atlas_for(resolution=resolution)


def test_a_bounded_number_of_cells_is_drawn_those_with_most_peers_first_and_in_a_stable_order():
    cells = sorted(h3.grid_disk(h3.latlng_to_cell(50.0, 10.0, 5), 20), reverse=True)
    drawn = [region.id for region in Cells(5, ()).drawn([UNLOCATED, *cells])]
    assert len(cells) > MOST_DRAWN
    assert drawn == sorted(cells[:MOST_DRAWN])


def test_a_cell_is_named_by_its_country_and_centre_and_neighbours_have_different_names():
    assert cell_name(h3.latlng_to_cell(47.0, 8.0, 4)).startswith("Switzerland · 4")
    for resolution in range(10):
        cells = h3.grid_disk(h3.latlng_to_cell(47.0, 8.0, resolution), 1)
        assert len({cell_name(cell) for cell in cells}) == 7


def test_text_that_is_no_h3_index_is_not_a_cell():
    assert not any(is_cell(text) for text in ("", "Sha Tin", "f" * 15, "8" * 16, "é" * 15))


def test_a_cell_across_the_antimeridian_stays_in_one_piece():
    [fiji] = Cells(2, ()).drawn([h3.latlng_to_cell(-17.0, 179.9, 2)])
    lons = [lon for lon, _ in fiji.polygons[0][0]]
    assert max(lons) - min(lons) < 10
    assert max(lons) > 180


def test_countries_are_closed_rings_within_the_world_and_none_goes_around_it():
    for country in maps.countries():
        for ring in (ring for polygon in country.polygons for ring in polygon):
            assert ring[0] == ring[-1]
            assert len(ring) > 3
            assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring)
            assert max(abs(a[0] - b[0]) for a, b in itertools.pairwise(ring)) < 180
    assert len(maps.country_names()) == 250
    assert (maps.SHIPPED / "world_countries.geojson").stat().st_size <= 150_000
