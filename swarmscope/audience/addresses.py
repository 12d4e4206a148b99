"""The addresses of the end hosts: real networks of Hong Kong, which the monitoring platform locates like those of real viewers.

`hong_kong_addresses.json` lists networks in proportion to the real shares of ISPs and districts, so each network is equally likely.
tools/hong_kong generates the file together with the location databases.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class HongKongNetwork:
    """A network whose addresses all have the same ISP and district. `district` is None if the databases cannot locate them."""

    network: IPv4Network
    isp: str
    district: str | None

    def address(self, chance: float) -> str:
        """One host address of the network. `chance` is a random number from 0 to 1."""
        hosts = self.network.num_addresses - 2  # without the network address and the broadcast address
        return str(self.network[1 + int(chance * hosts)])


@cache
def hong_kong_networks() -> tuple[HongKongNetwork, ...]:
    """All networks in `hong_kong_addresses.json`."""
    rows = json.loads(files("swarmscope.audience").joinpath("hong_kong_addresses.json").read_text(encoding="utf-8"))
    return tuple(HongKongNetwork(network=IPv4Network(row["prefix"]), isp=row["isp"], district=row["district"]) for row in rows)
