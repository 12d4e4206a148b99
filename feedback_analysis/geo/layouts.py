"""Reads a record of a location database, in each supported layout.

Every part of a record may be missing. A part with another type than in its layout makes the whole record unreadable (`Misshapen`),
because the other parts cannot be trusted either.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from geoip2.models import City

from feedback_analysis.geo.geo_record import GeoRecord
from feedback_analysis.geo.isps import isp_name
from feedback_analysis.geo.location import UNKNOWN_ISP, LonLat

Record = Mapping[str, object]

# The longest name of an ISP in GeoLite2-ASN has 100 characters.
LONGEST_TEXT = 300

# GeoIP2-ISP has `isp` in addition to the organisation of the network; the other names are of MaxMind, IPinfo and other vendors.
_ISP_NAMES = ("isp", "autonomous_system_organization", "as_organization", "as_name", "organization", "organisation", "name", "org")
_LONGITUDES, _LATITUDES = ("longitude", "lng", "lon"), ("latitude", "lat")
_NUMBERS = ("autonomous_system_number", "asn", "as_number")


class Misshapen(ValueError):  # noqa: N818 - the name states the error
    """A part of a record has another type than in its layout."""


def nested_record(record: Record) -> GeoRecord:
    """A record in MaxMind's City layout, which Enterprise databases have as well; names are the English ones.

    geoip2 reads the layout and checks no types, so they are checked before.
    """
    country, city, location = (_map(record, name) for name in ("country", "city", "location"))
    subdivisions = _maps(record, "subdivisions")
    _text(country, "iso_code")
    for place in (city, *subdivisions):
        _text(_map(place, "names"), "en")
    found = City(["en"], country=country, city=city, subdivisions=subdivisions)
    return GeoRecord(
        country=found.country.iso_code or "",
        subdivisions=tuple(part.name for part in found.subdivisions if part.name),
        city=found.city.name or "",
        point=_point(location),
    )


def flat_record(record: Record) -> GeoRecord:
    """A record of the `ip-location-db` packages: `state1`, `city`, `latitude`... in one flat record."""
    return GeoRecord(
        country=_text(record, "country_code"),
        subdivisions=(_text(record, "state1"), _text(record, "state2")),
        city=_text(record, "city"),
        point=_point(record),
    )


def isp_of(record: Record) -> str:
    """The ISP in a record: the name of its service or network, or the name for its number; else `unknown`."""
    fields = {**_map(record, "traits"), **record}  # Enterprise databases have the ISP among the traits
    names = (_text(fields, name).strip() for name in _ISP_NAMES)
    return isp_name(next((number for name in _NUMBERS if (number := _as_number(fields, name))), 0), next(filter(None, names), ""))


def has_location(found: GeoRecord) -> bool:
    """Whether a record has a location."""
    return bool(found.country) or found.point is not None


def has_isp(isp: str) -> bool:
    return isp != UNKNOWN_ISP


def _map(record: Record, name: str) -> dict[str, Any]:
    value = record.get(name, {})
    if not isinstance(value, dict):
        raise Misshapen(f"its {name} is {_kind(value)} and not a map")
    return value


def _maps(record: Record, name: str) -> list[dict[str, Any]]:
    value = record.get(name, [])
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise Misshapen(f"its {name} is not an array of maps")
    return value


def _text(record: Record, name: str) -> str:
    value = record.get(name, "")
    if not isinstance(value, str):
        raise Misshapen(f"its {name} is {_kind(value)} and not a text")
    if len(value) > LONGEST_TEXT:
        raise Misshapen(f"its {name} has {len(value):,} characters; at most {LONGEST_TEXT} are read")
    return value


def _point(record: Record) -> LonLat | None:
    lon, lat = (next((name for name in names if name in record), None) for names in (_LONGITUDES, _LATITUDES))
    return None if lon is None or lat is None else (_degrees(record, lon, 180), _degrees(record, lat, 90))


def _degrees(record: Record, name: str, most: int) -> float:
    """Degrees, from a number or from the text of a number."""
    value = record[name]
    try:
        degrees = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        degrees = None
    if degrees is None or not isfinite(degrees) or abs(degrees) > most:
        raise Misshapen(f"its {name} is {str(value)[:40]!r} and not a number from -{most} to {most}")
    return degrees


def _as_number(record: Record, name: str) -> int:
    """An AS number: 3320, "3320" or "AS3320"; 0 if there is none."""
    value = record.get(name, 0)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        digits = value.strip().upper().removeprefix("AS")
        if not digits:
            return 0
        if digits.isascii() and digits.isdecimal() and len(digits) <= 10:
            return int(digits)
    raise Misshapen(f"its {name} is {str(value)[:40]!r} and not the number of a network, such as 3320 or 'AS3320'")


def _kind(value: object) -> str:
    return {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "an array", dict: "a map"}.get(
        type(value), type(value).__name__
    )
