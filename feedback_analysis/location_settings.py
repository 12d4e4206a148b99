"""How to place addresses, as an operator says it: the flags of every command that reads logs, declared once."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LocationSettings:
    """The databases, and the map of the areas and districts."""

    geo_city: Path | None = None
    """City database (.mmdb): GeoLite2, GeoIP2 or Enterprise. Without it, the shipped database for Hong Kong is used."""

    geo_asn: Path | None = None
    """ASN or ISP database (.mmdb), such as GeoLite2-ASN, GeoIP2-ISP or IPinfo ASN. Without it, the shipped database is used."""

    districts: str = ""
    """District map: a GeoJSON file, hong-kong or countries. The default is countries with --geo-city, and hong-kong without it."""

    district_name: str = "name"
    """Name of the GeoJSON property that contains the district's name."""

    area_resolution: int | None = None
    """H3 resolution of the map's areas, from 0 (2,300 km across) to 9 (350 m). Hong Kong's 38 areas have resolution 6."""
