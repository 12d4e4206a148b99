import pytest

from feedback_analysis.geo import maps
from feedback_analysis.geo.districts import OFFICIAL, official_district
from feedback_analysis.geo.geo_record import GeoRecord, area_of, country_of, district_of
from feedback_analysis.geo.isps import isp_name
from feedback_analysis.geo.location import OUTSIDE, UNKNOWN_COUNTRY, UNKNOWN_ISP, UNLOCATED

MA_LIU_SHUI = (114.2068, 22.4196)
MIDDLE_OF_THE_TERRITORY = (114.169, 22.3193)
AREAS = {area.id: area for area in maps.areas()}


def area_name(record):
    return AREAS[area_of(record, AREAS)].name


def test_a_district_and_a_point_give_district_and_area():
    record = GeoRecord(country="HK", subdivisions=("Sha Tin",), city="Ma Liu Shui", point=MA_LIU_SHUI)
    assert district_of(record) == "Sha Tin"
    assert area_name(record) == "Fo Tan and Ma On Shan"


@pytest.mark.parametrize("territory", ["", "Hong Kong", "Kowloon", "New Territories"])
def test_the_centre_of_the_territory_is_no_area(territory):
    record = GeoRecord(country="HK", subdivisions=("Kowloon",), city=territory, point=MIDDLE_OF_THE_TERRITORY)
    assert (country_of(record), area_of(record, AREAS), district_of(record)) == ("HK", UNLOCATED, UNLOCATED)


def test_a_named_place_has_an_area_even_without_a_district():
    record = GeoRecord(country="HK", subdivisions=("New Territories",), city="Tai Chuen", point=(114.051, 22.3409))
    assert area_name(record) == "Sunny Bay"
    assert district_of(record) == UNLOCATED


def test_a_small_island_counts_with_the_nearest_area():
    assert area_name(GeoRecord(country="HK", subdivisions=("Islands",), city="Peng Chau", point=(114.039, 22.286))) == (
        "Discovery Bay and Mui Wo"
    )


def test_no_point_is_moved_across_the_harbour():
    campus_in_pok_fu_lam = GeoRecord(country="HK", subdivisions=("Southern",), city="Pok Fu Lam", point=(114.1343, 22.2831))
    assert area_name(campus_in_pok_fu_lam) == "Central and Wan Chai"


def test_a_point_far_from_hong_kong_is_not_moved_to_its_coast():
    tokyo = GeoRecord(country="HK", subdivisions=("Eastern",), city="Chai Wan", point=(139.65, 35.6764))
    assert area_of(tokyo, AREAS) == UNLOCATED
    assert district_of(tokyo) == "Eastern"


def test_without_a_point_there_is_no_area():
    assert area_of(GeoRecord(country="HK", subdivisions=("Eastern",), city="Chai Wan"), AREAS) == UNLOCATED


def test_another_country_is_outside_even_with_a_district_of_the_same_name():
    record = GeoRecord(country="LK", subdivisions=("Eastern",), city="Batticaloa", point=(81.69, 7.73))
    assert (country_of(record), area_of(record, AREAS), district_of(record)) == ("LK", OUTSIDE, OUTSIDE)


def test_an_unknown_location_is_not_the_same_as_abroad():
    assert (country_of(GeoRecord()), area_of(GeoRecord(), AREAS), district_of(GeoRecord())) == (
        UNKNOWN_COUNTRY,
        UNLOCATED,
        UNLOCATED,
    )
    assert (country_of(GeoRecord(abroad=True)), district_of(GeoRecord(abroad=True))) == (UNKNOWN_COUNTRY, OUTSIDE)


@pytest.mark.parametrize(
    ("spelled", "official"),
    [
        ("North District", "North"),
        ("Kwai Tsing District", "Kwai Tsing"),
        ("Central & Western District", "Central and Western"),
        ("Central And Western", "Central and Western"),
        ("Wanchai", "Wan Chai"),
        ("Kowloon", None),
        ("New Territories", None),
        ("District", None),
        ("", None),
    ],
)
def test_districts_are_recognised_in_every_usual_spelling_and_never_guessed(spelled, official):
    assert official_district(spelled) == official


def test_every_district_is_recognised_in_both_spellings():
    assert [official_district(name) for name in OFFICIAL] == list(OFFICIAL)
    assert [official_district(f"{name} District") for name in OFFICIAL] == list(OFFICIAL)


def test_a_known_isp_has_its_everyday_name_and_an_unknown_one_its_legal_name():
    assert isp_name(4760, "HKT Limited") == "PCCW"
    assert isp_name(64500, " Example Net Ltd ") == "Example Net Ltd"
    assert isp_name(64500, "") == "AS64500"
    assert isp_name(0, "") == UNKNOWN_ISP
