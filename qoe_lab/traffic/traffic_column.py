"""A column of the tables about traffic."""

from typing import NamedTuple


class TrafficColumn(NamedTuple):
    """Its unit is "" for a number of things, and "0/1" for yes or no."""

    name: str
    unit: str
    meaning: str
