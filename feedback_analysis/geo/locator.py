"""Locates addresses. Locating never fails: an address without a location gets an explicit value.

An address that is not public (malformed, private, dropped for privacy) is `UNLOCATED`. An address off the map is `OUTSIDE`. An
address of Hong Kong with only the territory's point is in the country HK, without area or district. Only opening a wrong or damaged
database raises. A lookup that fails later is counted, and its viewer is `UNLOCATED`, or at an unknown ISP.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Self

from feedback_analysis.geo import maps
from feedback_analysis.geo.atlas import Atlas, atlas_for
from feedback_analysis.geo.databases import open_asn, open_city
from feedback_analysis.geo.followed_database import FollowedDatabase
from feedback_analysis.geo.geo_record import GeoRecord, country_of
from feedback_analysis.geo.location import UNKNOWN_ISP, UNKNOWN_LOCATION, UNLOCATED, Location
from feedback_analysis.location_settings import LocationSettings

log = logging.getLogger(__name__)

HONG_KONG_CITY = maps.SHIPPED / "hong_kong_city.mmdb"
HONG_KONG_ASN = maps.SHIPPED / "hong_kong_asn.mmdb"

# The Olympics of 2012 had 177,245 users in all and 7,000 at once; a location and its key take about 400 bytes.
REMEMBERED_ADDRESSES = 50_000

# "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"; a longer text is no address and must not fill the memory.
LONGEST_ADDRESS = 45


class Locator:
    """Locates an address in the divisions of `atlas`, with the shipped databases of Hong Kong or with given files."""

    def __init__(self, city: Path | None = None, asn: Path | None = None, *, atlas: Atlas | None = None) -> None:
        self.atlas = atlas or Atlas()
        self.edition = 0
        """Grows when a database is replaced, because locations may change then."""
        self._city = FollowedDatabase(city or HONG_KONG_CITY, open_city, name="city", without=UNLOCATED)
        self._asn = FollowedDatabase(asn or HONG_KONG_ASN, open_asn, name="asn", without=f"of an {UNKNOWN_ISP} ISP")
        self._remember()

    @property
    def databases(self) -> tuple[FollowedDatabase[GeoRecord], FollowedDatabase[str]]:
        return self._city, self._asn

    def locate(self, ip: str | None) -> Location:
        return self._place(ip) if ip and len(ip) <= LONGEST_ADDRESS else UNKNOWN_LOCATION

    def refresh(self) -> None:
        """Read replaced database files. A new file is read at the second call that finds it unchanged.

        A file that cannot be used is counted and logged; the current database stays in use.
        """
        city, asn = self._city.refresh(), self._asn.refresh()
        if city or asn:
            self._remember()
            self.edition += 1

    def log_failures(self) -> bool:
        """Log a line for each database with failed lookups since the last call; returns whether there was one."""
        lines = [line for database in self.databases if (line := database.concern())]
        for line in lines:
            log.warning("%s", line)
        return bool(lines)

    def close(self) -> None:
        """Log the failed lookups since the last line. The databases are in memory and are freed with the locator."""
        self.log_failures()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _remember(self) -> None:
        self._place = lru_cache(maxsize=REMEMBERED_ADDRESSES)(self._look_up)

    def _look_up(self, ip: str) -> Location:
        address = public_address(ip)
        if address is None:
            return UNKNOWN_LOCATION
        record = self._city.answer(address) or GeoRecord()
        return Location(
            country=country_of(record),
            area=self.atlas.areas.part_of(record),
            district=self.atlas.districts.part_of(record),
            isp=self._asn.answer(address) or UNKNOWN_ISP,
        )


def locator_for(location: LocationSettings) -> Locator:
    """The locator for the settings; ValueError for a database or a map that cannot be used."""
    atlas = atlas_for(
        city=location.geo_city,
        districts=location.districts,
        name_key=location.district_name,
        resolution=location.area_resolution,
    )
    return Locator(location.geo_city, location.geo_asn, atlas=atlas)


def public_address(ip: str) -> IPv4Address | IPv6Address | None:
    """The parsed address; None for one that no database can locate. An IPv4-mapped IPv6 address is its IPv4 address."""
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    return address if address.is_global and not address.is_multicast else None
