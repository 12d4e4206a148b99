"""A district is named only if a source names it; "Kowloon" is five districts, so it is none.

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
    """Case, spaces and the word "District" do not tell two districts apart."""
    return name.casefold().replace("&", "and").removesuffix("district").replace(" ", "")


_BY_SPELLING = {_spelling(name): name for name in OFFICIAL}


def official_district(name: str) -> str | None:
    return _BY_SPELLING.get(_spelling(name))
