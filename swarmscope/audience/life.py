"""A whole life: every step of one end host, from its arrival on, in order and without end.

It is decided before anything runs, so the same seed gives the same life; what real time adds is only how late each step is taken.
"""

from collections.abc import Iterator
from heapq import merge
from itertools import count, takewhile
from operator import attrgetter
from random import Random

from swarmscope.audience.cast import EndHost
from swarmscope.audience.moments import Join, Leave, Report, Step
from swarmscope.audience.playing import playing
from swarmscope.audience.surge import Surge
from swarmscope.audience.viewing import View, views


def life(host: EndHost, dice: Random, *, arrives_s: float, period_s: float, surge: Surge) -> Iterator[Step]:
    """All that happens to `host`."""
    for view in views(dice, arrives_s=arrives_s):
        yield from _view(host, dice, view, period_s, surge)


def _view(host: EndHost, dice: Random, view: View, period_s: float, surge: Surge) -> Iterator[Step]:
    yield Step(view.begins_s, Join(view.channel))
    events = playing(host, dice, begins_s=view.begins_s, surge=surge)
    reports = _reports(view.begins_s + dice.random() * period_s, period_s)
    yield from takewhile(lambda step: step.at_s < view.ends_s, merge(events, reports, key=attrgetter("at_s")))
    yield Step(view.ends_s, Leave())


def _reports(first_s: float, period_s: float) -> Iterator[Step]:
    """The SDK's own rhythm: a random phase after the join, then every period, so that a crowd does not report in step."""
    return (Step(first_s + number * period_s, Report()) for number in count())
