"""Locating never fails: an address that cannot be placed is placed in a bucket that says so.

What is not a public address (malformed, private, dropped for privacy) is `UNLOCATED`; what a source places
elsewhere is `OUTSIDE`; an address of Hong Kong with nothing but the territory's own point is in Hong Kong, yet
without area or district. Only a wrong or damaged database raises, and it does so on opening. A lookup that fails later is counted,
and its viewer is `UNLOCATED`, or at an unknown ISP.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Self

from feedback_analysis.geo import maps
from feedback_analysis.geo.atlas import Atlas, atlas_for
from feedback_analysis.geo.databases import Address, open_asn, open_city
from feedback_analysis.geo.followed_database import FollowedDatabase
from feedback_analysis.geo.geo_record import GeoRecord, country_of
from feedback_analysis.geo.location import UNKNOWN_ISP, UNKNOWN_LOCATION, UNLOCATED, Location
from feedback_analysis.location_settings import LocationSettings

log = logging.getLogger(__name__)

HONG_KONG_CITY = maps.SHIPPED / "hong_kong_city.mmdb"
HONG_KONG_ASN = maps.SHIPPED / "hong_kong_asn.mmdb"

# The Olympics of 2012 had 177,245 users in all and 7,000 at once; a place and its key take about 400 bytes.
REMEMBERED_ADDRESSES = 50_000

# "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"; longer text from a peer is no address and must not fill the memory.
LONGEST_ADDRESS = 45


class Locator:
    """Places an address in the divisions of `atlas`, by the shipped databases of Hong Kong or by files of your own."""

    def __init__(self, city: Path | None = None, asn: Path | None = None, *, atlas: Atlas | None = None) -> None:
        self.atlas = atlas or Atlas()
        self.edition = 0
        """Grows when a database was read anew: what was placed under a former edition may be elsewhere now."""
        self._city = FollowedDatabase(city or HONG_KONG_CITY, open_city, name="city", without=UNLOCATED)
        self._asn = FollowedDatabase(asn or HONG_KONG_ASN, open_asn, name="asn", without=f"of an {UNKNOWN_ISP} ISP")
        self._remember()

    @property
    def databases(self) -> tuple[FollowedDatabase[GeoRecord], FollowedDatabase[str]]:
        return self._city, self._asn

    def locate(self, ip: str | None) -> Location:
        return self._place(ip) if ip and len(ip) <= LONGEST_ADDRESS else UNKNOWN_LOCATION

    def refresh(self) -> None:
        """Read databases anew whose files were replaced. A new file is read at the second call that finds it unchanged.

        What cannot be used changes nothing but a count, and is a line in the log.
        """
        city, asn = self._city.refresh(), self._asn.refresh()
        if city or asn:
            self._remember()
            self.edition += 1

    def tell(self) -> bool:
        """A line in the log for each database of which lookups have failed since this was last called; whether there was one."""
        lines = [line for database in self.databases if (line := database.concern())]
        for line in lines:
            log.warning("%s", line)
        return bool(lines)

    def close(self) -> None:
        """Tell what is not told yet. The databases are in memory, and go with the locator."""
        self.tell()

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
    """ValueError says what is wrong with a database or with the map."""
    atlas = atlas_for(
        city=location.geo_city,
        districts=location.districts,
        name_key=location.district_name,
        resolution=location.area_resolution,
    )
    return Locator(location.geo_city, location.geo_asn, atlas=atlas)


def public_address(ip: str) -> Address | None:
    """None for what no database can place; an IPv4 address in IPv6 clothes is taken for what it is."""
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    return address if address.is_global and not address.is_multicast else None
