"""How one view goes: startup, bitrates, stalls. Troubled lines have better and worse minutes, a flash crowd troubles all."""

from collections.abc import Iterator
from heapq import merge
from math import log, pi, sin, sqrt
from operator import attrgetter
from random import Random

from swarmscope.audience.cast import EndHost, spread
from swarmscope.audience.moments import Conditions, Flow, Freeze, Picture, Step
from swarmscope.audience.surge import Surge

# A good line: late pieces 0.3 %, and a burst of on average 2 stalls of 0.6 s every 240 s, 0.5 %: continuity 0.992. With the
# troubled lines the audience is near the 0.988 of the paper's Figure 4d.
LATE = 0.003
BURST_EVERY_S = 240.0
STALL_MS = 600.0

# In a flash crowd's first moment everything takes four times as long, and stalls come eleven times as often.
CROWDED_STARTUP = 3.0
CROWDED_STALLS = 10.0

BAD_TIMES_EVERY_S = 240.0
CONDITIONS_EVERY_S = (5.0, 15.0)
LEAST_PLAYBACK_KBPS = 500.0


def playing(host: EndHost, dice: Random, *, begins_s: float, surge: Surge) -> Iterator[Step]:
    """What happens in a view that begins then, in order, without end."""
    after_ms = round(startup_ms(host, dice, trouble=trouble(host, begins_s, surge), pressure=surge.pressure(begins_s)))
    picture_s = begins_s + after_ms / 1000
    yield Step(picture_s, Picture(after_ms))
    yield from merge(_conditions(host, dice, picture_s, surge), _flow(host, dice, picture_s, surge), key=attrgetter("at_s"))


def trouble(host: EndHost, at_s: float, surge: Surge) -> float:
    """How many times as often as on a good line something goes wrong now."""
    bad_times = max(0.0, sin(2 * pi * at_s / BAD_TIMES_EVERY_S))
    return 1 + (host.trouble - 1) * (0.5 + 1.5 * bad_times) + CROWDED_STALLS * surge.pressure(at_s)


def startup_ms(host: EndHost, dice: Random, *, trouble: float, pressure: float) -> float:
    """From the viewer's wish to the first picture: mostly 1 to 3 s, with a long tail."""
    median = host.device.startup_ms * sqrt(min(trouble, host.trouble)) * (1 + CROWDED_STARTUP * pressure)
    return dice.lognormvariate(log(median), 0.45)


def _conditions(host: EndHost, dice: Random, at_s: float, surge: Surge) -> Iterator[Step]:
    battery = dice.uniform(20, 100)
    while True:
        pressure = surge.pressure(at_s)
        strain = min(trouble(host, at_s, surge) / 20, 0.5)
        playback = host.playback_kbps if dice.random() > strain else max(host.playback_kbps - 350, LEAST_PLAYBACK_KBPS)
        yield Step(
            at_s,
            Conditions(
                upload_kbps=host.upload_kbps * (1 - 0.4 * pressure) * spread(dice, 0.12),
                download_kbps=playback * (1 - strain / 4) * spread(dice, 0.06),
                playback_kbps=playback,
                p2p_ratio=min(max(host.device.p2p_ratio * (1 - 0.3 * pressure) + dice.gauss(0, 0.05), 0.0), 1.0),
                buffer_ms=round(max(dice.gauss(9000, 2000) * (1 - strain), 0)),
                partners=max(round(dice.gauss(host.device.partners, 3)), 1),
                battery=round(battery) if host.device.battery else None,
            ),
        )
        pause_s = dice.uniform(*CONDITIONS_EVERY_S)
        at_s += pause_s
        battery = max(battery - pause_s / 60, 1)  # a percent a minute


def _flow(host: EndHost, dice: Random, at_s: float, surge: Surge) -> Iterator[Step]:
    """The picture moves, with bursts of stalls: whoever has had one will soon have the next."""
    yield Step(at_s, Flow(continuity=_continuity(host, dice, at_s, surge)))
    while True:
        at_s += _calm_s(host, dice, at_s, surge)
        for _ in range(dice.randint(1, 3)):
            for_ms = round(STALL_MS * spread(dice, 0.7))
            yield Step(at_s, Freeze())
            at_s += for_ms / 1000
            yield Step(at_s, Flow(continuity=_continuity(host, dice, at_s, surge), after_ms=for_ms))
            at_s += dice.uniform(1, 4)


def _calm_s(host: EndHost, dice: Random, at_s: float, surge: Surge) -> float:
    """Time to the next burst; drawn ten seconds at a time, because trouble changes meanwhile."""
    waited_s = 0.0
    while True:
        pause_s = dice.expovariate(trouble(host, at_s + waited_s, surge) / BURST_EVERY_S)
        if pause_s < 10:
            return waited_s + pause_s
        waited_s += 10


def _continuity(host: EndHost, dice: Random, at_s: float, surge: Surge) -> float:
    late = dice.expovariate(1 / (LATE * trouble(host, at_s, surge)))
    return 1 - min(late, 0.5)
