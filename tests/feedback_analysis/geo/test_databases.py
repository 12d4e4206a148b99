from pathlib import Path

import geoip2.database
import pytest

from feedback_analysis.geo.databases import LocationFileError, open_asn, open_city
from feedback_analysis.geo.location import OUTSIDE, UNLOCATED
from feedback_analysis.geo.locator import HONG_KONG_ASN, HONG_KONG_CITY, Locator

DATABASES = Path(__file__).with_name("databases")
MAXMIND_CITY = DATABASES / "GeoLite2-City-Test.mmdb"
MAXMIND_ASN = DATABASES / "GeoLite2-ASN-Test.mmdb"
MAXMIND_COUNTRY = DATABASES / "GeoLite2-Country-Test.mmdb"
FLAT_CITY = DATABASES / "flat-city-ipv4.mmdb"


def test_files_of_maxmind_are_read_in_place_of_ours():
    with Locator(city=MAXMIND_CITY, asn=MAXMIND_ASN) as locator:
        sweden = locator.locate("89.160.20.112")
        assert (sweden.country, sweden.area, sweden.isp) == ("SE", OUTSIDE, "Bredband2 AB")


def test_hong_kong_without_a_city_is_the_territory_and_no_area():
    with Locator(city=MAXMIND_CITY, asn=MAXMIND_ASN) as locator:
        place = locator.locate("2001:2e0::1")
        assert (place.country, place.area, place.district) == ("HK", UNLOCATED, UNLOCATED)


def test_an_address_missing_from_a_world_database_has_no_known_location():
    with Locator(city=MAXMIND_CITY, asn=MAXMIND_ASN) as locator:
        assert locator.locate("137.189.11.0").area == UNLOCATED


def test_the_flat_layout_is_read_too():
    with Locator(city=FLAT_CITY) as locator, Locator() as shipped:
        assert locator.locate("137.189.11.0") == shipped.locate("137.189.11.0")
        assert locator.locate("203.80.1.1").district == UNLOCATED
        assert (locator.locate("81.2.69.142").country, locator.locate("81.2.69.142").area) == ("GB", OUTSIDE)


def test_an_ipv6_address_raises_no_error_in_an_ipv4_database():
    with Locator(city=FLAT_CITY) as locator:
        assert locator.locate("2404:c800::1").area == UNLOCATED


def test_maxminds_own_reader_reads_our_city_database():
    with geoip2.database.Reader(HONG_KONG_CITY) as reader:
        campus = reader.city("137.189.11.0")
        kowloon = reader.city("203.80.0.1")
    assert campus.country.iso_code == kowloon.country.iso_code == "HK"
    assert campus.subdivisions[0].names["en"] == "Sha Tin"
    assert len(kowloon.subdivisions) == 0


def test_a_database_of_the_wrong_kind_is_refused_by_name_and_with_advice():
    with pytest.raises(LocationFileError, match=r"GeoLite2-Country-Test\.mmdb is .*'GeoLite2-Country'.* GeoLite2-City"):
        open_city(MAXMIND_COUNTRY)
    with pytest.raises(LocationFileError, match=r"ISPs need an ASN database, such as GeoLite2-ASN"):
        open_asn(HONG_KONG_CITY)
    with pytest.raises(LocationFileError, match="Swarmscope-Hong-Kong-ASN"):
        open_city(HONG_KONG_ASN)


def test_a_missing_or_broken_file_is_refused_on_opening(tmp_path):
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"no database")
    with pytest.raises(LocationFileError, match="does not exist; give the path"):
        Locator(city=tmp_path / "none.mmdb")
    with pytest.raises(LocationFileError, match="not a readable MaxMind DB file"):
        Locator(city=broken)


def test_a_wrong_second_file_leaves_the_first_one_closed(tmp_path):
    with pytest.raises(LocationFileError):
        Locator(asn=tmp_path / "none.mmdb")
