"""A database may contain anything: an unreadable record costs its lookup and nothing else, or the database is refused."""

import json
import random
import subprocess
import sys
from itertools import islice
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.geo.atlas import atlas_for
from feedback_analysis.geo.databases import LocationFileError
from feedback_analysis.geo.layouts import LONGEST_TEXT
from feedback_analysis.geo.location import UNKNOWN_COUNTRY, UNKNOWN_ISP, UNLOCATED
from feedback_analysis.geo.locator import Locator
from tests.feedback_analysis.geo.mmdb import mmdb, write_mmdb
from tests.harness.logs import record, write_log
from tests.harness.processes import run_swarmscope

SHARED = Path(__file__).parents[4] / "shared"
GEOIP, FAULTS = SHARED / "data" / "geoip", SHARED / "notes" / "faults"
NETWORK, ADDRESS = "81.2.69.0/24", "81.2.69.5"
BERLIN = {
    "country": {"iso_code": "DE"},
    "city": {"names": {"en": "Berlin"}},
    "location": {"latitude": 52.5, "longitude": 13.4},
    "subdivisions": [{"names": {"en": "Land Berlin"}}],
}


def city(path, found, kind="GeoLite2-City"):
    return write_mmdb(path / "city.mmdb", kind, {NETWORK: found})


def asn(path, found, kind="GeoLite2-ASN"):
    return write_mmdb(path / "asn.mmdb", kind, {NETWORK: found})


def located(path, address=ADDRESS):
    with Locator(city=path, atlas=atlas_for(city=path)) as locator:
        return locator.locate(address)


def test_a_database_written_here_is_read(tmp_path):
    place = located(city(tmp_path, BERLIN))
    assert (place.country, place.district) == ("DE", "Germany")
    assert place.area != UNLOCATED


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ("DE", "the record is of type str and not a map"),
        (BERLIN | {"country": "DE"}, "its country is a text and not a map"),
        (BERLIN | {"country": {"iso_code": 49}}, "its iso_code is a number and not a text"),
        (BERLIN | {"city": ["Berlin"]}, "its city is an array and not a map"),
        (BERLIN | {"city": {"names": "Berlin"}}, "its names is a text and not a map"),
        (BERLIN | {"city": {"names": {"en": "B" * (LONGEST_TEXT + 1)}}}, "its en has 301 characters"),
        (BERLIN | {"subdivisions": {"names": {}}}, "its subdivisions is not an array of maps"),
        (BERLIN | {"subdivisions": ["Berlin"]}, "its subdivisions is not an array of maps"),
        (BERLIN | {"location": 52.5}, "its location is a number and not a map"),
        (BERLIN | {"location": {"latitude": 91.0, "longitude": 13.4}}, "its latitude is '91.0' and not a number from -90 to 90"),
        (BERLIN | {"location": {"latitude": 52.5, "longitude": float("nan")}}, "its longitude is 'nan' and not a number"),
        (BERLIN | {"location": {"latitude": True, "longitude": 13.4}}, "its latitude is 'True' and not a number"),
        (BERLIN | {"location": {"latitude": "north", "longitude": 13.4}}, "its latitude is 'north' and not a number"),
        ({"city": {"names": {"en": b"\x42\xff\xfe"}}}, "bad data"),
        ({"country": b"\x7f\xff\xff\xff"}, "bad data"),
    ],
)
def test_an_unreadable_record_leaves_its_viewer_not_located_and_the_others_unchanged(tmp_path, caplog, found, reason):
    path = write_mmdb(tmp_path / "city.mmdb", "GeoLite2-City", {"81.2.68.0/24": BERLIN, NETWORK: found})
    with Locator(city=path, atlas=atlas_for(city=path)) as locator:
        for last in range(5):
            place = locator.locate(f"81.2.69.{last}")
            assert (place.country, place.area, place.district) == (UNKNOWN_COUNTRY, UNLOCATED, UNLOCATED)
        assert locator.locate("81.2.68.5").country == "DE"
        assert locator.databases[0].counts.failed_lookups == 5
    [line] = caplog.messages
    assert line.startswith(f"{path}: 5 lookups failed, and these viewers are not located: ")
    assert reason in line


def test_failures_are_logged_once_with_their_count(tmp_path, caplog):
    path = write_mmdb(tmp_path / "city.mmdb", "GeoLite2-City", {"81.2.68.0/24": BERLIN, NETWORK: BERLIN | {"country": "DE"}})
    locator = Locator(city=path)
    locator.locate("81.2.69.1")
    assert locator.log_failures()
    assert not locator.log_failures()
    locator.locate("81.2.69.2")
    assert locator.log_failures()
    assert "1 lookup failed (2 in all)" in caplog.messages[-1]


@pytest.mark.parametrize("records", [{NETWORK: BERLIN | {"country": "DE"}}, {NETWORK: "DE", "81.2.68.0/24": {"where": "Berlin"}}])
def test_a_database_without_a_usable_record_is_refused_at_the_start(tmp_path, records):
    path = write_mmdb(tmp_path / "city.mmdb", "GeoLite2-City", records)
    with pytest.raises(LocationFileError, match=r"type 'GeoLite2-City', and not one of its first records can be used: "):
        Locator(city=path)


def test_an_unreadable_record_of_an_address_leaves_its_isp_unknown(tmp_path, caplog):
    path = write_mmdb(tmp_path / "a.mmdb", "GeoLite2-ASN", {"81.2.68.0/24": {"asn": 64500}, NETWORK: {"asn": [64500]}})
    with Locator(asn=path) as locator:
        assert locator.locate(ADDRESS).isp == UNKNOWN_ISP
        assert locator.locate("81.2.68.1").isp == "AS64500"
    assert "these viewers are of an unknown ISP: its asn is '[64500]' and not the number of a network" in caplog.messages[-1]


@pytest.mark.parametrize("point", [(52, 13), ("52", "13"), (52.0, 13)])
def test_integer_degrees_and_degrees_as_text_are_read(tmp_path, point):
    lat, lon = point
    whole = located(city(tmp_path, BERLIN | {"location": {"latitude": lat, "longitude": lon}}))
    assert whole == located(city(tmp_path, BERLIN | {"location": {"latitude": 52.0, "longitude": 13.0}}))
    assert whole.area != UNLOCATED


def test_integer_degrees_of_a_flat_database_are_read(tmp_path):
    flat = {"country_code": "DE", "city": "Berlin", "state1": "Berlin", "latitude": 52, "longitude": 13}
    assert located(city(tmp_path, flat, "city ipv4")).area != UNLOCATED


@pytest.mark.parametrize(
    ("found", "isp"),
    [
        ({"asn": "AS64500", "name": "Example Net", "domain": "example.org"}, "Example Net"),
        ({"asn": "AS64500", "as_name": "Example Net"}, "Example Net"),
        ({"asn": 64500, "organization": "Example Net"}, "Example Net"),
        ({"asn": "64500"}, "AS64500"),
        ({"asn": "AS4760", "name": "HKT Limited"}, "PCCW"),
        ({"isp": "Example Broadband", "autonomous_system_organization": "Example Net"}, "Example Broadband"),
        ({"isp": "Example Broadband", "organization": "A customer"}, "Example Broadband"),
        ({"isp": " ", "autonomous_system_organization": "Example Net"}, "Example Net"),
        ({"country": {"iso_code": "DE"}, "traits": {"isp": "Example Broadband"}}, "Example Broadband"),
    ],
)
def test_the_isp_is_read_in_all_common_layouts(tmp_path, found, isp):
    path = asn(tmp_path, found, "GeoIP2-Enterprise" if "traits" in found else "ipinfo generic_asn_free.mmdb")
    with Locator(asn=path) as locator:
        assert locator.locate(ADDRESS).isp == isp


def test_a_database_without_the_needed_fields_is_refused_with_the_fields_it_has(tmp_path):
    with pytest.raises(
        LocationFileError, match=r"asn\.mmdb is .*'GeoLite2-ASN', and not one of its first 1 records has .*isp.*carrier"
    ):
        Locator(asn=asn(tmp_path, {"carrier": "Example Net"}))
    with pytest.raises(LocationFileError, match=r"city\.mmdb is .* has country\.iso_code.*; their fields are where"):
        Locator(city=city(tmp_path, {"where": "Berlin"}))
    with pytest.raises(LocationFileError, match="it holds no record"):
        Locator(city=write_mmdb(tmp_path / "empty.mmdb", "GeoLite2-City", {}))


@pytest.mark.parametrize("kind", ["GeoIP2-Enterprise", "GeoIP2-Precision-Enterprise", "DBIP-Location-ISP (compat=Enterprise)"])
def test_enterprise_databases_are_read_for_cities_and_for_isps(tmp_path, kind):
    path = city(tmp_path, BERLIN | {"traits": {"isp": "Example Broadband"}}, kind)
    with Locator(city=path, asn=path, atlas=atlas_for(city=path)) as locator:
        place = locator.locate(ADDRESS)
    assert (place.district, place.isp) == ("Germany", "Example Broadband")


names = st.sampled_from(
    [
        *("country", "iso_code", "city", "names", "en", "location", "latitude", "longitude", "subdivisions", "traits"),
        *("isp", "asn", "name", "country_code", "state1", "lat", "lng", "autonomous_system_number"),
    ]
)
values = st.recursive(
    st.none().map(lambda _: b"\xe0")
    | st.booleans()
    | st.integers(-(2**31), 2**63)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(min_size=1, max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(["GeoLite2-City", "city ipv4", "GeoIP2-Enterprise"]), st.lists(values, min_size=1, max_size=3))
def test_locating_never_raises_with_any_database(tmp_path_factory, kind, found):
    path = tmp_path_factory.mktemp("any") / "any.mmdb"
    path.write_bytes(mmdb(kind, {f"81.2.{number}.0/24": each for number, each in enumerate(found)}))
    try:
        locator = Locator(city=path, asn=path if "Enterprise" in kind else None, atlas=WORLD)
    except LocationFileError:
        return
    for number in range(len(found)):
        place = locator.locate(f"81.2.{number}.5")
        assert place.country
        assert place.area
        assert place.isp


WORLD = atlas_for(districts="countries", resolution=2)


def analyze(path, *arguments):
    return run_swarmscope("analyze", path, *arguments, "--json", timeout_s=60)


def test_analyze_continues_and_reports_the_number_of_failed_lookups_in_one_line(tmp_path):
    path = write_mmdb(tmp_path / "city.mmdb", "GeoLite2-City", {"81.2.68.0/24": BERLIN, NETWORK: "DE"})
    log = write_log(tmp_path / "logs", [record(ip=f"81.2.69.{n}", peer_id=f"p{n}", session_id=f"s{n}") for n in range(9)])
    done = analyze(log, "--geo-city", str(path), "--by", "country,area")
    assert done.returncode == 0
    assert done.stderr == (
        f"{path}: 9 lookups failed, and these viewers are not located: the record is of type str and not a map\n"
    )
    [group] = json.loads(done.stdout)["groups"]
    assert (group["by"], group["peers"]) == ({"country": UNKNOWN_COUNTRY, "area": UNLOCATED}, 9)


@pytest.mark.skipif(not FAULTS.is_dir(), reason=f"the failing inputs are not in {FAULTS}")
@pytest.mark.parametrize("name", ["city_country_is_text", "city_record_is_text"])
def test_the_reported_databases_without_a_usable_record_are_refused_with_the_reason(name):
    done = analyze(FAULTS / "one_viewer.jsonl", "--geo-city", str(FAULTS / f"{name}.mmdb"), "--by", "country,area")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not one of its first records can be used: " in done.stderr


BAD = sorted((GEOIP / "bad-data").glob("*/*.mmdb")) if GEOIP.is_dir() else []


@pytest.mark.skipif(not BAD, reason=f"MaxMind's broken databases are not in {GEOIP}")
def test_every_broken_database_of_maxmind_is_refused_in_one_line_or_leaves_viewers_not_located(tmp_path):
    """Under its own type, and disguised as a type that is read."""
    refused = []
    for number, broken in enumerate(BAD):
        for kind in (b"", b"City"):
            path = tmp_path / f"{number}{kind.decode()}.mmdb"
            path.write_bytes(broken.read_bytes().replace(b"\x44Test", b"\x44City") if kind else broken.read_bytes())
            try:
                locator = Locator(city=path)
            except LocationFileError as error:
                refused.append(str(error))
                continue
            assert locator.locate("1.1.1.1").area == UNLOCATED
            assert locator.locate("200.1.1.1").area == UNLOCATED
    assert len(refused) > len(BAD)
    assert not any("\n" in line for line in refused)


@pytest.mark.skipif(not GEOIP.is_dir(), reason=f"MaxMind's test databases are not in {GEOIP}")
def test_a_geoip2_isp_database_gives_its_isps():
    path = GEOIP / "test-data" / "GeoIP2-ISP-Test.mmdb"
    with maxminddb.open_database(path) as truth, Locator(asn=path) as locator:
        networks = [(network[0], found["isp"]) for network, found in islice(truth, 3000) if found.get("isp")]
        wrong = {str(at): (isp, locator.locate(str(at)).isp) for at, isp in networks if at.is_global}
    assert len(wrong) > 1000
    assert {at: pair for at, pair in wrong.items() if pair[0] != pair[1]} == {}


@pytest.mark.skipif(not GEOIP.is_dir(), reason=f"MaxMind's test databases are not in {GEOIP}")
def test_each_test_database_of_maxmind_is_read_or_refused_by_its_type():
    read = {}
    for path in sorted((GEOIP / "test-data").glob("*.mmdb")):
        for flag in ("city", "asn"):
            try:
                Locator(**{flag: path})
                read.setdefault(flag, []).append(path.stem.removesuffix("-Test"))
            except LocationFileError:
                continue
    enterprise = [
        f"GeoIP2-{kind}" for kind in ("Enterprise-Shield", "Enterprise", "Precision-Enterprise-Shield", "Precision-Enterprise")
    ]
    assert read["city"] == [
        "GeoIP2-City-Shield",
        "GeoIP2-City",
        *enterprise,
        "GeoLite2-City",
    ]
    assert read["asn"] == [*enterprise[:2], "GeoIP2-ISP", *enterprise[2:], "GeoLite2-ASN"]


ENDED_THE_READER_IN_C = (583, 2)
"""Offset and value of a damaged byte in the search tree of GeoLite2-City-Test.mmdb: malloc() aborts the process."""

READ_DAMAGED = """
import sys
from pathlib import Path
from feedback_analysis.geo.atlas import atlas_for
from feedback_analysis.geo.databases import LocationFileError
from feedback_analysis.geo.locator import Locator

source, path, opened = Path(sys.argv[1]), Path(sys.argv[2]), 0
atlas = atlas_for(city=source)
for offset, value in zip(map(int, sys.argv[3::2]), map(int, sys.argv[4::2]), strict=True):
    damaged = bytearray(source.read_bytes())
    damaged[offset] = value
    path.write_bytes(damaged)
    try:
        locator = Locator(city=path, atlas=atlas)
    except LocationFileError:
        continue
    opened += 1
    for address in ("81.2.69.142", "2.125.160.216", "1.128.0.0", "2001:218::1"):
        locator.locate(address)
print(opened)
"""


@pytest.mark.skipif(not GEOIP.is_dir(), reason=f"MaxMind's test databases are not in {GEOIP}")
def test_a_damaged_byte_never_ends_the_process(tmp_path):
    draw = random.Random(1)
    source = GEOIP / "test-data" / "GeoLite2-City-Test.mmdb"
    damages = [ENDED_THE_READER_IN_C] + [(draw.randrange(source.stat().st_size), draw.randrange(256)) for _ in range(200)]
    arguments = [str(number) for damage in damages for number in damage]
    command = [sys.executable, "-c", READ_DAMAGED, source, tmp_path / "city.mmdb", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert 0 < int(done.stdout) < len(damages)
