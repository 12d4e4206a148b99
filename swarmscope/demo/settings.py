"""The settings of `swarmscope demo`."""

from dataclasses import dataclass
from math import inf
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of `swarmscope demo`; ValueError for an invalid value."""

    peers: int = 1500
    """Number of simulated end hosts."""

    period: float = 5.0
    """Seconds between two reports of a session."""

    duration: float | None = None
    """Seconds until the demo ends. Without it, the demo runs until Ctrl-C."""

    poll_seconds: float = 1.0
    """Seconds between two polls of a feedback server by the monitoring platform, at least 1."""

    swarm: bool = False
    """Run a real swarm instead of the simulated end hosts: a source, 12 relays and 20 players of the overlay, in network
    namespaces. A relay is killed after --fail-after. If this machine does not permit namespaces, the nodes run on the loopback
    interface."""

    network: bool = False
    """Run a network instead of the simulated end hosts: three ISPs with viewers, six agents of active measurement and a master,
    in network namespaces. A link loses packets after --fail-after. This machine must permit namespaces."""

    fail_after: float = 120.0
    """Seconds until a relay of the swarm is killed, or a link of the network loses packets. Used with --swarm and --network."""

    data: Path | None = None
    """Folder for all data of the demo. It remains after the demo. Without it, a temporary folder is used and deleted."""

    def __post_init__(self) -> None:
        if self.swarm and self.network:
            raise ValueError("--swarm and --network exclude each other; use only one of them")
        if self.peers < 1:
            raise ValueError(f"--peers is {self.peers}; use a whole number of at least 1, such as 1500")
        for flag, value, least in (
            ("period", self.period, 0),
            ("duration", self.duration, 0),
            ("poll-seconds", self.poll_seconds, 1),
            ("fail-after", self.fail_after, 0),
        ):
            if value is not None and not (value > 0 and least <= value < inf):
                raise ValueError(
                    f"--{flag} is {value:g}; it needs a number of seconds {f'from {least}' if least else 'above 0'} on"
                )
