"""The simulated end hosts: each has an address, a device and a line with a fixed quality.

An end host depends only on the seed and on its number, so a larger audience of the same seed contains the smaller one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from random import Random

from swarmscope.audience.addresses import HongKongNetwork

# How much more often the lines of an ISP or district stall, compared with a good line. The differences appear on the map.
TROUBLE_OF_ISP = {"i-Cable": 5.0, "HGC": 2.0}
TROUBLE_OF_DISTRICT = {"Tuen Mun": 3.0, "Islands": 4.0}

APPS = {"player/2.1.0": 62, "player/2.0.3": 27, "player/1.9.8": 11}
EDGES = ("edge-kln", "edge-nt", "edge-hki")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A kind of device; rates in kbit/s."""

    platform: str
    share: int
    upload_kbps: float
    playback_kbps: dict[float, int]
    """Playback rates, and the percentage of these devices that play at each rate."""
    p2p_ratio: float
    partners: int
    startup_ms: float
    battery: bool = False


# The means over the whole audience are about 840 kbit/s uploaded and 870 kbit/s downloaded and played, as in the paper's Figure 4b:
# 0.46 x 1050 + 0.36 x 480 + 0.18 x 1000 = 836 up; 0.46 x 955 + 0.36 x 675 + 0.18 x 1025 = 867 played.
DEVICES = (
    Device(
        platform="desktop",
        share=46,
        upload_kbps=1050,
        playback_kbps={850: 70, 1200: 30},
        p2p_ratio=0.84,
        partners=18,
        startup_ms=1500,
    ),
    Device(
        platform="mobile",
        share=36,
        upload_kbps=480,
        playback_kbps={500: 50, 850: 50},
        p2p_ratio=0.58,
        partners=9,
        startup_ms=1900,
        battery=True,
    ),
    Device(
        platform="tv",
        share=18,
        upload_kbps=1000,
        playback_kbps={850: 50, 1200: 50},
        p2p_ratio=0.79,
        partners=15,
        startup_ms=2100,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndHost:
    """One simulated end host with its typical values. `trouble` is 1 for a good line."""

    peer_id: str
    ip: str
    isp: str
    app: str
    device: Device
    edge: str
    upload_kbps: float
    playback_kbps: float
    trouble: float


def end_host(number: int, *, seed: int, networks: Sequence[HongKongNetwork]) -> EndHost:
    """The end host with this number in the audience of this seed."""
    rng = random_for("who", number, seed)
    network = rng.choice(networks)
    device = rng.choices(DEVICES, [device.share for device in DEVICES])[0]
    return EndHost(
        peer_id=f"sim{seed}-{number:06d}",
        ip=network.address(rng.random()),
        isp=network.isp,
        app=rng.choices(list(APPS), list(APPS.values()))[0],
        device=device,
        edge=rng.choice(EDGES),
        upload_kbps=device.upload_kbps * spread(rng, 0.35),
        playback_kbps=rng.choices(list(device.playback_kbps), list(device.playback_kbps.values()))[0],
        trouble=TROUBLE_OF_ISP.get(network.isp, 1.0) * TROUBLE_OF_DISTRICT.get(network.district or "", 1.0),
    )


def random_for(what: str, number: int, seed: int) -> Random:
    """A random generator for one aspect of one end host. `random` hashes a text seed identically in every process."""
    return Random(f"{what} {number} {seed}")  # noqa: S311 - simulates behavior, not used for security


def spread(rng: Random, sigma: float) -> float:
    """A random factor above 0 with mean 1 (log-normal): most values slightly below 1, a few far above."""
    return rng.lognormvariate(0, sigma) * exp(-sigma * sigma / 2)
