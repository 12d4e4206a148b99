"""How many connections a worker may have open, given its limit of open files.

If the file descriptors ran out, accept() would fail: end hosts would get no answer, and connections to feedback servers and files
of the spool could not be opened either. So connections have a lower limit, and a few more descriptors are kept for refusals.
"""

import resource
from dataclasses import dataclass

RESERVED = 32
"""For standard streams, event loop, listener, spool, quarantine and locks: twice as many as were ever seen in use."""

REFUSING_SHARE = 8
"""With few descriptors: one in so many is kept to refuse a further connection with an answer."""

MOST_REFUSING = 5000
"""With many descriptors: a refusal takes milliseconds, so this is enough for as many senders as a worker can answer."""


LEAST_SERVING = 8
"""With fewer connections a coordinator would refuse nearly all of an audience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How many connections are served, and how many more may be open to be refused."""

    serving: int
    refusing: int


def raise_limit() -> int:
    """Raise the limit of open files as far as the system allows, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**31


def connection_limits(wanted: int, *, descriptors: int, servers: int) -> ConnectionLimits:
    """`wanted` connections, or fewer if there are not enough descriptors. OSError if fewer than LEAST_SERVING would be left."""
    free = descriptors - RESERVED - 2 * servers  # a batch and a readiness probe each
    serving = min(wanted, free * REFUSING_SHARE // (REFUSING_SHARE + 1))
    if serving < min(wanted, LEAST_SERVING):
        least = RESERVED + 2 * servers + LEAST_SERVING + 1
        raise OSError(f"the limit of open files is {descriptors}; a coordinator needs {least}, and one for each connection")
    return ConnectionLimits(serving=serving, refusing=min(free - serving, MOST_REFUSING))
