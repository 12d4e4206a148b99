"""The flags for locations, of each command that reads logs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LocationSettings:
    """The databases, and the map of the areas and districts."""

    geo_city: Path | None = None
    """City database (.mmdb): GeoLite2, GeoIP2 or Enterprise. Without it, the included database for Hong Kong is used."""

    geo_asn: Path | None = None
    """ASN or ISP database (.mmdb), such as GeoLite2-ASN, GeoIP2-ISP or IPinfo ASN. Without it, the included database is
    used."""

    districts: str = ""
    """District map: a GeoJSON file, hong-kong or countries. The default is countries with --geo-city, and hong-kong without it."""

    district_name: str = "name"
    """Name of the GeoJSON property that contains the district's name."""

    area_resolution: int | None = None
    """Size of the map's areas, as resolution of the H3 grid: 0 (2,300 km across) to 9 (350 m). The default is 2 with --geo-city,
    and Hong Kong's 38 areas (resolution 6) without it."""
