"""The 18 districts of Hong Kong. A location has a district only if its source names one; "Kowloon" is five districts, so none.

Sources spell the same district in several ways ("North" and "North District", "Wanchai" and "Wan Chai").
"""

from __future__ import annotations

OFFICIAL = (
    "Central and Western",
    "Eastern",
    "Islands",
    "Kowloon City",
    "Kwai Tsing",
    "Kwun Tong",
    "North",
    "Sai Kung",
    "Sha Tin",
    "Sham Shui Po",
    "Southern",
    "Tai Po",
    "Tsuen Wan",
    "Tuen Mun",
    "Wan Chai",
    "Wong Tai Sin",
    "Yau Tsim Mong",
    "Yuen Long",
)


def _spelling(name: str) -> str:
    """The name without case, spaces and the word "District", which sources write differently."""
    return name.casefold().replace("&", "and").removesuffix("district").replace(" ", "")


_BY_SPELLING = {_spelling(name): name for name in OFFICIAL}


def official_district(name: str) -> str | None:
    return _BY_SPELLING.get(_spelling(name))
