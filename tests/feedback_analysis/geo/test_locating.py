import json
from ipaddress import ip_network
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.geo import maps
from feedback_analysis.geo.districts import OFFICIAL
from feedback_analysis.geo.location import OUTSIDE, UNKNOWN_COUNTRY, UNKNOWN_ISP, UNKNOWN_LOCATION, UNLOCATED, Location
from feedback_analysis.geo.locator import HONG_KONG_ASN, HONG_KONG_CITY, Locator

PLAN = Path(__file__).parents[3] / "swarmscope" / "audience" / "hong_kong_addresses.json"
FOUR_ISPS = {"PCCW": 0.3208, "HKBN": 0.1357, "HGC": 0.0555, "i-Cable": 0.0357}


@pytest.fixture(scope="module")
def locator():
    with Locator() as locator:
        yield locator


@pytest.fixture(scope="module")
def plan():
    return json.loads(PLAN.read_text(encoding="utf-8"))


def planned(entry):
    area, district = entry["area"] or UNLOCATED, entry["district"] or UNLOCATED
    return Location(country="HK", area=area, district=district, isp=entry["isp"])


def test_every_address_of_the_plan_is_located_correctly_even_when_truncated(locator, plan):
    for entry in plan:
        network = ip_network(entry["prefix"])
        for address in (network[0], network[1], network[77], network[-1]):
            assert locator.locate(str(address)) == planned(entry), f"{address} of {entry}"


def test_every_prefix_of_the_plan_is_complete_in_both_databases(plan):
    with maxminddb.open_database(HONG_KONG_CITY) as city, maxminddb.open_database(HONG_KONG_ASN) as asn:
        for entry in plan:
            address, bits = entry["prefix"].split("/")
            assert int(bits) == 24
            assert city.get_with_prefix_len(address)[1] <= 24
            assert asn.get_with_prefix_len(address)[1] <= 24


def test_an_audience_of_the_plan_is_distributed_like_hong_kong(plan):
    assert len({entry["prefix"] for entry in plan}) == len(plan) == 400
    assert {entry["district"] for entry in plan} == {*OFFICIAL, None}
    assert len({entry["area"] for entry in plan} - {None}) >= 28
    assert 0.08 <= sum(entry["district"] is None for entry in plan) / len(plan) <= 0.12
    for isp, share in FOUR_ISPS.items():
        assert sum(entry["isp"] == isp for entry in plan) / len(plan) == pytest.approx(share, abs=0.01)


def test_a_campus_is_located_where_it_is(locator):
    place = locator.locate("137.189.11.0")
    area = next(area for area in maps.areas() if area.id == place.area)
    assert (place.country, place.district, place.isp) == ("HK", "Sha Tin", "CUHK")
    assert area.name == "Fo Tan and Ma On Shan"


def test_an_ipv4_mapped_ipv6_address_is_located_as_the_ipv4_address(locator):
    assert locator.locate("::ffff:137.189.11.0") == locator.locate("137.189.11.0")


def test_ipv6_is_located_too(locator):
    assert locator.locate("2404:c800::1").isp == "PCCW"


def test_an_address_abroad_has_a_region_of_its_own(locator):
    place = locator.locate("8.8.8.8")
    assert (place.country, place.area, place.district) == (UNKNOWN_COUNTRY, OUTSIDE, OUTSIDE)


NO_ADDRESS = [None, "", "localhost", "1.2.3", "1.2.3.4.5", "9" * 10_000, "1.1.1.1\x00", "2404:c800::1%25"]
PRIVATE = ["10.0.0.1", "127.0.0.1", "100.64.0.1", "::", "::1", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1"]
MULTICAST = ["224.0.0.1", "ff0e::1"]


@pytest.mark.parametrize("ip", [*NO_ADDRESS, *PRIVATE, *MULTICAST])
def test_an_address_that_cannot_be_located_is_counted_and_not_lost(locator, ip):
    assert locator.locate(ip) == UNKNOWN_LOCATION == Location(area=UNLOCATED, district=UNLOCATED, isp=UNKNOWN_ISP)


@given(st.one_of(st.none(), st.text(), st.ip_addresses().map(str)))
def test_locating_never_raises(ip):
    place = SHARED.locate(ip)
    assert place.area in BUCKETS or place.area in AREAS
    assert place.district in BUCKETS or place.district in OFFICIAL
    assert place.country
    assert place.isp


SHARED = Locator()
AREAS = {area.id for area in maps.areas()}
BUCKETS = {UNLOCATED, OUTSIDE}
