"""The end hosts of a day as columns. They are those of the live simulation (`audience.end_hosts`): each depends only on
its number.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmscope.audience.addresses import hong_kong_networks
from swarmscope.audience.end_hosts import EndHost, end_host

Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """One row per end host, in the order of the requested numbers; rates in kbit/s."""

    each: list[EndHost]
    upload_kbps: Real
    playback_kbps: Real
    p2p_ratio: Real
    partners: Real
    startup_ms: Real
    trouble: Real


def hosts(numbers: NDArray[np.int64], *, seed: int) -> Hosts:
    """The end hosts with these numbers."""
    networks = hong_kong_networks()
    each = [end_host(number, seed=seed, networks=networks) for number in numbers.tolist()]
    return Hosts(
        each=each,
        upload_kbps=np.array([host.upload_kbps for host in each]),
        playback_kbps=np.array([host.playback_kbps for host in each], dtype=float),
        p2p_ratio=np.array([host.device.p2p_ratio for host in each]),
        partners=np.array([host.device.partners for host in each], dtype=float),
        startup_ms=np.array([host.device.startup_ms for host in each]),
        trouble=np.array([host.trouble for host in each]),
    )
