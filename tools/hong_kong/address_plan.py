"""The addresses of the simulated audience: real prefixes, which the databases locate like those of real viewers.

ISPs have the shares in the paper of 2012, and districts those of the census of 2021. A tenth of the prefixes has no
location, because a real audience has such a part as well. Each prefix is undivided in both databases, so all of its
addresses have the same location, truncated or not.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import maxminddb
from netaddr import IPNetwork, IPSet

from feedback_analysis.geo.location import UNLOCATED, Location
from feedback_analysis.geo.locator import HONG_KONG_ASN, HONG_KONG_CITY, Locator

# Table 1 of the paper: PCCW 32.08 %, HKBN 13.57 %, HGC 5.55 %, iCable 3.57 %, others 45.23 %; here of 400. It does
# not list the others: these are today's mobile operators, business lines and campuses, with estimated shares.
PREFIXES_OF_ISP = {
    "PCCW": 128,
    "HKBN": 54,
    "HGC": 22,
    "i-Cable": 14,
    "SmarTone": 46,
    "China Mobile HK": 46,
    "HKBN Enterprise": 24,
    "CSL": 20,
    "PCCW Business": 14,
    "HKNet": 6,
    "CUHK": 5,
    "HKU": 4,
    "CityU": 4,
    "PolyU": 4,
    "HKUST": 4,
    "HKBU": 3,
    "Towngas Telecom": 2,
}

# Thousands of inhabitants, 2021, rounded; they add up to 7,407.
INHABITANTS = {
    "Central and Western": 236,
    "Eastern": 529,
    "Islands": 185,
    "Kowloon City": 410,
    "Kwai Tsing": 495,
    "Kwun Tong": 673,
    "North": 309,
    "Sai Kung": 489,
    "Sha Tin": 692,
    "Sham Shui Po": 431,
    "Southern": 263,
    "Tai Po": 317,
    "Tsuen Wan": 320,
    "Tuen Mun": 506,
    "Wan Chai": 167,
    "Wong Tai Sin": 406,
    "Yau Tsim Mong": 310,
    "Yuen Long": 669,
}

UNLOCATED_SHARE = 0.10
PREFIX_BITS = 24

# Steps of the golden ratio distribute any number of picks evenly over a list.
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(slots=True)
class Choice:
    """The equivalent prefixes: those with the same ISP, district and area."""

    place: Location
    prefixes: list[str] = field(default_factory=list)
    taken: int = 0

    def take(self) -> str:
        self.taken += 1
        return self.prefixes.pop(int(self.taken * GOLDEN % 1 * len(self.prefixes)))


def write_plan(hong_kong: IPSet, target: Path) -> None:
    entries = sorted(_plan(_choices(hong_kong)), key=lambda entry: IPNetwork(entry["prefix"]))
    lines = [json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries]
    target.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def _choices(hong_kong: IPSet) -> list[Choice]:
    choices: dict[Location, Choice] = {}
    with Locator() as locator:
        for prefix in _whole_prefixes(hong_kong):
            place = locator.locate(prefix.split("/")[0])
            choices.setdefault(place, Choice(place)).prefixes.append(prefix)
    return sorted(choices.values(), key=lambda choice: choice.prefixes[0])


def _whole_prefixes(hong_kong: IPSet) -> Iterator[str]:
    with maxminddb.open_database(HONG_KONG_CITY) as city, maxminddb.open_database(HONG_KONG_ASN) as asn:
        for network in hong_kong.iter_cidrs():
            if network.version == 4 and network.prefixlen <= PREFIX_BITS:
                for prefix in network.subnet(PREFIX_BITS):
                    if _is_whole(city, prefix) and _is_whole(asn, prefix):
                        yield str(prefix)


def _is_whole(database: maxminddb.Reader, prefix: object) -> bool:
    record, bits = database.get_with_prefix_len(str(prefix).split("/")[0])
    return record is not None and bits <= PREFIX_BITS


def _plan(choices: list[Choice]) -> Iterator[dict[str, str | None]]:
    """Each pick goes to the district with the largest deficit. ISPs with the fewest choices pick first."""
    of_isp: dict[str, list[Choice]] = defaultdict(list)
    for choice in choices:
        of_isp[choice.place.isp].append(choice)
    in_district: Counter[str] = Counter()
    in_area: Counter[str] = Counter()
    for isp in sorted(PREFIXES_OF_ISP, key=lambda isp: len(of_isp[isp])):
        for _ in range(PREFIXES_OF_ISP[isp]):
            open_ = [choice for choice in of_isp[isp] if choice.prefixes]
            choice = min(open_, key=lambda choice: _fill(choice, in_district, in_area))
            in_district[choice.place.district] += 1
            in_area[choice.place.area] += 1
            yield _entry(choice.take(), choice.place)


def _fill(choice: Choice, in_district: Counter[str], in_area: Counter[str]) -> tuple[float, float]:
    """How full the district is, then how full the area: one with many prefixes may hold more than a remote one."""
    district, area = choice.place.district, choice.place.area
    return in_district[district] / _district_share(district), in_area[area] / math.log2(2 + len(choice.prefixes))


def _district_share(district: str) -> float:
    if district == UNLOCATED:
        return UNLOCATED_SHARE
    return (1 - UNLOCATED_SHARE) * INHABITANTS[district] / sum(INHABITANTS.values())


def _entry(prefix: str, place: Location) -> dict[str, str | None]:
    return {
        "prefix": prefix,
        "isp": place.isp,
        "district": None if place.district == UNLOCATED else place.district,
        "area": None if place.area == UNLOCATED else place.area,
    }
