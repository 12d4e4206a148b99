"""Where the audience lives: real networks of Hong Kong, so that the platform locates it as it would locate real viewers.

The plan holds operators and districts in their real shares, so its networks are equally likely. It was made beside the location
databases; tools/hong_kong says how.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """A network whose addresses all share operator and place; `district` is None where no database can place them."""

    network: IPv4Network
    isp: str
    district: str | None

    def address(self, chance: float) -> str:
        """One of its hosts; `chance` is a random number from 0 to 1."""
        hosts = self.network.num_addresses - 2  # neither the network's own address nor the broadcast
        return str(self.network[1 + int(chance * hosts)])


@cache
def neighbourhoods() -> tuple[Neighbourhood, ...]:
    """All networks of the shipped plan."""
    plan = json.loads(files("swarmscope.audience").joinpath("hong_kong_addresses.json").read_text(encoding="utf-8"))
    return tuple(Neighbourhood(network=IPv4Network(row["prefix"]), isp=row["isp"], district=row["district"]) for row in plan)
