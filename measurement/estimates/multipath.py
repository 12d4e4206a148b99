"""How many probes find all routers behind a load balancer (MDA, Veitch et al. 2009), and which links a trace claims to exist."""

from functools import cache
from math import comb

FAILURE = 0.05


@cache
def probes_to_stop(interfaces: int, failure: float = FAILURE) -> int:
    """How many probes with different flows may find no further interface at a hop before the search ends.

    After this many probes that found only `interfaces`, one further interface would have stayed hidden with a probability of at
    most `failure`, if the balancer spreads flows equally: 6 probes for one interface, 11 for two, 16 for three. ValueError for
    fewer than one interface.
    """
    if interfaces < 1:
        raise ValueError(f"a hop that answers has at least one interface, not {interfaces}")
    probes = interfaces + 1
    while _hidden(interfaces + 1, probes) > failure:
        probes += 1
    return probes


def _hidden(interfaces: int, probes: int) -> float:
    """The probability that equally spread probes miss at least one of the interfaces (inclusion and exclusion)."""
    total = 0.0
    for missed in range(1, interfaces):
        one_choice = (1 - missed / interfaces) ** probes
        total += comb(interfaces, missed) * one_choice * (1 if missed % 2 else -1)
    return total
