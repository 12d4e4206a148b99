"""A database is told by its type, not by its file name, and a wrong one is refused when it is opened.

City files come in two layouts: MaxMind's (GeoIP2, GeoLite2, DB-IP's own downloads, ours) and the flat one of the
`ip-location-db` packages. ASN files are read without the geoip2 package, which would accept none but MaxMind's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

import geoip2.database
import geoip2.errors
import geoip2.models
import maxminddb

from monitor_platform.geo.fixes import Fix
from monitor_platform.geo.isps import isp_name
from monitor_platform.geo.places import UNKNOWN_ISP, LonLat

Address = IPv4Address | IPv6Address

# A file of this type holds all of Hong Kong and nothing else: whoever is missing from it is elsewhere.
HONG_KONG_CITY_TYPE = "Swarmscope-Hong-Kong-City"
HONG_KONG_ASN_TYPE = "Swarmscope-Hong-Kong-ASN"

FLAT_CITY_TYPES = ("city ipv4", "city ipv6")


class LocationFileError(ValueError):
    """A location file is missing, damaged, or of another kind than needed."""


class CityFile(Protocol):
    def fix(self, address: Address) -> Fix | None: ...
    def close(self) -> None: ...


class GeoIP2City:
    """MaxMind's layout, by MaxMind's reader."""

    def __init__(self, path: Path) -> None:
        self._reader = geoip2.database.Reader(path)
        self._versions = _versions(self._reader.metadata().ip_version)

    def fix(self, address: Address) -> Fix | None:
        if address.version not in self._versions:
            return None
        try:
            return _fix_of(self._reader.city(address))
        except geoip2.errors.AddressNotFoundError:
            return None

    def close(self) -> None:
        self._reader.close()


class OnlyHongKongCity(GeoIP2City):
    """The shipped subset: its source places every public address, so a missing one is placed abroad."""

    def fix(self, address: Address) -> Fix | None:
        return super().fix(address) or Fix(abroad=True)


class FlatCity:
    """The layout of the `ip-location-db` packages: `state1`, `city`, `latitude`... in one flat record."""

    def __init__(self, path: Path) -> None:
        self._reader = maxminddb.open_database(path)
        self._versions = _versions(self._reader.metadata().ip_version)

    def fix(self, address: Address) -> Fix | None:
        if address.version not in self._versions:
            return None
        record = self._reader.get(address)
        return _fix_of_flat(record) if isinstance(record, dict) else None

    def close(self) -> None:
        self._reader.close()


class AsnFile:
    def __init__(self, path: Path) -> None:
        self._reader = maxminddb.open_database(path)
        self._versions = _versions(self._reader.metadata().ip_version)

    def isp(self, address: Address) -> str:
        if address.version not in self._versions:
            return UNKNOWN_ISP
        record = self._reader.get(address)
        return _isp_of(record) if isinstance(record, dict) else UNKNOWN_ISP

    def close(self) -> None:
        self._reader.close()


def open_city(path: Path) -> CityFile:
    kind = _kind(path)
    if kind == HONG_KONG_CITY_TYPE:
        return OnlyHongKongCity(path)
    if kind in FLAT_CITY_TYPES:
        return FlatCity(path)
    if "City" in kind:
        return GeoIP2City(path)
    raise LocationFileError(
        f"{path} is a database of type {kind!r}; cities need one in the GeoIP2 layout, such as GeoLite2-City, "
        "GeoIP2-City or DBIP-City-Lite, or a flat 'city ipv4' one"
    )


def open_asn(path: Path) -> AsnFile:
    kind = _kind(path)
    if "asn" in kind.casefold() or "isp" in kind.casefold():
        return AsnFile(path)
    raise LocationFileError(
        f"{path} is a database of type {kind!r}; operators need an ASN database, such as GeoLite2-ASN or DBIP-ASN-Lite"
    )


def _kind(path: Path) -> str:
    try:
        with closing(maxminddb.open_database(path)) as reader:
            return reader.metadata().database_type
    except FileNotFoundError as error:
        raise LocationFileError(f"{path} does not exist; give the path of a location database (.mmdb)") from error
    except maxminddb.InvalidDatabaseError as error:
        raise LocationFileError(f"{path} is not a readable MaxMind DB file (.mmdb): {error}") from error


def _versions(ip_version: int) -> tuple[int, ...]:
    """An IPv6 search tree holds IPv4 as well, unless its file says otherwise by finding nothing."""
    return (4,) if ip_version == 4 else (4, 6)


def _fix_of(city: geoip2.models.City) -> Fix:
    return Fix(
        country=city.country.iso_code or "",
        subdivisions=tuple(part.name for part in city.subdivisions if part.name),
        city=city.city.name or "",
        point=_point(city.location.longitude, city.location.latitude),
    )


def _fix_of_flat(record: Mapping[str, object]) -> Fix:
    return Fix(
        country=_text(record, "country_code"),
        subdivisions=(_text(record, "state1"), _text(record, "state2")),
        city=_text(record, "city"),
        point=_point(record.get("longitude"), record.get("latitude")),
    )


def _isp_of(record: Mapping[str, object]) -> str:
    number = record.get("autonomous_system_number")
    return isp_name(number if isinstance(number, int) else 0, _text(record, "autonomous_system_organization"))


def _text(record: Mapping[str, object], name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _point(lon: object, lat: object) -> LonLat | None:
    return (lon, lat) if isinstance(lon, float) and isinstance(lat, float) else None
