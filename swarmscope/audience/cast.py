"""Who watches: the end hosts, each with an address, a device and a line whose quality stays with it.

An end host depends on the seed and on its own number alone, so a larger audience of the same seed contains the smaller one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from random import Random

from swarmscope.audience.addresses import Neighbourhood

# How many times as often a line stalls as a good one. The map has to have something to show.
TROUBLE_OF_ISP = {"i-Cable": 5.0, "HGC": 2.0}
TROUBLE_OF_DISTRICT = {"Tuen Mun": 3.0, "Islands": 4.0}

APPS = {"player/2.1.0": 62, "player/2.0.3": 27, "player/1.9.8": 11}
EDGES = ("edge-kln", "edge-nt", "edge-hki")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What viewers watch on; rates in kbit/s."""

    platform: str
    share: int
    upload_kbps: float
    playback_kbps: dict[float, int]
    """Bitrates of the picture, and how many of these devices show each."""
    p2p_ratio: float
    partners: int
    startup_ms: float
    battery: bool = False


# Over the whole audience that makes means of some 840 kbit/s up, 870 down and played, as in the paper's Figure 4b:
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
    """One simulated end host, and what is typical of it; `trouble` is 1 on a good line."""

    peer_id: str
    ip: str
    isp: str
    app: str
    device: Device
    edge: str
    upload_kbps: float
    playback_kbps: float
    trouble: float


def end_host(number: int, *, seed: int, places: Sequence[Neighbourhood]) -> EndHost:
    """The end host of that number in the audience of that seed."""
    dice = dice_of("who", number, seed)
    place = dice.choice(places)
    device = dice.choices(DEVICES, [device.share for device in DEVICES])[0]
    return EndHost(
        peer_id=f"sim{seed}-{number:06d}",
        ip=place.address(dice.random()),
        isp=place.isp,
        app=dice.choices(list(APPS), list(APPS.values()))[0],
        device=device,
        edge=dice.choice(EDGES),
        upload_kbps=device.upload_kbps * spread(dice, 0.35),
        playback_kbps=dice.choices(list(device.playback_kbps), list(device.playback_kbps.values()))[0],
        trouble=TROUBLE_OF_ISP.get(place.isp, 1.0) * TROUBLE_OF_DISTRICT.get(place.district or "", 1.0),
    )


def dice_of(what: str, number: int, seed: int) -> Random:
    """The randomness of one aspect of one end host; a text as seed is hashed the same way in every process."""
    return Random(f"{what} {number} {seed}")  # noqa: S311 - decides behaviour, guards nothing


def spread(dice: Random, sigma: float) -> float:
    """A random factor above 0 with mean 1: many a little below, few far above."""
    return dice.lognormvariate(0, sigma) * exp(-sigma * sigma / 2)
