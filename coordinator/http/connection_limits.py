"""How many connections a worker may have open, given what the system lets it open at all.

Without a bound of our own, accept() fails when descriptors run out: connections are then closed without a word, and what a
feedback server or the spool needs is missing too. So the bound lies below, and a few places above it are for saying no.
"""

import resource
from dataclasses import dataclass

RESERVED = 32
"""Standard streams, the event loop, listener, spool, quarantine, locks; with as much again as was ever seen in use."""

REFUSING_SHARE = 8
"""Where descriptors are few: for every so many connections, one place to refuse a further one with an answer."""

MOST_REFUSING = 5000
"""Where they are many; a refused sender is gone in milliseconds, so this is enough for every crowd that a worker can answer."""


LEAST_SERVING = 8
"""With fewer connections a coordinator would refuse nearly all of an audience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Connections that are served, and how many more may be open only to be refused."""

    serving: int
    refusing: int


def raise_limit() -> int:
    """Let this process open as many files as it may; how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**31


def connection_limits(wanted: int, *, descriptors: int, servers: int) -> ConnectionLimits:
    """`wanted` connections, or fewer where there are not enough descriptors; OSError if too few are left over."""
    free = descriptors - RESERVED - 2 * servers  # a batch and a readiness probe each
    serving = min(wanted, free * REFUSING_SHARE // (REFUSING_SHARE + 1))
    if serving < min(wanted, LEAST_SERVING):
        least = RESERVED + 2 * servers + LEAST_SERVING + 1
        raise OSError(f"the limit of open files is {descriptors}; a coordinator needs {least}, and one for each connection")
    return ConnectionLimits(serving=serving, refusing=min(free - serving, MOST_REFUSING))
