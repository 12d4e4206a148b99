"""Districts from a file: which are accepted, which are refused with what advice, and where peers are counted."""

import json
import math

import pytest

from feedback_analysis.geo.atlas import atlas_for
from feedback_analysis.geo.district_file import (
    LONGEST_NAME,
    MOST_BYTES,
    MOST_DRAWN_POINTS,
    DistrictFileError,
    for_drawing,
    read_districts,
)
from feedback_analysis.geo.geo_record import GeoRecord
from feedback_analysis.geo.location import OUTSIDE, UNLOCATED
from feedback_analysis.geo.locator import Locator
from feedback_analysis.geo.outlines import contains


def ring(west, south, east, north):
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def feature(name, *rings, key="name"):
    return {"type": "Feature", "properties": {key: name}, "geometry": {"type": "Polygon", "coordinates": list(rings)}}


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


@pytest.fixture
def file_of(tmp_path):
    def write(*features):
        path = tmp_path / "districts.geojson"
        path.write_text(json.dumps(collection(*features)), encoding="utf-8")
        return path

    return write


def test_a_peer_counts_in_the_district_around_its_point(file_of):
    path = file_of(feature("West", ring(-10, 50, 0, 60)), feature("East", ring(0, 50, 10, 60), ring(4, 54, 6, 56)))
    districts = atlas_for(districts=str(path)).districts
    at = {
        point: districts.part_of(GeoRecord(country="GB", city="Somewhere", point=point)) for point in [(-5, 55), (1, 55), (5, 55)]
    }
    assert at == {(-5, 55): "West", (1, 55): "East", (5, 55): OUTSIDE}


def test_a_point_that_stands_for_a_country_or_is_missing_is_in_no_district(file_of):
    districts = atlas_for(
        districts=str(file_of(feature("Half", ring(-179, -90, 0, 90)), feature("Other", ring(0, -90, 179, 90))))
    ).districts
    assert districts.part_of(GeoRecord(country="US", point=(-97.8, 37.8))) == UNLOCATED
    assert districts.part_of(GeoRecord(country="HK", city="Kowloon", point=(114.2, 22.3))) == UNLOCATED
    assert districts.part_of(GeoRecord(country="US", city="Wichita")) == UNLOCATED
    assert districts.part_of(GeoRecord(abroad=True)) == OUTSIDE


def test_where_districts_overlap_the_first_of_the_file_counts(file_of):
    path = file_of(feature("First", ring(0, 0, 2, 2)), feature("Second", ring(1, 1, 3, 3)))
    assert atlas_for(districts=str(path)).districts.part_of(GeoRecord(city="x", point=(1.5, 1.5))) == "First"


def test_features_with_the_same_name_are_one_district(file_of):
    [islands] = read_districts(file_of(feature("Islands", ring(0, 0, 1, 1)), feature("Islands", ring(5, 5, 6, 6))))
    assert len(islands.polygons) == 2


def test_with_the_shipped_database_hong_kongs_viewers_are_found_in_custom_districts(file_of):
    path = file_of(feature("East", ring(114.15, 22.1, 114.5, 22.6)), feature("West", ring(113.8, 22.1, 114.15, 22.6)))
    with Locator(atlas=atlas_for(districts=str(path))) as own, Locator() as shipped:
        assert own.locate("137.189.11.0").district == "East"
        assert own.locate("137.189.11.0").area == shipped.locate("137.189.11.0").area


def test_the_name_of_a_district_may_be_in_another_property_and_may_be_a_number(file_of):
    assert [d.id for d in read_districts(file_of(feature(7, ring(0, 0, 1, 1), key="ward")), "ward")] == ["7"]


def test_an_open_ring_is_closed_and_altitudes_are_ignored(file_of):
    [district] = read_districts(file_of(feature("A", [[0, 0, 9], [1, 0, 9], [1, 1, 9]])))
    assert district.polygons == ((((0, 0), (1, 0), (1, 1), (0, 0)),),)


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ([feature("A", ring(0, 0, 1, 1)), feature("B", ring(0, 0, 1, 1), key="NAME_2")], r"feature 2: .*--district-name .*NAME_2"),
        ([feature("A", ring(834_000, 821_000, 835_000, 822_000))], r"feature 1: .*EPSG:4326"),
        ([feature("A", [[0, 0], [1, math.nan], [1, 1], [0, 0]])], "longitude and latitude"),
        ([feature("A", [[0, 0], [1, 0], [0, 0]])], "a ring has 3 points"),
        ([feature("A", [[0, 0], ["1", 0], [1, 1]])], "is not a position"),
        ([feature("A", [[True, 0], [1, 0], [1, 1]])], "is not a position"),
        ([feature("A", ring(170, 0, -170, 5))], "cut the outline at 180 degrees"),
        ([feature("A")], "no rings"),
        ([feature(OUTSIDE, ring(0, 0, 1, 1))], "choose another name"),
        ([feature("  ", ring(0, 0, 1, 1))], f"1 to {LONGEST_NAME} characters"),
        ([feature("a" * 101, ring(0, 0, 1, 1))], "characters"),
        ([feature("right\u202eleft", ring(0, 0, 1, 1))], "can be printed"),
        ([{"type": "Feature", "properties": {"name": "A"}, "geometry": {"type": "Point", "coordinates": [0, 0]}}], "'Point'"),
        ([{"type": "Feature", "properties": {"name": "A"}, "geometry": None}], "no geometry"),
        (["Feature"], "no property 'name'"),
        ([], "not a GeoJSON FeatureCollection"),
    ],
)
def test_an_error_in_a_file_is_reported_with_its_position(file_of, features, reason):
    with pytest.raises(DistrictFileError, match=reason):
        read_districts(file_of(*features))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff", '{"type": "Feature"}', "1" * 5000])
def test_a_file_that_is_not_geojson_is_refused(tmp_path, text):
    path = tmp_path / "districts.geojson"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DistrictFileError, match="GeoJSON"):
        read_districts(path)


def test_a_missing_or_too_large_file_is_refused(tmp_path):
    with pytest.raises(DistrictFileError, match="hong-kong or countries"):
        read_districts(tmp_path / "none.geojson")
    large = tmp_path / "large.geojson"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(DistrictFileError, match="at most"):
        read_districts(large)


def test_many_points_are_drawn_coarsely_and_counted_exactly(file_of):
    circle = [[math.cos(i / 20_000 * math.tau), math.sin(i / 20_000 * math.tau)] for i in range(20_000)]
    read = read_districts(file_of(feature("Circle", circle)))
    [drawn] = for_drawing(read)
    assert sum(len(each) for polygon in drawn.polygons for each in polygon) <= MOST_DRAWN_POINTS
    assert sum(len(each) for polygon in read[0].polygons for each in polygon) > 20_000
    assert contains(drawn.polygons[0], (0.7, 0.7))
    assert not contains(drawn.polygons[0], (0.72, 0.72))
