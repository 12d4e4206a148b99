"""How to place addresses, as an operator says it: the flags of every command that reads logs, declared once."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Placing:
    """The databases, and the map of the areas and districts."""

    geo_city: Path | None = None
    """GeoIP2, GeoLite2 or Enterprise City database (.mmdb) instead of the small one for Hong Kong that is shipped."""

    geo_asn: Path | None = None
    """ASN or ISP database (.mmdb) instead of the one that is shipped: GeoLite2-ASN, GeoIP2-ISP, IPinfo ASN and others."""

    districts: str = ""
    """Districts of any place, a GeoJSON file; or hong-kong (the default without --geo-city) or countries (with it)."""

    district_name: str = "name"
    """Property of the file of --districts that has a district's name."""

    area_resolution: int | None = None
    """Size of areas, as a resolution of the H3 grid: 0 (2,300 km across) to 9 (350 m); Hong Kong's 38 areas are of 6."""
