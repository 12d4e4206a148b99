"""The events of one session: startup, rates, stalls. A bad line has better and worse minutes, and a flash crowd affects
all lines.
"""

from collections.abc import Iterator
from heapq import merge
from math import log, pi, sin, sqrt
from operator import attrgetter
from random import Random

from swarmscope.audience.end_hosts import EndHost, spread
from swarmscope.audience.flash_crowd import FlashCrowd
from swarmscope.audience.steps import Conditions, FirstPicture, Playing, ScenarioStep, StallBegin

# A good line: 0.3 % late pieces, and 0.5 % stalled time (every 240 s a burst of on average 2 stalls of 0.6 s). This gives a
# continuity of 0.992. With the bad lines, the audience's mean is near 0.988, the value in the paper's Figure 4d.
LATE = 0.003
BURST_EVERY_S = 240.0
STALL_MS = 600.0

# At the start of a flash crowd, startup takes four times as long, and stalls are eleven times as frequent.
CROWDED_STARTUP = 3.0
CROWDED_STALLS = 10.0

BAD_TIME_EVERY_S = 240.0
CONDITIONS_EVERY_S = (5.0, 15.0)
LEAST_PLAYBACK_KBPS = 500.0


def session_events(host: EndHost, rng: Random, *, begins_s: float, crowd: FlashCrowd) -> Iterator[ScenarioStep]:
    """The events of a session that begins at `begins_s`, in order, without an end."""
    after_ms = round(startup_ms(host, rng, trouble=trouble(host, begins_s, crowd), pressure=crowd.pressure(begins_s)))
    picture_s = begins_s + after_ms / 1000
    yield ScenarioStep(picture_s, FirstPicture(after_ms))
    yield from merge(_conditions(host, rng, picture_s, crowd), _stalls(host, rng, picture_s, crowd), key=attrgetter("at_s"))


def trouble(host: EndHost, at_s: float, crowd: FlashCrowd) -> float:
    """How much more often problems occur at `at_s`, compared with a good line."""
    bad_time = max(0.0, sin(2 * pi * at_s / BAD_TIME_EVERY_S))
    return 1 + (host.trouble - 1) * (0.5 + 1.5 * bad_time) + CROWDED_STALLS * crowd.pressure(at_s)


def startup_ms(host: EndHost, rng: Random, *, trouble: float, pressure: float) -> float:
    """Time from the viewer's request to the first picture: usually 1 to 3 s, with a long tail."""
    median = host.device.startup_ms * sqrt(min(trouble, host.trouble)) * (1 + CROWDED_STARTUP * pressure)
    return rng.lognormvariate(log(median), 0.45)


def _conditions(host: EndHost, rng: Random, at_s: float, crowd: FlashCrowd) -> Iterator[ScenarioStep]:
    battery = rng.uniform(20, 100)
    while True:
        pressure = crowd.pressure(at_s)
        strain = min(trouble(host, at_s, crowd) / 20, 0.5)
        playback = host.playback_kbps if rng.random() > strain else max(host.playback_kbps - 350, LEAST_PLAYBACK_KBPS)
        yield ScenarioStep(
            at_s,
            Conditions(
                upload_kbps=host.upload_kbps * (1 - 0.4 * pressure) * spread(rng, 0.12),
                download_kbps=playback * (1 - strain / 4) * spread(rng, 0.06),
                playback_kbps=playback,
                p2p_ratio=min(max(host.device.p2p_ratio * (1 - 0.3 * pressure) + rng.gauss(0, 0.05), 0.0), 1.0),
                buffer_ms=round(max(rng.gauss(9000, 2000) * (1 - strain), 0)),
                partners=max(round(rng.gauss(host.device.partners, 3)), 1),
                battery=round(battery) if host.device.battery else None,
            ),
        )
        pause_s = rng.uniform(*CONDITIONS_EVERY_S)
        at_s += pause_s
        battery = max(battery - pause_s / 60, 1)  # one percent per minute


def _stalls(host: EndHost, rng: Random, at_s: float, crowd: FlashCrowd) -> Iterator[ScenarioStep]:
    """Playback with bursts of stalls: after a stall, the next one usually follows soon."""
    yield ScenarioStep(at_s, Playing(continuity=_continuity(host, rng, at_s, crowd)))
    while True:
        at_s += _until_burst_s(host, rng, at_s, crowd)
        for _ in range(rng.randint(1, 3)):
            for_ms = round(STALL_MS * spread(rng, 0.7))
            yield ScenarioStep(at_s, StallBegin())
            at_s += for_ms / 1000
            yield ScenarioStep(at_s, Playing(continuity=_continuity(host, rng, at_s, crowd), after_ms=for_ms))
            at_s += rng.uniform(1, 4)


def _until_burst_s(host: EndHost, rng: Random, at_s: float, crowd: FlashCrowd) -> float:
    """Seconds until the next burst. Drawn in steps of ten seconds, because the trouble factor changes over time."""
    waited_s = 0.0
    while True:
        pause_s = rng.expovariate(trouble(host, at_s + waited_s, crowd) / BURST_EVERY_S)
        if pause_s < 10:
            return waited_s + pause_s
        waited_s += 10


def _continuity(host: EndHost, rng: Random, at_s: float, crowd: FlashCrowd) -> float:
    late = rng.expovariate(1 / (LATE * trouble(host, at_s, crowd)))
    return 1 - min(late, 0.5)
