"""The scenario of one end host: all its steps from its arrival on, in order and without an end.

The steps depend only on the seed, so the same seed gives the same scenario. Real time only decides how late a step is performed.
"""

from collections.abc import Iterator
from heapq import merge
from itertools import count, takewhile
from operator import attrgetter
from random import Random

from swarmscope.audience.end_hosts import EndHost
from swarmscope.audience.flash_crowd import FlashCrowd
from swarmscope.audience.planned_sessions import PlannedSession, planned_sessions
from swarmscope.audience.session_events import session_events
from swarmscope.audience.steps import JoinAction, LeaveAction, ReportAction, ScenarioStep


def scenario(host: EndHost, rng: Random, *, arrives_s: float, period_s: float, crowd: FlashCrowd) -> Iterator[ScenarioStep]:
    """All steps of `host`."""
    for session in planned_sessions(rng, arrives_s=arrives_s):
        yield from _session_steps(host, rng, session, period_s, crowd)


def _session_steps(
    host: EndHost, rng: Random, session: PlannedSession, period_s: float, crowd: FlashCrowd
) -> Iterator[ScenarioStep]:
    yield ScenarioStep(session.begins_s, JoinAction(session.channel))
    events = session_events(host, rng, begins_s=session.begins_s, crowd=crowd)
    reports = _reports(session.begins_s + rng.random() * period_s, period_s)
    yield from takewhile(lambda step: step.at_s < session.ends_s, merge(events, reports, key=attrgetter("at_s")))
    yield ScenarioStep(session.ends_s, LeaveAction())


def _reports(first_s: float, period_s: float) -> Iterator[ScenarioStep]:
    """Reports as the SDK schedules them: after a random part of the first period, then once per period.

    The random part prevents that sessions which begin together report together.
    """
    return (ScenarioStep(first_s + number * period_s, ReportAction()) for number in count())
