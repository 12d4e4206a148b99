import h3
import pytest

from feedback_analysis.geo import maps
from feedback_analysis.geo.districts import OFFICIAL


def test_hong_kong_has_18_districts_with_both_names():
    assert [district.id for district in maps.districts()] == sorted(OFFICIAL)
    assert len({district.name_zh for district in maps.districts()}) == 18
    assert all(district.name_zh.endswith("區") for district in maps.districts())


def test_hong_kong_has_38_areas_of_about_equal_size_each_with_its_own_name():
    sizes = [h3.cell_area(area.id, unit="km^2") for area in maps.areas()]
    assert len(maps.areas()) == len({area.name for area in maps.areas()}) == 38
    assert max(sizes) / min(sizes) < 1.02


def test_an_area_is_drawn_at_the_position_of_its_cell():
    for area in maps.areas():
        lat, lon = h3.cell_to_latlng(area.id)
        assert h3.get_resolution(area.id) == 6
        assert area.centre == pytest.approx((lon, lat), abs=1e-4)


def test_every_district_has_an_area_and_every_area_a_district():
    assert {district for area in maps.areas() for district in area.districts} == set(OFFICIAL)
    assert all(area.districts for area in maps.areas())


@pytest.mark.parametrize("region", [*maps.areas(), *maps.districts()], ids=lambda region: region.name)
def test_a_region_consists_of_closed_rings_in_longitude_and_latitude(region):
    for ring in (ring for polygon in region.polygons for ring in polygon):
        assert ring[0] == ring[-1]
        assert all(113.7 < lon < 114.6 and 22.0 < lat < 22.7 for lon, lat in ring)


def test_islands_are_many_polygons_of_one_district():
    islands = next(district for district in maps.districts() if district.name == "Islands")
    assert len(islands.polygons) > 1


def test_the_credit_that_the_licence_requires_is_available_to_the_page():
    assert "<a href='https://db-ip.com'>IP Geolocation by DB-IP</a>" in maps.CREDIT_HTML


def test_the_shipped_files_are_small():
    shipped = list(maps.SHIPPED.glob("hong_kong_*"))
    assert len(shipped) == 4
    assert all(path.stat().st_size < 1_000_000 for path in shipped)
